"""What subclasses are like: their shares, and what inputs and fine labels say of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_MAX_ROWS = 2000


def own_blocks(split: NDArray, y: NDArray, n_subclasses: NDArray) -> list[NDArray]:
    """P(s | c, x) of each class on its own rows, from class numbers ``y``."""
    blocks = np.split(split, np.cumsum(n_subclasses)[:-1], axis=1)
    return [block[y == c] for c, block in enumerate(blocks)]


def own_subclasses(split: NDArray, y: NDArray, n_subclasses: NDArray) -> NDArray:
    """Number of each row's likeliest subclass within its own class."""
    found = np.zeros(len(split), dtype=np.intp)
    for c, block in enumerate(own_blocks(split, y, n_subclasses)):
        found[y == c] = block.argmax(axis=1)
    return found


def subclass_shares(split: NDArray, y: NDArray, n_subclasses: NDArray) -> NDArray:
    """Mean probability of each subclass over the rows of its class."""
    return np.concatenate([b.mean(axis=0) for b in own_blocks(split, y, n_subclasses)])


def fine_agreement(subclass: NDArray, fine: NDArray, y: NDArray) -> float:
    """Normalised mutual information of subclasses and fine labels, mean over the classes' rows.

    Within classes, since the classes themselves would agree by construction.
    """
    classes, counts = np.unique(y, return_counts=True)
    scores = [normalized_mutual_info_score(fine[y == c], subclass[y == c]) for c in classes]
    return float(np.average(scores, weights=counts))


def linear_features(X_train: Any, X_test: Any) -> tuple[Any, Any] | None:
    """Rows as a linear model reads them: finite numbers, or TF-IDF of texts; None of all else."""
    if sparse.issparse(X_train):
        return sparse.csr_array(X_train), sparse.csr_array(X_test)
    train, test = np.asarray(X_train), np.asarray(X_test)
    if train.ndim == 1 and all(isinstance(text, str) for text in train.tolist()):
        words = TfidfVectorizer().fit(train)
        return words.transform(train), words.transform(test)
    if train.ndim == 2 and train.dtype.kind in "biuf" and np.isfinite(train).all():
        return (train, test) if np.isfinite(test).all() else None
    return None


def predictability(
    features: tuple[Any, Any],
    subclass: Sequence[NDArray],
    y: Sequence[NDArray],
    seed: int,
) -> tuple[float, float]:
    """Accuracy of logistic regression from inputs to subclasses, and of the most frequent one.

    Each argument holds training and test rows; one model a class, on 2,000 rows of all at most.
    NaN where no class has rows in two subclasses.
    """
    rng = np.random.default_rng(seed)
    train, test = (rng.permutation(len(codes))[:_MAX_ROWS] for codes in y)
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=300))
    model.set_output(transform="default")
    right = frequent = total = 0
    for c in np.unique(y[0]):
        own, held = train[y[0][train] == c], test[y[1][test] == c]
        known, expected = subclass[0][own], subclass[1][held]
        seen, counts = np.unique(known, return_counts=True)
        if len(seen) < 2 or not len(held):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a comparison
            found = model.fit(features[0][own], known).predict(features[1][held])
        right += np.sum(found == expected)
        frequent += np.sum(seen[counts.argmax()] == expected)
        total += len(held)
    return (float(right / total), float(frequent / total)) if total else (np.nan, np.nan)
