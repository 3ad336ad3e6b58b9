"""A student on a large sparse matrix against a hand-written EmbeddingBag loop, and its peak memory.

python benchmarks/sparse_training.py

Both train on the same rows, batches of the same size and number of epochs, alternately in one
process. The loop is the usual one: rows by SciPy's indexing, ``nn.EmbeddingBag(sparse=True)``,
``SparseAdam`` for its table and AdamW for the head. Peak memory is that of a fresh process which
only makes the matrix and fits the student.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from _common import machine
from scipy import sparse

from lelp_sklearn import BagOfNgrams, CrossEntropy, StudentClassifier


def matrix(args):
    """Rows of so many random columns, drawn evenly: the worst case for a table's memory."""
    rng = np.random.default_rng(0)
    n = args.rows * args.non_zeros
    ids = rng.integers(0, args.columns, n, dtype=np.int32)
    values = rng.random(n, dtype=np.float32)
    ends = np.arange(0, n + 1, args.non_zeros, dtype=np.int32)
    return sparse.csr_array((values, ids, ends), shape=(args.rows, args.columns))


def student(args):
    return StudentClassifier(
        BagOfNgrams,
        module__dim=args.dim,
        objective=CrossEntropy(),
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        random_state=0,
        device="cpu",
    )


def by_hand(X, y, args):
    table = torch.nn.EmbeddingBag(
        args.columns, args.dim, mode="sum", sparse=True, include_last_offset=True
    )
    head = torch.nn.Linear(args.dim, 2)
    optimizers = [
        torch.optim.SparseAdam(list(table.parameters()), lr=0.01),
        torch.optim.AdamW(head.parameters(), lr=0.01, fused=True),
    ]
    targets = torch.from_numpy(y)
    for _ in range(args.epochs):
        for rows in torch.randperm(len(y)).split(args.batch_size):
            part = X[rows.numpy()]
            arrays = (part.indices, part.indptr, part.data)
            ids, ends, values = map(torch.from_numpy, arrays)
            loss = torch.nn.functional.cross_entropy(head(table(ids, ends, values)), targets[rows])
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()


def peak(args):
    """Megabytes of anonymous memory at the most, beyond what the imports take."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    X = matrix(args)
    y = np.arange(args.rows) % 2
    size = (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 1e6
    fitted = student(args).set_params(max_epochs=1).fit(X, y)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    state = fitted.net_.optimizer_.state.values()
    tensors = [v for s in state for v in s.values()] + list(fitted.net_.module_.parameters())
    model = sum(t.numel() * t.element_size() for t in tensors) / 1e6
    used = (after - before) * 1024 / 1e6
    print(
        f"CSR {size:.0f} MB, model and its AdamW moments {model:.0f} MB, peak {used:.0f} MB: "
        f"model + {(used - model) / size:.2f} x CSR"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=1_000_000)
    parser.add_argument("--non-zeros", type=int, default=50, help="a row")
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peak", action="store_true", help="only fit once and print the memory")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.peak:
        peak(args)
        return
    print(machine())
    subprocess.run([sys.executable, *sys.argv, "--peak"], check=True)
    X, y = matrix(args), np.arange(args.rows) % 2
    seconds = {"student": [], "by hand": []}
    for _ in range(args.repeats):
        start = time.perf_counter()
        student(args).fit(X, y)
        middle = time.perf_counter()
        by_hand(X, y, args)
        seconds["student"].append(middle - start)
        seconds["by hand"].append(time.perf_counter() - middle)
    ratios = np.array(seconds["student"]) / np.array(seconds["by hand"])
    for name, values in seconds.items():
        microseconds = 1e6 * np.median(values) / args.rows / args.epochs
        print(f"{name}: {np.median(values):.2f} s, {microseconds:.1f} us a row and epoch")
    print(f"ratio: median {np.median(ratios):.2f}, {ratios.min():.2f} to {ratios.max():.2f}")


if __name__ == "__main__":
    main()
