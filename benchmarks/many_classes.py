"""Many classes: the default LELP student on the 77 intents of banking77, beside KD.

python benchmarks/many_classes.py --data DIR --embeddings FOLDER

All 10,003 training questions, the official test; the teacher is logistic regression on MiniLM
embeddings, out of fold. Students are bags of TF-IDF n-grams.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns
from _tasks import TEXT_SETTINGS, encoded
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from lelp_sklearn import KD, BagOfNgrams, LELPStudentClassifier, StudentClassifier


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder for embeddings")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print(machine(), flush=True)
    parts = [
        pd.read_parquet(args.data / "banking77" / f"{part}.parquet") for part in ("train", "test")
    ]
    texts = pd.concat(parts, ignore_index=True)["text"].to_numpy(object)
    n = len(parts[0])
    y, y_test = [part["label"].to_numpy(str) for part in parts]
    H = encoded(args.embeddings, "banking77", texts)
    head = LogisticRegression(max_iter=1000)
    proba = cross_val_predict(head, H[:n], y, cv=5, method="predict_proba")
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=5000)
    X = words.fit_transform(texts[:n]).astype(np.float32)
    X_test = words.transform(texts[n:]).astype(np.float32)
    scores = {"teacher": [head.fit(H[:n], y).score(H[n:], y_test)]}
    for seed in range(args.seeds):
        settings = {"random_state": seed, **TEXT_SETTINGS}
        students = {
            "KD": StudentClassifier(BagOfNgrams, **settings),
            "KD, no labels": StudentClassifier(BagOfNgrams, objective=KD(alpha=0.0), **settings),
            "wide head of 4": LELPStudentClassifier(
                BagOfNgrams, subclass_weight=0.0, **settings
            ).set_params(projector__n_subclasses=4),
            "LELP": LELPStudentClassifier(BagOfNgrams, **settings),
        }
        for row, student in students.items():
            student.fit(X, y, teacher_proba=proba, teacher_embeddings=H[:n])
            scores.setdefault(row, []).append(student.score(X_test, y_test))
    table = pd.DataFrame({row: pd.Series(values) for row, values in scores.items()})
    print_columns({"accuracy": mean_and_error(table)})
    print(f"{student.objective_.n_subclasses_} logits a class")


if __name__ == "__main__":
    main()
