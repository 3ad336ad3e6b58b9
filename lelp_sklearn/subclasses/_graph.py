"""Subclasses as communities of the nearest-neighbour graph of a class."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import spectral_clustering
from sklearn.neighbors import KNeighborsClassifier

from lelp_sklearn._compat import Interval
from lelp_sklearn.subclasses._centroids import PosteriorSplit
from lelp_sklearn.subclasses._per_class import ClassSplit, PerClassSplitter, subsample
from lelp_sklearn.subclasses._propagation import neighbour_graph, neighbour_weights


class GraphSplitter(PerClassSplitter):
    r"""Split each class into communities of its nearest-neighbour graph: clusters of any shape.

    The embeddings are standardised on the training rows. Each class's symmetric graph of nearest
    neighbours (as in :func:`propagate_labels`) is cut by spectral clustering. Any row is then split
    by the vote of its nearest training rows of the class, at distances :math:`d_1 \le \dots \le
    d_k`:

    .. math::
        P(s \mid c, x) \propto \Big(\sum_{j : s_j = s} \exp(-(d_j / d_k)^2)\Big)^{1 / \beta}.

    Parameters
    ----------
    n_neighbors : int, default=10
        k, of the graph and of the vote; at most the class's rows are used.
    n_subclasses : int, mapping of label to int, or "auto", default="auto"
        Subclasses a class, S. A class with 1 is not split. "auto" is the rule of
        :class:`LELPProjector`, on the standardised embeddings.
    subclass_temperature : float, default=1.0
        beta above 0; 1 is the vote itself, low is sharp.
    null_space : bool or "auto", default="auto"
        Whether to remove from the embeddings what the teacher's logits already say; see
        :class:`LELPProjector`.
    max_rows : int or None, default=5000
        Rows a class in the graph, a draw from the class; they are kept in the fitted splitter.
        None takes all.
    random_state : int, RandomState or None, default=None
        Seed of the draw and of spectral clustering.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class.

    Raises
    ------
    ValueError
        If a class has fewer rows than subclasses, or the same embedding in every row, or if there
        is one class only.

    See Also
    --------
    ClusterSplitter : Round clusters, faster.
    propagate_labels : Class probabilities smoothed over such a graph.

    References
    ----------
    Von Luxburg (2007), A tutorial on spectral clustering, Statistics and Computing 17. The unit of
    distances follows Zelnik-Manor and Perona (2004), Self-tuning spectral clustering, NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import GraphSplitter
    >>> X, digit = load_digits(return_X_y=True)
    >>> splitter = GraphSplitter(n_subclasses=5, null_space=False, random_state=0)
    >>> splitter.fit_transform(X, digit % 2).shape
    (1797, 10)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **PerClassSplitter._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "max_rows": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        n_neighbors: int = 10,
        n_subclasses: int | Mapping[Any, int] | str = "auto",
        subclass_temperature: float = 1.0,
        null_space: bool | str = "auto",
        max_rows: int | None = 5000,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_neighbors = n_neighbors
        self.n_subclasses = n_subclasses
        self.subclass_temperature = subclass_temperature
        self.null_space = null_space
        self.max_rows = max_rows
        self.random_state = random_state

    def _fit_class(self, Z: NDArray, label: Any, n_subclasses: int, seed: int) -> ClassSplit:
        Z = subsample(Z, self.max_rows, seed)
        if len(Z) == n_subclasses:  # a row each, of which no spectrum is to be had
            communities = np.arange(n_subclasses)
        else:
            with warnings.catch_warnings():
                # Unconnected parts are what a class with well-kept groups has, and are found first.
                warnings.filterwarnings("ignore", message="Graph is not fully connected")
                communities = spectral_clustering(
                    neighbour_graph(Z, self.n_neighbors), n_clusters=n_subclasses, random_state=seed
                )
        k = min(self.n_neighbors, len(Z))
        vote = KNeighborsClassifier(k, weights=neighbour_weights).fit(Z, communities)
        return PosteriorSplit(vote, len(vote.classes_))
