"""Small data made for the tests."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits


class Rows(NamedTuple):
    X: NDArray
    y: NDArray
    proba: NDArray
    embeddings: NDArray


def embeddings(seed=0, n=120, n_features=6, n_classes=3, dtype=np.float64):
    """Anisotropic embeddings of a few classes, and their labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    scale = rng.uniform(0.2, 3.0, size=n_features)
    H = (
        rng.standard_normal((n, n_features)) * scale
        + 2.0 * rng.standard_normal((n_classes, n_features))[y]
    )
    return (H @ _orthogonal(rng, n_features)).astype(dtype), y


def linear_teacher(H, n_classes=3, seed=0):
    """Probabilities of a linear soft-max head on embeddings, and its weights."""
    rng = np.random.default_rng(seed)
    coef = rng.standard_normal((n_classes, H.shape[1]))
    logits = H @ coef.T + rng.standard_normal(n_classes)
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True), coef


def digits(n=400):
    """Odd and even digits, with the outputs of a made-up teacher that knows all ten."""
    X, digit = load_digits(return_X_y=True)
    X, digit = (X[:n] / 16).astype(np.float32), digit[:n]
    rng = np.random.default_rng(0)
    hidden = np.eye(10)[digit] + 0.3 * rng.standard_normal((n, 10))
    odd = np.clip(hidden[:, 1::2].max(axis=1) - hidden[:, ::2].max(axis=1) + 0.5, 0.02, 0.98)
    return Rows(X, digit % 2, np.column_stack([1 - odd, odd]), hidden @ _orthogonal(rng, 10))


def _orthogonal(rng, n):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]
