"""Threads: a small student's fit beside a busy process, by ``n_threads``."""

from __future__ import annotations

import subprocess
import sys

from _pairs import paired
from search import SPIN
from training import Work


def rows(args):
    """Name, bar and measured ratio of each comparison."""
    work = Work(20_000, 50, 64, 256, epochs=2)
    other = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield (
            "n_threads=1 (default): 2, another process busy",
            "",
            paired(work.lelp, lambda: work.lelp(n_threads=2), args.pairs),
        )
    finally:
        other.kill()
        other.wait()
