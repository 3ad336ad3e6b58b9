"""Leaf co-occurrence: rows that a forest sends to the same leaves lie close together."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OneHotEncoder


def leaf_finder(estimator: Any) -> Callable[[Any], NDArray] | None:
    """How a tree ensemble tells the leaf of each row in each tree; None if it is none.

    A public ``apply`` (scikit-learn's forests, gradient boosting and trees, XGBoost), LightGBM's
    ``pred_leaf``, CatBoost's ``calc_leaf_indexes``. No library is imported to find out.
    """
    library = type(estimator).__module__.partition(".")[0]
    if isinstance(estimator, HistGradientBoostingClassifier):
        return lambda X: _hist_leaves(estimator, X)
    if library == "lightgbm":
        return lambda X: np.asarray(estimator.predict(X, pred_leaf=True))
    if library == "catboost":
        return lambda X: np.asarray(estimator.calc_leaf_indexes(X))
    if hasattr(estimator, "apply"):
        return lambda X: np.asarray(estimator.apply(X))
    return None


class LeafReducer:
    r"""Truncated SVD of the one-hot leaves of T trees.

    With :math:`z(x) \in \{0, 1\}^{\text{leaves}}` the leaves that x falls into, the inner product
    :math:`\langle z(x), z(x') \rangle / T` is the share of trees in which x and x' share a leaf
    (Breiman's proximity). The embedding is :math:`z(x) / \sqrt{T}` on its first right singular
    vectors, so its inner products are the best low-rank approximation of these shares. A leaf
    that no row of fit reached adds nothing.
    """

    def __init__(self, n_components: int, random_state: Any):
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, leaves: NDArray) -> LeafReducer:
        """Find the directions, from leaf numbers of shape (n, T)."""
        encoder = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
        self.encoder_ = encoder.set_output(transform="default")
        onehot = self.encoder_.fit_transform(as_leaves(leaves))
        self.svd_ = truncated_svd(onehot, self.n_components, self.random_state)
        return self

    def transform(self, leaves: NDArray) -> NDArray:
        """Embeddings of shape (n, n_components)."""
        leaves = as_leaves(leaves)
        return self.svd_.transform(self.encoder_.transform(leaves)) / np.sqrt(leaves.shape[1])


def as_leaves(leaves: NDArray) -> NDArray[np.int64]:
    """(n, T): boosting keeps a tree a round and class, (n, rounds, classes)."""
    return leaves.reshape(len(leaves), -1).astype(np.int64)


def truncated_svd(rows: sparse.csr_matrix, n_components: int, random_state: Any) -> TruncatedSVD:
    """Fitted on sparse rows; as many components as there are to find, at most.

    Its randomised start is an aid to computing, not a draw: without a seed it is always the same,
    so that a seeded forest has the same embeddings in each fit.
    """
    n_components = min(n_components, *rows.shape)
    random_state = 0 if random_state is None else random_state
    # The share of explained variance, which is not used, divides by 0 where all rows are equal.
    with np.errstate(divide="ignore", invalid="ignore"):
        svd = TruncatedSVD(n_components, random_state=random_state)
        return svd.set_output(transform="default").fit(rows)


def _hist_leaves(estimator: Any, X: ArrayLike) -> NDArray:
    """Leaf of each row, which scikit-learn offers for every other ensemble.

    Each tree predicts with its node numbers in place of its leaf values. The private names used
    here, and nowhere else: _predictors, _preprocess_X, _bin_mapper, and predictor.nodes.
    """
    X = estimator._preprocess_X(X, reset=False)
    categories = estimator._bin_mapper.make_known_categories_bitsets()
    leaves = []
    for predictor in (tree for round_ in estimator._predictors for tree in round_):
        numbered = copy(predictor)
        numbered.nodes = predictor.nodes.copy()
        numbered.nodes["value"] = np.arange(len(numbered.nodes))
        leaves.append(numbered.predict(X, *categories, 1))
    return np.column_stack(leaves)
