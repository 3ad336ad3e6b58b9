"""Speed and memory of the teacher cache: warm gather in shuffled order, cold fill, peak memory.

python benchmarks/teacher_cache.py --rows 200000 --columns 64
"""

import argparse
import os
import platform
import sqlite3
import tempfile
import time
import tracemalloc

import numpy as np

from lelp_sklearn.teachers._cache import TeacherCache
from lelp_sklearn.teachers._keys import row_keys


class Teacher:
    """384 + 2 float32 values a row, at a given pace."""

    classes_ = np.array([0, 1])

    def __init__(self, ms_per_row):
        self.ms_per_row = ms_per_row

    def __fingerprint__(self):
        return "benchmark"

    def predict_proba(self, X):
        time.sleep(self.ms_per_row * len(X) / 1000)
        yes = X[:, :1] % 1  # rows that are new to it lie beyond 1
        return np.concatenate([yes, 1 - yes], axis=1)

    def transform(self, X):
        return np.repeat(X[:, :1], 384, axis=1)


def seconds(function, *args):
    wall, cpu = time.perf_counter(), time.process_time()
    function(*args)
    return time.perf_counter() - wall, time.process_time() - cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=64, help="float32 columns of X")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cold-rows", type=int, default=20_000, help="of the 1 ms-a-row teacher")
    args = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, load {load:.1f}, "
        f"Python {platform.python_version()}, numpy {np.__version__}, "
        f"SQLite {sqlite3.sqlite_version}"
    )
    X = np.random.default_rng(0).random((args.rows, args.columns), dtype=np.float32)
    shuffled = np.random.default_rng(1).permutation(X)
    megabytes = args.rows * 386 * 4 / 1e6
    print(f"keys alone: {seconds(row_keys, X, b'secret')[0]:.2f} s for {X.shape} float32")
    for place in ("memory", "disk"):
        with tempfile.TemporaryDirectory() as folder:
            cache = TeacherCache(None if place == "memory" else folder)
            fill, _ = seconds(cache.outputs, Teacher(0), X)
            if place == "disk":
                cache = TeacherCache(folder)  # as a new process finds it
            warm = [seconds(cache.outputs, Teacher(0), shuffled) for _ in range(args.repeats)]
            wall, cpu = min(warm)
            median = sorted(warm)[len(warm) // 2][0]
            print(
                f"{place}: warm shuffled gather {megabytes / wall:.0f} MB/s best, "
                f"{megabytes / median:.0f} median of {args.repeats} ({wall:.2f} s, CPU {cpu:.2f}); "
                f"fill by an instant teacher {fill:.2f} s = {1000 * fill / args.rows:.3f} ms a row"
            )
            cold = X[: args.cold_rows] + 1
            spent, _ = seconds(cache.outputs, Teacher(1), cold)
            alone, _ = seconds(Teacher(1).predict_proba, cold)
            print(
                f"{place}: cold fill of a 1 ms-a-row teacher {100 * (spent / alone - 1):.1f} % over"
            )
            tracemalloc.start()
            got = cache.outputs(Teacher(0), shuffled)
            beyond = tracemalloc.get_traced_memory()[1] - sum(
                getattr(got, name).nbytes for name in got.given
            )
            tracemalloc.stop()
            batch = cache.batch_size * 386 * 4
            print(f"{place}: peak beyond the arrays returned {beyond / batch:.2f} batches")


if __name__ == "__main__":
    main()
