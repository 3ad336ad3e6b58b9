"""Probabilities spread over the nearest-neighbour graph of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_array, check_consistent_length, check_scalar

from lelp_sklearn._checks import check_magnitude
from lelp_sklearn._tables import check_same_rows
from lelp_sklearn.subclasses._base import FLOATS


def neighbour_weights(distances: NDArray) -> NDArray:
    """exp(-(d / d_k)^2) of each row's ascending distances to its k neighbours: from 1 to 1/e.

    The distance to the last neighbour is the unit, so that no row is left alone in a sparse region.
    """
    furthest = distances[:, -1:]
    unit = np.where(furthest > 0, furthest, 1.0)
    return np.exp(-((distances / unit) ** 2))


def neighbour_graph(Z: NDArray, n_neighbors: int) -> sparse.csr_array:
    """Symmetric similarities (n, n): the larger of what two rows are to each other."""
    n, k = len(Z), min(n_neighbors, len(Z) - 1)
    distances, neighbours = NearestNeighbors(n_neighbors=k).fit(Z).kneighbors()  # without itself
    weights = neighbour_weights(distances).ravel()
    # 32-bit numbers of rows: scikit-learn takes no other graphs.
    rows, columns = np.repeat(np.arange(n, dtype=np.int32), k), neighbours.ravel().astype(np.int32)
    graph = sparse.csr_array((weights, (rows, columns)), shape=(n, n))
    return graph.maximum(graph.T)


def propagate_labels(
    proba: ArrayLike,
    H: ArrayLike,
    *,
    n_neighbors: int = 10,
    alpha: float = 0.9,
    n_iter: int = 30,
) -> NDArray:
    r"""Smooth probabilities over the graph of each row's nearest neighbours.

    From :math:`P_0`, repeats :math:`P \leftarrow \alpha S P + (1 - \alpha) P_0`, where
    :math:`S = D^{-1} W` has rows that sum to 1 (the random walk's normalisation). W holds
    :math:`\exp(-(d_{ij} / d_{i,k})^2)` for the k nearest neighbours j of i by Euclidean distance,
    and is made symmetric by the larger of both directions.

    Use it on a teacher's probabilities, or on one-hot labels with even rows where none is known, to
    take what near rows say into account before a student is trained.

    Parameters
    ----------
    proba : array-like of shape (n_rows, C)
        Probabilities; not changed. Each row keeps its sum, and the columns their places.
    H : array-like of shape (n_rows, D)
        Embeddings, in columns of comparable scale.
    n_neighbors : int, default=10
        k; at most all other rows are used.
    alpha : float, default=0.9
        Share of the neighbours, in [0, 1). 0 gives ``proba`` back.
    n_iter : int, default=30
        Rounds; what is left of the way to the fixed point shrinks by alpha in each.

    Returns
    -------
    proba : ndarray of shape (n_rows, C)
        Smoothed probabilities, of the type of ``proba``.

    Raises
    ------
    ValueError
        If there are fewer than two rows, ``proba`` and ``H`` differ in length, or a number is out
        of its range.

    See Also
    --------
    GraphSplitter : Subclasses from the same graph.

    References
    ----------
    Zhou, Bousquet, Lal, Weston and Schoelkopf (2004), Learning with local and global consistency,
    NeurIPS; with the random walk in place of their symmetric normalisation, so that sums are kept.

    Examples
    --------
    A row whose two near neighbours disagree with it:

    >>> from lelp_sklearn import propagate_labels
    >>> H = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]
    >>> proba = [[1, 0], [0, 1], [1, 0], [0, 1], [0, 1], [0, 1]]
    >>> propagate_labels(proba, H, n_neighbors=2, alpha=0.8).argmax(axis=1)
    array([0, 0, 0, 1, 1, 1])
    """
    check_same_rows(proba, H, "proba", whose="H")
    start: NDArray = check_array(proba, dtype=FLOATS, input_name="proba")
    rows = check_array(H, dtype=FLOATS, ensure_min_samples=2, input_name="H")
    check_consistent_length(start, rows)
    check_magnitude(rows, "H")
    check_scalar(n_neighbors, "n_neighbors", int, min_val=1)
    check_scalar(n_iter, "n_iter", int, min_val=0)
    check_scalar(alpha, "alpha", (int, float), min_val=0, max_val=1, include_boundaries="left")
    W = neighbour_graph(rows, n_neighbors)
    S: Any = sparse.diags_array(1 / W.sum(axis=1)) @ W
    S = S.astype(start.dtype)
    P = start.copy()
    for _ in range(n_iter):
        P = alpha * (S @ P) + (1 - alpha) * start
    return P
