"""What an epoch of each objective costs beside plain distillation: time, and peak memory.

python benchmarks/objective_costs.py

20,000 made-up rows of 64 numbers, teacher embeddings of 384, an MLP student with an embedding of
384, batches of 256, one torch thread. Times are medians of pairs timed in turn, this objective and
KD; memory is the peak of a process of its own above what it held before fit.
"""

import argparse
import multiprocessing
import resource
import warnings

import numpy as np
import pandas as pd
from _common import machine, print_columns
from objectives import on_embeddings, on_logits

from lelp_sklearn import KD, MLP, StudentClassifier, SubclassDistillation

EPOCHS = 2


def rows(n=20_000):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 64)).astype(np.float32)
    H = (X @ rng.standard_normal((64, 384)) + rng.standard_normal((n, 384))).astype(np.float32)
    odds = H[:, :8].sum(axis=1) / 8
    proba = np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
    return X, (odds > 0).astype(int), {"teacher_proba": proba, "teacher_embeddings": H}


def student(objective):
    return StudentClassifier(
        MLP,
        module__hidden=384,
        objective=objective,
        max_epochs=EPOCHS,
        batch_size=256,
        device="cpu",
        random_state=0,
    )


def all_objectives():
    """One candidate of each row of benchmarks/objectives.py."""
    found = {name: several[0] for name, several in (on_logits() | on_embeddings(EPOCHS)).items()}
    return found | {"Subclass Distillation": SubclassDistillation(n_subclasses=192)}


def seconds(objective, X, y, arrays):
    """Of the epochs alone: targets are made once, whatever the epochs."""
    fitted = student(objective).fit(X, y, **arrays)
    return sum(epoch["dur"] for epoch in fitted.history_)


def peak(name, answer):
    """Megabytes above those held before fit, in a process of its own."""
    warnings.simplefilter("ignore")
    X, y, arrays = rows()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    student(all_objectives()[name]).fit(X, y, **arrays)
    answer.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    args = parser.parse_args()
    print(machine(), flush=True)
    warnings.simplefilter("ignore")
    X, y, arrays = rows()
    seconds(KD(), X, y, arrays)
    context = multiprocessing.get_context("spawn")
    table = {}
    for name, objective in all_objectives().items():
        ratios = []
        for _ in range(args.pairs):
            ratios.append(seconds(objective, X, y, arrays) / seconds(KD(), X, y, arrays))
        answer = context.Queue()
        process = context.Process(target=peak, args=(name, answer))
        process.start()
        megabytes = answer.get()
        process.join()
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        table[name] = {
            "time of an epoch, KD = 1": f"{middle:.2f} ({low:.2f} to {high:.2f})",
            "peak memory, MB": f"{megabytes:.0f}",
        }
        print(name, table[name], flush=True)
    print_columns(dict(pd.DataFrame(table).T.items()))


if __name__ == "__main__":
    main()
