"""Speed beside a reference, ours over theirs, every pair timed in turn in one process.

python benchmarks/speed --data DIR [--only training predict ...]

Prints the machine, and a line for each comparison: the bar, the median ratio of so many pairs with
its quartiles, and the median times. OMP_NUM_THREADS=1 unless said otherwise.
"""

import argparse
import importlib
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

PARTS = ["training", "predict", "search", "threads", "imports", "memory", "projector", "encoder"]
PARTS += ["tricks", "gpu"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--data", type=Path, help="folder of the data sets, for the encoder")
    args = parser.parse_args()
    from _common import machine

    warnings.simplefilter("ignore")
    print(machine(), f"load {os.getloadavg()[0]:.1f}", flush=True)
    print("| ours: reference | at most | median (quartiles) | times |\n|---|---|---|---|")
    for part in args.only:
        for name, bar, ratio in importlib.import_module(part).rows(args):
            print(f"| {name} | {bar} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
