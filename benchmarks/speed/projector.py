"""LELPProjector: its fit against scikit-learn's PCA of each class, its transform against sgemm.

Both sides of a pair run on the same rows with as many BLAS threads. PCA is the
``covariance_eigh`` solver, and does less: it finds directions, and gives up digits by summing
uncentred float32 products.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from _pairs import paired
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from lelp_sklearn import LELPProjector
from lelp_sklearn.subclasses._moments import ClassMoments

WIDTH, NARROW, N_SUBCLASSES = 384, 64, 6
COUNTS = (2, 10)  # of classes


def embeddings(n_rows: int, width: int = WIDTH) -> np.ndarray:
    H = np.random.default_rng(0).standard_normal((n_rows, width), dtype=np.float32)
    H += 0.5
    return H


def labels(n_rows: int, n_classes: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, n_classes, n_rows)


def projector(**params) -> LELPProjector:
    params = {"n_subclasses": N_SUBCLASSES, "null_space": False, "random_state": 0, **params}
    return LELPProjector(**params)


def pca_per_class(H, y):
    for c in range(y.max() + 1):
        PCA(N_SUBCLASSES, svd_solver="covariance_eigh").fit(H[y == c])


def rows(args):
    """Name, bar and measured ratio of each comparison."""
    n_rows, pairs = getattr(args, "rows", 1_000_000), args.pairs
    with tempfile.TemporaryDirectory() as folder:
        H = embeddings(n_rows)
        np.save(Path(folder) / "H.npy", H)
        mapped = np.load(Path(folder) / "H.npy", mmap_mode="r")
        size = f"{n_rows:,} x {WIDTH}"
        for threads in getattr(args, "threads", [1]):
            with threadpool_limits(threads):
                for n_classes in COUNTS:
                    y = labels(n_rows, n_classes)
                    what = f"{size}, {n_classes} classes, {threads} thread(s)"
                    for kind, X in {"in memory": H, "memmap": mapped}.items():
                        yield (
                            f"fit, {what}, {kind}, PCA a class",
                            "<= 0.67",
                            paired(
                                lambda X=X, y=y: projector().fit(X, y),
                                lambda X=X, y=y: pca_per_class(X, y),
                                pairs,
                            ),
                        )
                    fitted = projector().fit(H, y)
                    weight = fitted.components_.astype(np.float32)
                    yield (
                        f"transform, {what}, the product alone",
                        "<= 1.43",
                        paired(lambda p=fitted: p.transform(H), lambda w=weight: H @ w.T, pairs),
                    )
        yield from searches(H, pairs, folder)


def searches(H, pairs, folder):
    """Five numbers of subclasses on one fold, the moments kept and taken anew."""
    y = labels(len(H), 2)

    def search(memory):
        for n_subclasses in (2, 4, 6, 8, 12):
            projector(n_subclasses=n_subclasses, memory=memory).fit(H, y)

    def kept():
        with tempfile.TemporaryDirectory(dir=folder) as memory:
            search(memory)

    yield (
        "search over 5 n_subclasses, with memory",
        "<= 0.60",
        paired(kept, lambda: search(None), pairs),
    )


def peaks(n_rows: int):
    """Anonymous memory that a fit takes beside its rows, each in a process of its own."""
    for n_classes in COUNTS:
        for kind in ("memory", "memmap"):
            command = [sys.executable, __file__, "--peak", kind, str(n_rows), str(n_classes)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            yield n_classes, kind, float(done.stdout)


def measured_peak(kind: str, n_rows: int, n_classes: int) -> float:
    """MB of anonymous memory above what was there when fit began."""
    with tempfile.TemporaryDirectory() as folder:
        H, y = embeddings(n_rows), labels(n_rows, n_classes)
        projector().fit(H[:1000], y[:1000])  # what the first call loads stays
        if kind == "memmap":
            np.save(Path(folder) / "H.npy", H)
            H = np.load(Path(folder) / "H.npy", mmap_mode="r")
        before, most, done = anonymous(), 0.0, threading.Event()

        def watch():
            nonlocal most
            while not done.wait(0.002):
                most = max(most, anonymous())

        watcher = threading.Thread(target=watch)
        watcher.start()
        projector().fit(H, y)
        done.set()
        watcher.join()
        return most - before


def anonymous() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no RssAnon.")


def exponents(n_rows: int):
    """Slopes of log seconds of the moments over log rows, on three decades, and over log classes.

    A fit has costs of its own that do not grow with the rows, C D^2 numbers to begin and end with:
    wide rows show the slope that users of few rows see, narrow ones that of the pass itself.
    """
    for most, width in ((n_rows, WIDTH), (10 * n_rows, NARROW)):
        H = embeddings(most, width)
        sizes = np.geomspace(most / 1000, most, 4).astype(int)
        for n_classes in COUNTS:
            times = [seconds_of_moments(H[:n], n_classes) for n in sizes]
            yield f"{most // 1000:,} to {most:,} rows x {width}, {n_classes} classes", sizes, times
    few = embeddings(n_rows // 10)
    counts = np.array([2, 8, 32, 128])
    times = [seconds_of_moments(few, n_classes) for n_classes in counts]
    yield f"2 to 128 classes, {len(few):,} rows x {WIDTH}", counts, times


def seconds_of_moments(H, n_classes):
    y, times = labels(len(H), n_classes), []
    for _ in range(max(3, min(30, 300_000 // len(H)))):
        start = time.perf_counter()
        ClassMoments.of(H, y)
        times.append(time.perf_counter() - start)
    return min(times)


def error(n_rows: int):
    """Largest error of the float32 moments, over the largest moment; float64 ones are exact."""
    H = embeddings(n_rows)
    y = labels(n_rows, 2)
    for shift in (0.0, 10.0):
        narrow = ClassMoments.of(H + np.float32(shift), y)
        for c in range(2):
            own = (H[y == c] + np.float32(shift)).astype(np.float64)
            own -= own.mean(axis=0)
            exact = own.T @ own
            yield shift, np.abs(narrow.scatter[c] - exact).max() / exact.max()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        kind, n_rows, n_classes = args.peak
        print(measured_peak(kind, int(n_rows), int(n_classes)))
        return
    for n_classes, kind, peak in peaks(args.rows):
        print(f"fit, {n_classes} classes, {kind}: {peak:.0f} MB of anonymous memory beside H")
    for shift, value in error(min(args.rows, 200_000)):
        print(f"float32 scatter, mean {shift + 0.5} sigma: relative error {value:.1e}")
    with threadpool_limits(1):
        for what, sizes, times in exponents(args.rows):
            slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
            print(f"exponent of the moments' seconds, {what}: {slope:.2f}", flush=True)
    for name, bar, ratio in rows(args):
        print(f"{name:75s} {bar:8s} {ratio}", flush=True)


if __name__ == "__main__":
    main()
