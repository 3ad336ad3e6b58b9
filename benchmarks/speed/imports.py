"""Start: importing a student against importing what it stands on."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from _pairs import paired


def run(line):
    subprocess.run([sys.executable, "-c", line], check=True)


def rows(args):
    """Name, bar and measured ratio of each comparison."""
    ours = partial(run, "from lelp_sklearn import LELPStudentClassifier")
    yield (
        "import of a student: import torch, skorch",
        "<= 1.30",
        paired(ours, partial(run, "import torch, skorch"), args.pairs),
    )
