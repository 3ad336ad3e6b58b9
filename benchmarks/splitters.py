"""Every way of splitting, and the controls: accuracy, log-loss and rank over tables.

python benchmarks/splitters.py --data DIR

The teacher is a network of one hidden layer of 256, trained on the training rows; the students get
its outputs out of fold (five folds), but the embeddings of the teacher of all rows. Ranks are over
the rows of one body, averaged over sets; p is of a Wilcoxon test of a row's scores against the wide
head's, set by set and seed by seed, corrected by Holm.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns, train_and_test
from scipy.stats import wilcoxon
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    MLP,
    AutoencoderSplitter,
    ClusterSplitter,
    CrossEntropy,
    EnsembleSplitter,
    GraphSplitter,
    ICASplitter,
    LELPProjector,
    LELPStudentClassifier,
    OracleSplitter,
    RandomSplitter,
    StudentClassifier,
)

SETS = ["letter", "pendigits", "dry_bean", "covtype_15k"]
SETTINGS = {"batch_size": 256, "max_epochs": 15, "lr": 0.02}
BODIES = {"linear": {}, "MLP 32": {"module": MLP, "module__hidden": 32}}


def splitters(n):
    rotations = [(f"rotation {i}", LELPProjector(n_subclasses=n)) for i in range(5)]
    mixture = GaussianMixture(covariance_type="diag", reg_covar=1e-3)
    return {
        "random partition": RandomSplitter(n_subclasses=n),
        "random directions": LELPProjector(n_subclasses=n, directions="random"),
        "rotated (the paper)": LELPProjector(n_subclasses=n),
        "signed_pca": LELPProjector(n_subclasses=n, directions="signed_pca"),
        "varimax": LELPProjector(n_subclasses=n, directions="varimax"),
        "auto number": LELPProjector(n_subclasses="auto", directions="signed_pca"),
        "ICA": ICASplitter(n_subclasses=n),
        "k-means": ClusterSplitter(n_subclasses=n),
        "mixture on 8 components": ClusterSplitter(
            mixture, n_subclasses=n, reduce=8, subclass_temperature=1.0
        ),
        "graph": GraphSplitter(n_subclasses=n, max_rows=2000),
        "autoencoder": AutoencoderSplitter(n_subclasses=n),
        "five rotations": EnsembleSplitter(rotations),
        "oracle": OracleSplitter(),
    }


def read(folder, name, seed, limit):
    parts = train_and_test(folder, name, seed)
    train = parts[0].sample(min(limit, len(parts[0])), random_state=seed)
    scaler = StandardScaler().fit(train.drop(columns=["label", "fine"]))
    rows = [
        scaler.transform(part.drop(columns=["label", "fine"])).astype(np.float32)
        for part in (train, parts[1])
    ]
    fine = np.unique(train["fine"].astype(str), return_inverse=True)[1]
    return *rows, train["label"].to_numpy(str), parts[1]["label"].to_numpy(str), fine


def one_seed(args, name, seed):
    X, X_test, y, y_test, fine = read(args.data, name, seed, args.rows)
    teacher = StudentClassifier(
        MLP, module__hidden=256, objective=CrossEntropy(), random_state=seed, **SETTINGS
    )
    proba = cross_val_predict(teacher, X, y, cv=5, method="predict_proba")
    teacher.fit(X, y)
    outputs = {"teacher_proba": proba, "teacher_embeddings": teacher.transform(X)}
    scores = {"teacher": teacher.score(X_test, y_test)}
    for body, params in BODIES.items():
        kd = StudentClassifier(random_state=seed, **params, **SETTINGS)
        scores[f"{body}: KD"] = kd.fit(X, y, teacher_proba=proba).score(X_test, y_test)
        wide = LELPStudentClassifier(
            projector=LELPProjector(n_subclasses=args.subclasses),
            subclass_weight=0.0,
            random_state=seed,
            **params,
            **SETTINGS,
        )
        scores[f"{body}: wide head"] = wide.fit(X, y, **outputs).score(X_test, y_test)
        for kind, splitter in splitters(args.subclasses).items():
            given = outputs | {"teacher_embeddings": fine[:, None]} if kind == "oracle" else outputs
            for weight in (1.0, 0.1):
                student = LELPStudentClassifier(
                    projector=splitter,
                    subclass_weight=weight,
                    random_state=seed,
                    **params,
                    **SETTINGS,
                )
                row = f"{body}: {kind}, weight {weight:g}"
                scores[row] = student.fit(X, y, **given).score(X_test, y_test)
    return scores


def compared_with_the_wide_head(scores, body):
    """Mean rank of each row of a body, and its Holm-corrected p against the wide head."""
    own = scores.loc[:, scores.columns.str.startswith(f"{body}:")]
    ranks = own.rank(axis=1, ascending=False).groupby(level=0).mean().mean()
    wide = f"{body}: wide head"
    others = own.columns.drop(wide)
    p = pd.Series(
        {row: wilcoxon(own[row], own[wide], zero_method="zsplit").pvalue for row in others}
    )
    order = p.sort_values().index
    corrected = (p[order] * np.arange(len(p), 0, -1)).cummax().clip(upper=1)
    return pd.DataFrame({"mean rank": ranks, "p against the wide head": corrected})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000, help="training rows at most")
    parser.add_argument("--subclasses", type=int, default=8)
    args = parser.parse_args()
    print(machine(), flush=True)
    scores = {}
    for name in args.sets:
        start = time.perf_counter()
        scores[name] = pd.DataFrame([one_seed(args, name, seed) for seed in range(args.seeds)])
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    print_columns({name: mean_and_error(table) for name, table in scores.items()})
    together = pd.concat(scores)
    for body in BODIES:
        table = compared_with_the_wide_head(together, body).sort_values("mean rank")
        print_columns({column: table[column].map("{:.3f}".format) for column in table})


if __name__ == "__main__":
    main()
