"""
Tables: boosted trees and forests in, small networks out
========================================================

Trees are the teachers to beat on tables. A student of theirs is a few kilobytes of weights: linear
in numbers and embedded categories, with piecewise-linear encodings of the numbers (``n_bins``), or
with hidden layers. Teacher and student read the same data frame, categories and missing values
included.

Breast cancer comes with scikit-learn, all of it numbers; with 143 test rows, one row is 0.7 % of
accuracy. ``--data DIR`` takes ``adult``,
``nsl_kdd`` and ``letter`` from ``DIR/<name>/train.parquet`` and ``test.parquet`` instead, where
they are: columns of features, and ``label``.
"""

# %%
# The data
# --------
import argparse
import pickle
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from lelp_sklearn import StudentClassifier, TabularMLP

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("--data", type=Path, help="folder with adult, nsl_kdd, letter")
parser.add_argument("--picture", default="tabular_distillation.png", help="where the picture goes")
args, _ = parser.parse_known_args()


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    # The scarcer of the two, malignant, is the class that counts: the second one.
    return train_test_split(X, y.map({0: "malignant", 1: "benign"}), stratify=y, random_state=0)


def parquet(folder):
    if (folder / "train.parquet").exists():
        parts = [pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test")]
    else:
        rows = pd.read_parquet(folder / "all.parquet")
        parts = train_test_split(rows, stratify=rows["label"], random_state=0)
    hidden = ["label", "fine", "category"]  # labels, and the subclasses behind them
    X, X_test = (part.drop(columns=hidden, errors="ignore") for part in parts)
    names = X.select_dtypes(exclude="number").columns
    X, X_test = (part.astype(dict.fromkeys(names, "category")) for part in (X, X_test))
    return X, X_test, parts[0]["label"], parts[1]["label"]


def tables():
    if args.data is None:
        yield "breast cancer", breast_cancer()
    else:
        for name in ("adult", "nsl_kdd", "letter"):
            if (args.data / name).is_dir():
                yield name, parquet(args.data / name)


# %%
# The models
# ----------
# Boosting reads categories by itself; the forest gets them as codes. The students differ in two
# parameters.
CODES = OrdinalEncoder(
    handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1
)
TEACHERS = {
    "boosting": HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0),
    "forest": make_pipeline(
        make_column_transformer(
            (CODES, make_column_selector(dtype_include="category")), remainder="passthrough"
        ),
        RandomForestClassifier(100, min_samples_leaf=2, random_state=0),
    ),
}
STUDENTS = {
    "linear": {"module__hidden": ()},
    "linear, 16 bins": {"module__hidden": (), "module__n_bins": 16},
    "MLP": {},
    "MLP, 16 bins": {"module__n_bins": 16},
}


def student(n_rows, **params):
    size = (
        {"max_epochs": 40, "batch_size": 64}
        if n_rows < 2000
        else {"max_epochs": 10, "batch_size": 256}
    )
    return StudentClassifier(TabularMLP, random_state=0, **size, **params)


# %%
# The comparison
# --------------
# Each training row is answered by a teacher that did not see it, which ``DistilledClassifier(...,
# cv=3)`` does in one go; here the answers are kept, for four students. Rows a second count from
# the raw frame on.
def measure(model, X, y):
    start = time.perf_counter()
    proba = model.predict_proba(X)
    seconds = time.perf_counter() - start
    return {
        "accuracy": (model.classes_[proba.argmax(axis=1)] == y).mean(),
        "average_precision": average_precision_score(y == model.classes_[1], proba[:, 1]),
        "rows_per_second": len(y) / seconds,
        "bytes": len(pickle.dumps(model)),
    }


def compare(X, X_test, y, y_test):
    rows = {}
    for who, teacher in TEACHERS.items():
        proba = cross_val_predict(teacher, X, y, cv=3, method="predict_proba")
        rows[who] = measure(teacher.fit(X, y), X_test, y_test)
        for name, params in STUDENTS.items():
            model = student(len(X), **params).fit(X, y, teacher_proba=proba)
            rows[f"{name} (of {who})"] = measure(model, X_test, y_test)
    return pd.DataFrame.from_dict(rows, orient="index")


FORMATS = {"rows_per_second": "{:,.0f}".format, "bytes": "{:,.0f}".format}
found, start = {}, time.perf_counter()
for dataset, parts in tables():
    found[dataset] = compare(*parts)
    print(f"\n{dataset}: {len(parts[0]):,} training rows, {parts[0].shape[1]} columns")
    print(found[dataset].to_string(formatters=FORMATS, float_format="{:.4f}".format), flush=True)
print(f"{time.perf_counter() - start:.0f} seconds")

# %%
# The picture
# -----------
# What a student loses against its teacher, and what it gains.
figure, axes = plt.subplots(
    len(found), 2, figsize=(10, 4 * len(found)), squeeze=False, sharey="row", layout="constrained"
)
for (quality, size), (dataset, table) in zip(axes, found.items(), strict=True):
    colors = ["tab:orange" if name in TEACHERS else "tab:blue" for name in table.index]
    scores = table["average_precision"]
    quality.barh(table.index, scores, color=colors)
    quality.set(xlim=(scores.min() - 0.02, 1), xlabel="average precision", title=dataset)
    quality.invert_yaxis()
    size.barh(table.index, table["bytes"], color=colors)
    size.set(xscale="log", xlim=(1e4, None), xlabel="bytes of the pickled model")
    size.xaxis.set_minor_formatter("")
figure.savefig(args.picture, dpi=100)
