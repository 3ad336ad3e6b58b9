"""What an epoch of each objective costs beside plain distillation: time.

python benchmarks/objective_costs.py

6,000 made-up rows of 384 numbers, teacher embeddings of 384, an MLP student of 512 and 384 hidden
units, batches of 256, one torch thread. Times are medians of pairs timed in turn, this objective
and KD, with quartiles. Objectives in stages cost what their stages do.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from _common import machine, print_columns
from objectives import on_embeddings, on_logits

from lelp_sklearn import KD, MLP, Stages, StudentClassifier

EPOCHS = 2


def rows(n=6_000):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 384), dtype=np.float32)
    H = X @ rng.standard_normal((384, 384), dtype=np.float32)
    H += rng.standard_normal((n, 384), dtype=np.float32)
    odds = H[:, :8].sum(axis=1) / 8
    proba = np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
    return X, (odds > 0).astype(int), {"teacher_proba": proba, "teacher_embeddings": H}


def student(objective):
    return StudentClassifier(
        MLP,
        module__hidden=(512, 384),
        objective=objective,
        max_epochs=EPOCHS,
        batch_size=256,
        device="cpu",
        random_state=0,
    )


def all_objectives():
    """One candidate of each row of benchmarks/objectives.py."""
    every = on_logits() | on_embeddings(8)
    return {
        name: several[0] for name, several in every.items() if not isinstance(several[0], Stages)
    }


def seconds(objective, X, y, arrays):
    """Of the epochs alone: targets are made once, whatever the epochs."""
    fitted = student(objective).fit(X, y, **arrays)
    return sum(epoch["dur"] for epoch in fitted.history_)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    args = parser.parse_args()
    print(machine(), flush=True)
    warnings.simplefilter("ignore")
    X, y, arrays = rows()
    seconds(KD(), X, y, arrays)
    table = {}
    for name, objective in all_objectives().items():
        ratios = []
        for _ in range(args.pairs):
            ratios.append(seconds(objective, X, y, arrays) / seconds(KD(), X, y, arrays))
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        table[name] = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        print(name, table[name], flush=True)
    print_columns({"time of an epoch, KD = 1": pd.Series(table)})


if __name__ == "__main__":
    main()
