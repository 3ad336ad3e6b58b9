"""From the labels of a clusterer, or a mixture's posteriors, to a soft split of any row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

from lelp_sklearn._rows import plain_rows
from lelp_sklearn.subclasses._per_class import ClassSplit


class CentroidSplit:
    """Squared distances to the centroids of labels, over their mean to the nearest one.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, K)
        Rows of the class.
    labels : ndarray of shape (n_rows,)
        Cluster of each row; -1 is noise.
    most : int
        Centroids at most.
    """

    def __init__(self, Z: NDArray, labels: NDArray, most: int):
        self.centroids = _centroids(Z, labels, most)
        self.n_subclasses = len(self.centroids)
        nearest = euclidean_distances(Z, self.centroids, squared=True).min(axis=1).mean()
        # A centroid on every row leaves only rounding: then each row is wholly the nearest one's.
        self.scale = max(float(nearest), 1e-12)

    def log_proba(self, Z: NDArray) -> NDArray:
        """Minus squared distance, in units of the class's own."""
        return -euclidean_distances(Z, self.centroids, squared=True) / self.scale


class PosteriorSplit:
    """What a fitted mixture or classifier gives as probabilities."""

    def __init__(self, model: Any, n_subclasses: int):
        self.model = model
        self.n_subclasses = n_subclasses

    def log_proba(self, Z: NDArray) -> NDArray:
        """Logarithm of the probabilities."""
        with np.errstate(divide="ignore"):
            return np.log(self.model.predict_proba(Z.astype(np.float64, copy=False)))


class Reduced:
    """A split of rows that a transformer has reduced."""

    def __init__(self, reducer: Any, split: ClassSplit):
        self.reducer = reducer
        self.split = split
        self.n_subclasses = split.n_subclasses

    def log_proba(self, Z: NDArray) -> NDArray:
        """That of the reduced rows."""
        return self.split.log_proba(plain_rows(self.reducer.transform(Z)))


def _centroids(Z: NDArray, labels: NDArray, most: int) -> NDArray:
    """Means of the clusters, the largest first, the smallest merged into the nearest if too many.

    Noise has no cluster; where all is noise, the class is one cluster.
    """
    kept = labels >= 0
    if not kept.any():
        return Z.mean(axis=0, keepdims=True)
    _, codes, sizes = np.unique(labels[kept], return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), Z.shape[1]))
    np.add.at(sums, codes, Z[kept])
    while True:
        order = np.argsort(-sizes, kind="stable")
        sizes, sums = sizes[order], sums[order]
        centroids = sums / sizes[:, None]
        if len(sizes) <= most:
            return centroids
        nearest = euclidean_distances(centroids[-1:], centroids[:-1]).argmin()
        sizes[nearest] += sizes[-1]
        sums[nearest] += sums[-1]
        sizes, sums = sizes[:-1], sums[:-1]
