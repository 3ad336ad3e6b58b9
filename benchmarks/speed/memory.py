"""Memory: what a fit adds to its arrays at its peak, in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from _pairs import Ratio

_FIT = """
import sys
sys.path.insert(0, {folder!r})
from training import KD, LELP, Work

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

small = Work(2_000, 384, 64, 256, epochs=1)
small.{method}()
work = Work(200_000, 384, 64, 1024, epochs=1)
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
before = status("VmRSS")
work.{method}()
print(status("VmHWM") - before, work.X.nbytes / 2**20)
"""


def added(method):
    """Megabytes that a fit added to the arrays it was given, and megabytes of X."""
    code = _FIT.format(folder=str(Path(__file__).parent), method=method)
    # Freed blocks go back at once, so that those of the set-up are not used again unseen.
    freeing = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | freeing,
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(number) for number in done.stdout.split()]


def rows(args):
    """Name, bar and measured ratio of each comparison, in megabytes."""
    for method in ("kd", "lelp"):
        more, size = added(method)
        ratio = more / size
        yield (
            f"peak of a fit ({method}) beyond its arrays: X",
            "<= 1.2",
            Ratio(ratio, ratio, ratio, more, size, "MB"),
        )
