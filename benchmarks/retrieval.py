"""Students that look rows up (ReAugKD) beside the same students alone, and what it costs.

python benchmarks/retrieval.py --data DIR --embeddings FOLDER --scores FILE

Two-class tasks are those of ``_tasks.py``, with 500 labelled rows of mr and trec; "banking77, 77"
and the like are the sets' own classes. "Plain" is the student by itself, "aligned" the one that
looks up, without its entries; the numbers are fixed shares of the votes. ``--latency`` measures
the time of 1,024 rows against 10,000 entries instead.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns, train_and_test
from _tasks import (
    NETWORK,
    NUMBER_BODIES,
    SETTINGS,
    TEXT_SETTINGS,
    WORD_BODIES,
    Task,
    encoded,
    resumable,
    task,
)
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import CrossEntropy, RetrievalAugmentedClassifier, StudentClassifier
from lelp_sklearn.students import _knowledge_base

SETS = ["mr", "trec", "banking77", "pendigits", "nsl_kdd"]
SEVERAL = ["banking77, 77", "trec, 6", "pendigits, 10"]
LABELLED = {"mr": 500, "trec": 500, "trec, 6": 500}
FIXED = {"+ 0.3": 0.3, "+ 0.5": 0.5, "votes alone": 1.0}
ROWS = ["plain", "aligned", *FIXED, "+ auto"]
LATENCY = ["letter", "banking77"]
ENTRIES, BATCH, REPEATS = 10_000, 1024, 50


def several_classes(args, name, seed):
    """A set with its own classes; texts have a teacher on frozen embeddings, as in ``_tasks``."""
    folder = name.split(",")[0]
    if folder == "pendigits":
        train, test = train_and_test(args.data, folder, seed)
        y, y_test = [part["fine"].to_numpy(str) for part in (train, test)]
        X, X_test = [part.drop(columns=["label", "fine"]) for part in (train, test)]
        scaler = StandardScaler().fit(X)
        X, X_test = [scaler.transform(part).astype(np.float32) for part in (X, X_test)]
        kept = np.random.default_rng(seed).permutation(len(y))[:5000]
        X, y = X[kept], y[kept]
        H, H_test, settings, bodies = X, X_test, SETTINGS, NUMBER_BODIES
        teacher = StudentClassifier(
            objective=CrossEntropy(), random_state=seed, **NETWORK, **settings
        )
    else:
        parts = [
            pd.read_parquet(args.data / folder / f"{part}.parquet") for part in ("train", "test")
        ]
        table = pd.concat(parts, ignore_index=True)
        texts, labels = table["text"].to_numpy(object), table["label"].to_numpy(str)
        rows = np.arange(len(table))
        train, test = rows[: len(parts[0])], rows[len(parts[0]) :]
        if folder == "trec":
            train, test = train_test_split(rows, test_size=0.25, stratify=labels, random_state=seed)
        embeddings = encoded(args.embeddings, folder, texts)
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=5000)
        X = words.fit_transform(texts[train]).astype(np.float32)
        X_test = words.transform(texts[test]).astype(np.float32)
        y, y_test, H, H_test = labels[train], labels[test], embeddings[train], embeddings[test]
        settings, bodies = TEXT_SETTINGS, WORD_BODIES
        teacher = LogisticRegression(max_iter=1000)
    labeled = np.zeros(len(y), bool)
    order = np.random.default_rng(seed).permutation(len(y))
    labeled[order[: LABELLED.get(name, len(y))]] = True
    teacher.fit(H[labeled], y[labeled])
    proba = teacher.predict_proba(H)
    proba[labeled] = cross_val_predict(
        clone(teacher), H[labeled], y[labeled], cv=5, method="predict_proba"
    )
    seen, seen_test = [
        teacher.transform(part) if hasattr(teacher, "transform") else part for part in (H, H_test)
    ]
    return Task(
        X,
        X_test,
        y,
        y_test,
        y,
        proba,
        seen,
        seen_test,
        teacher.score(H_test, y_test),
        labeled,
        settings,
        bodies,
    )


def scores_of(args, name, seed):
    """Accuracy and log-loss of each row of the table, and the weight that was chosen."""
    if name in SEVERAL:
        rows = several_classes(args, name, seed)
    else:
        rows = task(args.data, name, seed, embeddings=args.embeddings, labelled=LABELLED.get(name))
    found = {"teacher": rows.teacher_score}
    for body, params in rows.bodies.items():
        student = StudentClassifier(random_state=seed, **params, **rows.settings)
        plain = clone(student).fit(rows.X, rows.y, **rows.arguments())
        fixed = RetrievalAugmentedClassifier(student, retrieval_weight=1.0, random_state=seed)
        fixed.fit(rows.X, rows.y, **rows.arguments())
        auto = clone(fixed).set_params(retrieval_weight="auto")
        auto.fit(rows.X, rows.y, **rows.arguments())
        proba = {
            "plain": plain.predict_proba(rows.X_test),
            "aligned": fixed.student_.predict_proba(rows.X_test),
            "+ auto": auto.predict_proba(rows.X_test),
        }
        for row, weight in FIXED.items():
            fixed.retrieval_weight_ = weight
            proba[row] = fixed.predict_proba(rows.X_test)
        for row, values in proba.items():
            values = values.astype(float)
            values /= values.sum(axis=1, keepdims=True)
            hits = plain.classes_[values.argmax(axis=1)] == rows.y_test
            found[f"{body}: {row}: accuracy"] = hits.mean()
            found[f"{body}: {row}: log-loss"] = log_loss(rows.y_test, values, labels=plain.classes_)
        found[f"{body}: weight"] = auto.retrieval_weight_
    return found


def print_scores(args):
    """Run what is missing, and print accuracies, differences to plain, log-losses and weights."""
    jobs = [(name, seed) for seed in range(args.seeds) for name in args.sets]
    lines = resumable(args.scores, jobs, lambda *job: scores_of(args, *job), ["set", "seed"])
    table = lines.pivot(index=["set", "seed"], columns="row", values="score")
    teacher = {name: mean_and_error(table.loc[name][["teacher"]]) for name in args.sets}
    print_columns(teacher)
    for body in NUMBER_BODIES:
        columns = {}
        for measure, scale in (("accuracy", 100), ("log-loss", 1)):
            own = table[[f"{body}: {row}: {measure}" for row in ROWS]].set_axis(ROWS, axis=1)
            columns[measure] = scale * own
            columns[f"{measure} above plain"] = scale * own.sub(own["plain"], axis=0)
        for title, values in columns.items():
            print(f"\n{body}, {title}")
            digits = "{:.2f}" if title.startswith("accuracy") else "{:.3f}"
            print_columns(
                {
                    name: values.loc[name].mean().map(digits.format)
                    + " ± "
                    + values.loc[name].sem().map(digits.format)
                    for name in args.sets
                }
            )
        weights = table[f"{body}: weight"]
        print(f"\n{body}, weights chosen")
        for name in args.sets:
            print(f"{name}: {' '.join(weights.loc[name].map('{:.1f}'.format))}")


def milliseconds(predict, rows):
    """Median processor time, which other programs on the machine do not add to."""
    took = []
    for _ in range(REPEATS):
        start = time.process_time()
        predict(rows)
        took.append(time.process_time() - start)
    return 1000 * np.median(took[1:])


def print_latency(args):
    """Time of a batch by each index; of numbers (letter) and of sparse rows (banking77)."""
    for name in LATENCY:
        rows = task(args.data, name, 0, rows=ENTRIES, embeddings=args.embeddings)
        student = StudentClassifier(random_state=0, **rows.bodies["MLP 32"], **rows.settings)
        model = RetrievalAugmentedClassifier(
            student, retrieval_weight=0.5, max_entries=ENTRIES, index="exact", random_state=0
        ).fit(rows.X, rows.y, **rows.arguments())
        base, batch = model.knowledge_base_, rows.X_test[:BATCH]
        took = {"student alone": f"{milliseconds(model.student_.predict_proba, batch):.1f}"}
        took["+ exact"] = f"{milliseconds(model.predict_proba, batch):.1f}"
        exact = model.kneighbors(batch)[1]
        recall, built = {}, {}
        for library in ("hnswlib", "faiss"):
            _knowledge_base._LIBRARIES = (library,)
            base.index, base._search = "hnsw", None
            start = time.process_time()
            near = model.kneighbors(batch)[1]
            built[f"+ {library}"] = f"{time.process_time() - start:.1f}"
            shared = [len(set(a) & set(b)) for a, b in zip(near, exact, strict=True)]
            recall[f"+ {library}"] = f"{np.mean(shared) / exact.shape[1]:.3f}"
            took[f"+ {library}"] = f"{milliseconds(model.predict_proba, batch):.1f}"
        print(f"\n{name}: {base.n_entries} entries of {base.embeddings.shape[1]} columns, "
              f"{len(model.classes_)} classes: {base.nbytes / 1e6:.1f} MB")  # fmt: skip
        columns = {"ms a batch": took, "recall": recall, "s to build": built}
        print_columns(
            {title: pd.Series(c, index=list(took)).fillna("") for title, c in columns.items()}
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder for embeddings")
    parser.add_argument("--scores", type=Path, help="CSV file that keeps the scores")
    parser.add_argument("--sets", nargs="*", default=[*SETS, *SEVERAL])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--latency", action="store_true", help="measure time instead of scores")
    args = parser.parse_args()
    print(machine(), flush=True)
    warnings.filterwarnings("ignore", message="The least populated class")  # of trec's 500 labels
    if args.latency:
        print_latency(args)
    elif args.scores is None:
        parser.error("--scores names the file that keeps the scores")
    else:
        print_scores(args)


if __name__ == "__main__":
    main()
