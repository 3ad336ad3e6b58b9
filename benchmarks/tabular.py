"""Students of tables: what a boosted teacher teaches a linear model and a small network.

python benchmarks/tabular.py --data DIR

The teacher is histogram gradient boosting; its probabilities of the training rows are out of fold
(five folds), its embeddings those of the leaves. ``subclass_weight`` is tuned on a fifth of the
training rows. Rows are standardised numbers and embedded categories, by the student itself.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns, train_and_test
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lelp_sklearn import (
    KD,
    CrossEntropy,
    LELPProjector,
    LELPStudentClassifier,
    StudentClassifier,
    TabularMLP,
    as_teacher,
)

SETS = ["letter", "nsl_kdd", "adult", "covtype_15k", "dry_bean"]
HIDDEN = ["fine", "category"]  # the hidden subclasses, which nobody is told
WEIGHTS = [0.0, 0.03, 0.1, 0.3, 1.0]
SETTINGS = {"batch_size": 256, "max_epochs": 10, "lr": 0.02}
BODIES = {"linear": (), "MLP 64": 64}


def read(folder, name, seed):
    """Training and test rows with their labels; a set without a split is split by the seed."""
    train, test = train_and_test(folder, name, seed)
    rows = [part.drop(columns=["label", *HIDDEN], errors="ignore") for part in (train, test)]
    texts = rows[0].select_dtypes(exclude="number").columns
    categories = {
        c: pd.CategoricalDtype(sorted(set(rows[0][c].astype(str)) | set(rows[1][c].astype(str))))
        for c in texts
    }
    rows = [part.astype(dict.fromkeys(texts, str)).astype(categories) for part in rows]
    return *rows, train["label"].to_numpy(str), test["label"].to_numpy(str)


def lelp(hidden, seed, **params):
    projector = LELPProjector(n_subclasses=6, directions="signed_pca")
    student = LELPStudentClassifier(
        TabularMLP,
        module__hidden=hidden,
        projector=projector,
        subclass_weight=1.0,
        alpha=0.0,
        random_state=seed,
        **SETTINGS,
    )
    return student.set_params(**params)


def plain(hidden, seed, objective=None):
    objective = objective or KD(alpha=0.0)
    return StudentClassifier(
        TabularMLP, module__hidden=hidden, objective=objective, random_state=seed, **SETTINGS
    )


def tuned(hidden, seed, X, y, arrays):
    """The weight that does best on a fifth of the rows, then all rows."""
    inner, held_out = train_test_split(
        np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed
    )
    part = {name: values[inner] for name, values in arrays.items()}
    scores = [
        lelp(hidden, seed, subclass_weight=weight)
        .fit(X.iloc[inner], y[inner], **part)
        .score(X.iloc[held_out], y[held_out])
        for weight in WEIGHTS
    ]
    return lelp(hidden, seed, subclass_weight=WEIGHTS[int(np.argmax(scores))]).fit(X, y, **arrays)


def one_seed(folder, name, seed):
    X, X_test, y, y_test = read(folder, name, seed)
    boosting = HistGradientBoostingClassifier(
        categorical_features="from_dtype", early_stopping=False, random_state=seed
    )
    proba = cross_val_predict(boosting, X, y, cv=5, method="predict_proba")
    teacher = as_teacher(boosting.fit(X, y), X)
    arrays = {"teacher_proba": proba, "teacher_embeddings": teacher.transform(X)}
    only_proba = {"teacher_proba": proba}
    encoded = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    logistic = make_pipeline(encoded, LogisticRegression(max_iter=1000)).fit(X, y)
    scores = {
        "teacher (HistGradientBoosting)": boosting.score(X_test, y_test),
        "LogisticRegression": logistic.score(X_test, y_test),
    }
    for body, hidden in BODIES.items():
        fitted = {
            "labels only": plain(hidden, seed, CrossEntropy()).fit(X, y),
            "wide head, labels": plain(hidden, seed, CrossEntropy(n_subclasses=6)).fit(X, y),
            "KD": plain(hidden, seed).fit(X, y, **only_proba),
            "wide head, KD": lelp(hidden, seed, subclass_weight=0.0).fit(X, y, **arrays),
            "LELP, random directions": lelp(hidden, seed, projector__directions="random").fit(
                X, y, **arrays
            ),
            "LELP": lelp(hidden, seed).fit(X, y, **arrays),
            "LELP, subclass_weight tuned": tuned(hidden, seed, X, y, arrays),
        }
        for row, student in fitted.items():
            scores[f"{body}: {row}"] = student.score(X_test, y_test)
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print(machine(), flush=True)
    columns = {}
    for name in args.sets:
        start = time.perf_counter()
        scores = pd.DataFrame([one_seed(args.data, name, seed) for seed in range(args.seeds)])
        columns[name] = mean_and_error(scores)
        took = time.perf_counter() - start
        print(f"\n{name}, {took:.0f} s\n{columns[name].to_string()}", flush=True)
    print_columns(columns)


if __name__ == "__main__":
    main()
