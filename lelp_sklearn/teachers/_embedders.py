"""Where each kind of scikit-learn classifier keeps its embedding, and its last linear layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import validate_data

from lelp_sklearn.teachers._trees import as_leaves, leaf_finder

_FLOATS = [np.float64, np.float32]
_ACTIVATIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "identity": lambda Z: Z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda Z: np.maximum(Z, 0),
}


@dataclass(frozen=True)
class Embedder:
    """How rows become a fitted classifier's embeddings.

    ``embed`` maps rows to (n, D), dense or sparse, or, with ``leaves``, to leaf numbers. ``coef``
    is the last linear layer on them, where there is one. ``given``: nothing but X itself.
    """

    embed: Callable[[Any], Any]
    coef: NDArray | None = None
    leaves: bool = False
    given: bool = False


def embedder_of(estimator: Any) -> Embedder:
    """The embedder of a fitted classifier; see SklearnTeacher for the kinds."""
    if isinstance(estimator, FrozenEstimator):
        return embedder_of(estimator.estimator)
    if isinstance(estimator, Pipeline):
        return _after(estimator, embedder_of(estimator.steps[-1][1]))
    if hasattr(estimator, "best_estimator_"):
        return embedder_of(estimator.best_estimator_)
    if isinstance(estimator, CalibratedClassifierCV):
        return _calibrated([part.estimator for part in estimator.calibrated_classifiers_])
    if isinstance(estimator, MLPClassifier):
        return Embedder(lambda X: _last_hidden(estimator, X), estimator.coefs_[-1].T)
    if finder := leaf_finder(estimator):
        return Embedder(finder, leaves=True)
    if hasattr(estimator, "get_embeddings"):
        return Embedder(lambda X: _mean_embedding(estimator, X))
    if hasattr(estimator, "transform"):
        return Embedder(estimator.transform)
    return Embedder(lambda X: _given(estimator, X), linear_coef(estimator), given=True)


def linear_coef(estimator: Any) -> NDArray | None:
    """``coef_`` of a linear classifier, dense; None for one that is not."""
    coef = getattr(estimator, "coef_", None)
    # The coef_ of a linear SVC holds pairs of classes, as many rows as classes where these are 3.
    if coef is None or hasattr(estimator, "support_"):
        return None
    coef = coef.toarray() if sparse.issparse(coef) else np.atleast_2d(coef)
    n_classes = len(estimator.classes_)
    return coef if len(coef) == (1 if n_classes == 2 else n_classes) else None


def _after(pipeline: Pipeline, last: Embedder) -> Embedder:
    """The last step's, on what the steps before make of X; a sampler makes nothing of new rows."""
    steps = [step for step in pipeline.steps[:-1] if not hasattr(step[1], "fit_resample")]
    if not steps:
        return last
    before = Pipeline(steps)
    return replace(last, embed=lambda X: last.embed(before.transform(X)), given=False)


def _calibrated(estimators: list[Any]) -> Embedder:
    """One estimator's embedding, or those of all folds' estimators side by side."""
    parts = [embedder_of(estimator) for estimator in estimators]
    if len(parts) == 1 or all(part.given for part in parts):
        return replace(parts[0], coef=None)
    if parts[0].leaves:
        return Embedder(lambda X: np.hstack([as_leaves(p.embed(X)) for p in parts]), leaves=True)
    return Embedder(lambda X: _side_by_side([part.embed(X) for part in parts]))


def _side_by_side(blocks: list[Any]) -> Any:
    if any(sparse.issparse(block) for block in blocks):
        return sparse.hstack(blocks, format="csr")
    return np.hstack(blocks)


def _given(estimator: Any, X: Any) -> Any:
    return validate_data(estimator, X, dtype=_FLOATS, accept_sparse="csr", reset=False)


def _mean_embedding(estimator: Any, X: Any) -> NDArray:
    """TabPFN's, over its estimators: the same network on permuted columns and classes."""
    embeddings = np.asarray(estimator.get_embeddings(X, data_source="test"), dtype=np.float32)
    return embeddings.mean(axis=0) if embeddings.ndim == 3 else embeddings


def _last_hidden(mlp: MLPClassifier, X: Any) -> NDArray:
    H = validate_data(mlp, X, dtype=_FLOATS, accept_sparse="csr", reset=False)
    activation = _ACTIVATIONS[mlp.activation]
    for coef, intercept in zip(mlp.coefs_[:-1], mlp.intercepts_[:-1], strict=True):
        H = activation(H @ coef + intercept)
    return np.asarray(H)
