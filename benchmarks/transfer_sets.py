"""A budget of questions: which rows to ask the teacher about, and what SEA makes of them.

python benchmarks/transfer_sets.py --data DIR --embeddings FOLDER --scores FILE

Tasks are those of ``_tasks.py``, the rows beside 500 labelled ones are the pool, and no student
sees a label. A budget is a share of the pool, chosen by ``select_rows`` without the teacher's
answers: by distances of inputs or of the teacher's embeddings, 50 components of either; or by the
doubts of a student taught a random half of the budget, which choose the other half. KD and SEA
(half of the epochs for the embedding, half for a head on it) learn from what was chosen, in as many
steps as the whole pool takes in eight epochs. In the last columns only SEA's reduction is fitted to
so many rows and the student learns from the whole pool, as in the paper's comparison of samplers.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns
from _tasks import resumable, task
from sklearn.decomposition import TruncatedSVD

from lelp_sklearn import (
    KD,
    EmbeddingApproximation,
    Stage,
    Stages,
    StudentClassifier,
    select_rows,
)

SETS = {"mr": 8000, "mnist": 10_500}  # rows at most, 500 of them not of the pool
BUDGETS = {"1 %": 0.01, "5 %": 0.05, "10 %": 0.1}
DIVERSE = [(strategy, "inputs") for strategy in ("k-means++", "k-center", "k-dpp")]
DIVERSE.append(("k-dpp", "embeddings"))  # as SEA does
DOUBTS = ["entropy", "informed"]  # a margin is the entropy, with two classes
EPOCHS = 8  # of the whole pool; others take as many steps


def kd(epochs):
    """The teacher's answers alone."""
    return KD(alpha=0.0)


def sea(epochs, **params):
    """The embedding in half of the epochs, then a head."""
    half = epochs // 2
    return Stages(
        [
            ("embedding", Stage(EmbeddingApproximation(**params), max_epochs=half)),
            ("head", Stage(KD(alpha=0.0), frozen=["body"], max_epochs=epochs - half)),
        ]
    )


def scores_of(args, name, seed):
    """Accuracy of KD and SEA by sampler and budget, on one split."""
    rows = task(
        args.data,
        name,
        seed,
        rows=SETS[name],
        embeddings=args.embeddings,
        pretrained=True,
        labelled=500,
    )
    pool = np.flatnonzero(~rows.labeled)
    X, H, proba = rows.X[pool], rows.teacher_embeddings[pool], rows.teacher_proba[pool]
    settings = rows.settings | rows.bodies["MLP 32"] | {"random_state": seed}
    size = settings.pop("batch_size")
    settings.pop("max_epochs")
    steps = EPOCHS * np.ceil(len(pool) / size)
    spaces = {
        seen: TruncatedSVD(50, random_state=seed).fit_transform(values)
        for seen, values in (("inputs", X), ("embeddings", H))
    }

    def student(chosen, objective):
        """Taught the chosen rows."""
        epochs = round(steps / np.ceil(len(chosen) / size))
        model = StudentClassifier(
            objective=objective(epochs), max_epochs=epochs, batch_size=size, **settings
        )
        return model.fit(
            X[chosen],
            rows.y[pool][chosen],  # which classes there are; alpha=0 reads no more of it
            teacher_proba=proba[chosen],
            teacher_embeddings=H[chosen],
        )

    def score(model):
        return model.score(rows.X_test, rows.y_test)

    everything = np.arange(len(pool))
    found = {"teacher|all|100 %": rows.teacher_score}
    found["KD|all|100 %"] = score(student(everything, kd))
    found["SEA|all|100 %"] = score(student(everything, sea))
    for budget, share in BUDGETS.items():
        n = round(share * len(pool))
        chosen = {"random": select_rows(X, n, strategy="random", random_state=seed)}
        for strategy, seen in DIVERSE:
            chosen[f"{strategy}, {seen}"] = select_rows(
                spaces[seen], n, strategy=strategy, random_state=seed
            )
        half = chosen["random"][: n // 2]
        others = np.setdiff1d(everything, half)
        doubts = student(half, kd).predict_proba(X[others])
        for strategy in DOUBTS:
            more = select_rows(
                X[others], n - len(half), strategy=strategy, proba=doubts, random_state=seed
            )
            chosen[f"{strategy}, doubts"] = np.concatenate([half, others[more]])
        for sampler, asked in chosen.items():
            found[f"KD|{sampler}|{budget}"] = score(student(asked, kd))
            found[f"SEA|{sampler}|{budget}"] = score(student(asked, sea))
        for sampler in ("random", "informed", "k-dpp"):
            reduced = partial(sea, sampler=sampler, sample_size=n)
            found[f"SEA's reduction|{sampler}|{budget}"] = score(student(everything, reduced))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--embeddings", type=Path, help="folder for embeddings of texts")
    parser.add_argument("--scores", type=Path, required=True, help="CSV file that keeps the scores")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print(machine(), flush=True)
    jobs = [(name, seed) for seed in range(args.seeds) for name in args.sets]
    lines = resumable(args.scores, jobs, lambda *job: scores_of(args, *job), ["set", "seed"])
    lines[["student", "sampler", "budget"]] = lines["row"].str.split("|", expand=True)
    for name in args.sets:
        own = lines[lines["set"] == name]
        cells = own.groupby(["student", "budget", "sampler"], sort=False)["score"]
        shown = mean_and_error(cells.apply(list).apply(pd.Series).T)
        columns = {
            f"{student}, {budget}": column.droplevel(["student", "budget"])
            for (student, budget), column in shown.groupby(["student", "budget"], sort=False)
        }
        whole = [f"{who} {columns[f'{who}, 100 %']['all']}" for who in ("teacher", "KD", "SEA")]
        print(f"\n{name}; whole pool: {', '.join(whole)}")
        for students in (["KD", "SEA"], ["SEA's reduction"]):
            names = [f"{who}, {budget}" for who, budget in product(students, BUDGETS)]
            print_columns({column: columns[column] for column in names})


if __name__ == "__main__":
    main()
