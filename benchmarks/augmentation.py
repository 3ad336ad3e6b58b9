"""Two hundred labelled rows: what made rows add to distillation, beside as many real ones.

python benchmarks/augmentation.py --data DIR --scores FILE

The teacher is a random forest; "small", fitted to the 200 rows (its answers about them are out of
fold), or "large", fitted to 10,000 others. Numbers are ranks from 0 to 1, categories one-hot, both
by the 200 rows. It is what ``DistilledClassifier(augment=...)`` does, with a forest fitted once for
all students. These have a hidden layer of 64 and take 500 steps of 64 rows, however many rows they
have, but for one of 100 steps.
"""

import argparse
from pathlib import Path

import numpy as np
from _common import machine, mean_and_error, print_columns, train_and_test
from _tasks import resumable
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from lelp_sklearn import (
    KD,
    MLP,
    CrossEntropy,
    GANAugmenter,
    LELPStudentClassifier,
    Mixup,
    Munge,
    Resample,
    Smote,
    StudentClassifier,
    VAEAugmenter,
    as_teacher,
)

SETS = ["letter", "adult", "nsl_kdd"]
TEACHERS = ["small", "large"]
LABELLED, POOL, OTHERS, TEST = 200, 3200, 10_000, 3000
MOST = POOL // LABELLED  # made rows for each labelled one: as many as there are in the pool
HIDDEN = ["label", "fine", "category"]  # the classes and their subclasses, no features
BATCH, STEPS = 64, 500


def read(folder, name, seed):
    """Encoded rows and labels: labelled, pool, the large teacher's, test; groups of columns."""
    train, test = train_and_test(folder, name, seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    ends = np.cumsum([LABELLED, POOL, OTHERS])
    parts = [train.iloc[rows] for rows in np.split(order, ends)[:3]]
    parts.append(test.iloc[rng.permutation(len(test))[:TEST]])
    rows = [part.drop(columns=HIDDEN, errors="ignore") for part in parts]
    encoder = make_column_transformer(
        (QuantileTransformer(n_quantiles=LABELLED), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    ).fit(rows[0])
    groups, end = [], encoder.output_indices_["quantiletransformer"].stop
    for values in getattr(encoder.named_transformers_["onehotencoder"], "categories_", []):
        groups.append(list(range(end, end + len(values))))
        end += len(values)
    encoded = [encoder.transform(part) for part in rows]
    return encoded, [part["label"].to_numpy(str) for part in parts], groups


def made_rows(X, y, groups, seed):
    """Name to new rows."""
    mixup, munge = Mixup(random_state=seed), Munge(groups=groups, random_state=seed)
    kinds = {
        "Mixup x4": (mixup, 4),
        f"Mixup x{MOST}": (mixup, MOST),
        "Munge x4": (munge, 4),
        f"Munge x{MOST}": (munge, MOST),
        f"Resample x{MOST}": (Resample(groups=groups, random_state=seed), MOST),
        f"Smote x{MOST}": (Smote(random_state=seed), MOST),
        f"VAE x{MOST}": (VAEAugmenter(random_state=seed), MOST),
        f"GAN x{MOST}": (GANAugmenter(random_state=seed), MOST),
    }
    return {name: kind.fit(X, y).sample(factor * len(X)) for name, (kind, factor) in kinds.items()}


def scores_of(folder, name, seed):
    """Accuracy of all students on one draw of rows, and agreement with their teachers."""
    (X, pool, others, X_test), (y, _, y_others, y_test), groups = read(folder, name, seed)
    settings = {"module__hidden": 64, "batch_size": BATCH, "random_state": seed, "device": "cpu"}

    def student(n_rows, kind=StudentClassifier, steps=STEPS, **params):
        epochs = max(1, round(steps / np.ceil(n_rows / BATCH)))
        return kind(MLP, max_epochs=epochs, **params, **settings)

    labels = student(LABELLED, objective=CrossEntropy()).fit(X, y)
    new = {"": X[:0], **made_rows(X, y, groups, seed), f"{POOL} real rows": pool}
    found = {}
    for size in TEACHERS:
        forest = RandomForestClassifier(100, random_state=seed)
        fitted = forest.fit(X, y) if size == "small" else forest.fit(others, y_others)
        teacher = as_teacher(fitted, X)
        told = teacher.predict_proba(X)
        if size == "small":
            told = cross_val_predict(clone(forest), X, y, cv=5, method="predict_proba")

        def taught(more, teacher=teacher, told=told, **params):
            rows = np.vstack([X, more])
            arrays = {"teacher_proba": told}
            if len(more):
                arrays["teacher_proba"] = np.vstack([told, teacher.predict_proba(more)])
            if "kind" in params:
                arrays["teacher_embeddings"] = teacher.transform(rows)
            labeled = np.arange(len(rows)) < LABELLED
            filled = np.concatenate([y, np.repeat(y[:1], len(more))])  # never read
            return student(len(rows), **params).fit(rows, filled, labeled=labeled, **arrays)

        models = {"labels": labels}
        models["KD, 100 steps"] = taught(new[""], steps=100, objective=KD())
        for row, more in new.items():
            models[f"KD, {row}".removesuffix(", ")] = taught(more, objective=KD())
        for row in ("", f"Munge x{MOST}", f"{POOL} real rows"):
            models[f"LELP, {row}".removesuffix(", ")] = taught(new[row], kind=LELPStudentClassifier)
        said = teacher.predict(X_test)
        found[f"{size}: teacher: accuracy"] = np.mean(said == y_test)
        for row, model in models.items():
            guess = model.predict(X_test)
            found[f"{size}: {row}: accuracy"] = np.mean(guess == y_test)
            found[f"{size}: {row}: agreement"] = np.mean(guess == said)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--scores", type=Path, required=True, help="CSV file that keeps the scores")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print(machine(), flush=True)
    jobs = [(name, seed) for seed in range(args.seeds) for name in args.sets]
    lines = resumable(args.scores, jobs, lambda *job: scores_of(args.data, *job), ["set", "seed"])
    lines[["teacher", "student", "measure"]] = lines["row"].str.split(": ", expand=True)
    above = {}
    for measure in ("accuracy", "agreement"):
        own = lines[lines["measure"] == measure]
        table = own.pivot(index=["teacher", "set", "seed"], columns="student", values="score")
        table = table[own["student"].unique()]
        print(f"\n{measure} %")
        print_columns(
            {
                f"{size}: {name}": mean_and_error(table.loc[size, name])
                for size in TEACHERS
                for name in args.sets
            }
        )
        differences = table.sub(table["KD"], axis=0).drop(
            columns=["KD", "teacher"], errors="ignore"
        )
        above |= {f"{size}: {measure}": mean_and_error(differences.loc[size]) for size in TEACHERS}
    print(f"\npoints above KD on the {LABELLED} rows, mean of sets and seeds")
    print_columns(above)


if __name__ == "__main__":
    main()
