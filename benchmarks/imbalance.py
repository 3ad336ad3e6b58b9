"""Mammography, 2.3 % positive: average precision and F1 of students, with weights and thresholds.

python benchmarks/imbalance.py --data DIR

The teacher is histogram gradient boosting, its answers on training rows are out of fold. Thresholds
are tuned on folds of the training rows by scikit-learn's TunedThresholdClassifierCV.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    KD,
    MLP,
    CrossEntropy,
    DistilledClassifier,
    LELPProjector,
    LELPStudentClassifier,
    StudentClassifier,
)

SETTINGS = {"module__hidden": 32, "max_epochs": 20, "batch_size": 256}


def models(seed):
    boosting = HistGradientBoostingClassifier(random_state=seed, max_iter=200)

    def pipeline(student):
        return make_pipeline(StandardScaler(), student)

    def distilled(student):
        return DistilledClassifier(clone(boosting), pipeline(student), cv=5)

    labels = StudentClassifier(MLP, objective=CrossEntropy(), random_state=seed, **SETTINGS)
    kd = StudentClassifier(MLP, objective=KD(alpha=0.0), random_state=seed, **SETTINGS)
    lelp = LELPStudentClassifier(
        MLP,
        projector=LELPProjector(n_subclasses=6),
        subclass_weight=0.1,
        alpha=0.0,
        random_state=seed,
        **SETTINGS,
    )
    return {
        "teacher": boosting,
        "labels only": pipeline(labels),
        "labels only, balanced": pipeline(clone(labels).set_params(class_weight="balanced")),
        "KD": distilled(kd),
        "KD, balanced": distilled(clone(kd).set_params(class_weight="balanced")),
        "KD, tuned threshold": TunedThresholdClassifierCV(distilled(kd), scoring="f1", cv=5),
        "LELP, subclass_weight 0.1": distilled(lelp),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    table = pd.read_parquet(args.data / "mammography" / "all.parquet")
    X = table.drop(columns="label").to_numpy(np.float32)
    y = (table["label"].astype(str) == "1").to_numpy(int)
    measures = {
        "average precision %": lambda y, proba, guess: average_precision_score(y, proba),
        "F1 %": lambda y, proba, guess: f1_score(y, guess),
        "balanced accuracy %": lambda y, proba, guess: balanced_accuracy_score(y, guess),
    }
    scores = {name: [] for name in measures}
    start = time.perf_counter()
    for seed in range(args.seeds):
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.4, stratify=y, random_state=seed
        )
        fitted = {name: model.fit(X_train, y_train) for name, model in models(seed).items()}
        for measure, score in measures.items():
            row = {
                name: score(y_test, model.predict_proba(X_test)[:, 1], model.predict(X_test))
                for name, model in fitted.items()
            }
            scores[measure].append(row)
    print(f"{machine()}, {time.perf_counter() - start:.0f} s")
    print_columns({name: mean_and_error(pd.DataFrame(rows)) for name, rows in scores.items()})


if __name__ == "__main__":
    main()
