"""Which rows a teacher should label: choosing a transfer set under a budget."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import entr
from sklearn.cluster import kmeans_plusplus
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.utils import check_array, check_random_state, check_scalar

from lelp_sklearn._checks import check_magnitude
from lelp_sklearn._rows import n_rows
from lelp_sklearn._tables import check_same_rows
from lelp_sklearn.outputs import check_proba

UNSURE = ("entropy", "margin", "informed")  # strategies that read probabilities
DIVERSE = ("k-means++", "k-center", "k-dpp")  # strategies that read X
STRATEGIES = ("random", *UNSURE, *DIVERSE)

# Added to the kernel's diagonal, as in SEA's code: rows that are all but equal still differ.
_RIDGE = 0.1


def select_rows(
    X: Any,
    n: int,
    *,
    strategy: str = "k-means++",
    proba: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> NDArray:
    """Choose rows for the teacher to label, by how unsure or how different they are.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        The rows to choose from: embeddings, or inputs in like units, dense or sparse. What
        reads no distances takes any container, texts too, and counts its rows.
    n : int
        Budget: how many rows, at most all of them.
    strategy : str, default="k-means++"
        Which rows:

        - "random": any, the baseline to beat;
        - "entropy": those of the largest entropy of ``proba``; "margin": those where its two
          likeliest classes are nearest. With two classes both are the same rows. They are near the
          boundary and like one another, and crowd where noise is;
        - "informed": drawn with a probability proportional to the entropy; the unsure more often,
          and the others too;
        - "k-means++": drawn far from those drawn before, in proportion to squared distance; dense
          regions are represented more often. O(n_rows n D);
        - "k-center": always the row farthest from those chosen, after a first one at random. All
          are covered, outliers first. O(n_rows n D);
        - "k-dpp": greedily the largest determinant of a Gaussian kernel, of the median distance's
          width, plus 0.1 on the diagonal. Far rows, but no gain in going farther than the kernel's
          width. With ``proba``, rows of larger entropy are preferred. O(n_rows n (n + D)), and
          n_rows n numbers of memory.
    proba : array-like of shape (n_rows, n_classes), optional
        Probabilities of the classes: of a student so far or of a cheap model, as the teacher has
        not been asked. Needed by "entropy", "margin" and "informed", used by "k-dpp" if given.
    random_state : int, RandomState or None, default=None
        Seed of the draws, and of what is chosen among equals.

    Returns
    -------
    rows : ndarray of shape (n,)
        Different row numbers, in the order they were chosen.

    Raises
    ------
    ValueError
        If n is more than there are rows, a strategy unknown, or its ``proba`` missing.

    See Also
    --------
    EmbeddingApproximation : Fits its reduction to rows chosen so.
    DistilledClassifier : Takes the rows chosen as ``X_unlabeled``.

    References
    ----------
    Margins and entropy: Settles (2009), Active Learning Literature Survey, section 3.1. k-means++:
    Arthur and Vassilvitskii (2007). k-center: Gonzalez (1985); Sener and Savarese (2018), Active
    Learning for Convolutional Neural Networks: A Core-Set Approach, algorithm 1. k-dpp: Chen, Zhang
    and Zhou (2018), Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS, algorithm
    1; diversity and quality: Srivastava et al. (2021), Specialized Embedding Approximation.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn import select_rows
    >>> X = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    >>> sorted(select_rows(X, 3, strategy="k-center", random_state=0) // 2)  # one of each group
    [np.int64(0), np.int64(1), np.int64(2)]
    >>> P = np.array([[0.9, 0.1], [0.5, 0.5], [0.6, 0.4], [1.0, 0.0], [0.8, 0.2]])
    >>> select_rows(X, 2, strategy="entropy", proba=P)
    array([1, 2])
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy={strategy!r} is not among {list(STRATEGIES)}.")
    total = n_rows(X)
    check_scalar(n, "n", Integral, min_val=1)
    n = int(n)
    if n > total:
        raise ValueError(f"n={n} is more than the {total} rows of X: expected at most all of them.")
    rng = check_random_state(random_state)
    if strategy in UNSURE and proba is None:
        raise ValueError(
            f"strategy={strategy!r} needs proba, the class probabilities of the rows: those of a "
            "student so far, or of any cheap model."
        )
    if proba is not None:
        check_same_rows(proba, X, "proba")
        proba = check_proba(check_array(proba, dtype=np.float64, input_name="proba"), "proba")
        if len(proba) != total:
            raise ValueError(f"proba has {len(proba)} rows and X has {total}: expected the same.")
    if strategy in DIVERSE:
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32], input_name="X")
        check_magnitude(X.data if sparse.issparse(X) else X, "X")
        chosen = {"k-means++": _kmeans, "k-center": _k_center, "k-dpp": _k_dpp}[strategy]
        return chosen(X, n, proba, rng)
    if strategy == "random":
        return rng.permutation(total)[:n]
    if strategy == "informed":
        share = _entropy(proba) + 1e-6  # sure rows fill up the rest
        return rng.choice(total, n, replace=False, p=share / share.sum())
    unsure = _entropy(proba) if strategy == "entropy" else -_margin(proba)
    shuffled = rng.permutation(total)  # equals in any order
    return shuffled[np.argsort(-unsure[shuffled], kind="stable")[:n]]


def _entropy(proba: Any) -> NDArray:
    return entr(proba).sum(axis=1)


def _margin(proba: Any) -> NDArray:
    if proba.shape[1] < 2:
        raise ValueError("proba has 1 column; a margin is between two classes.")
    best = np.partition(proba, -2, axis=1)
    return best[:, -1] - best[:, -2]


def _kmeans(X: Any, n: int, proba: Any, rng: np.random.RandomState) -> NDArray:
    _, rows = kmeans_plusplus(X, n, random_state=rng)
    # Rows that are all chosen, or copies of such, may come again.
    rows = rows[np.sort(np.unique(rows, return_index=True)[1])]
    others = np.setdiff1d(np.arange(X.shape[0]), rows)
    return np.concatenate([rows, rng.permutation(others)[: n - len(rows)]])


def _k_center(X: Any, n: int, proba: Any, rng: np.random.RandomState) -> NDArray:
    rows = [int(rng.randint(X.shape[0]))]
    nearest = np.full(X.shape[0], np.inf)
    while len(rows) < n:
        last = rows[-1]
        distance = euclidean_distances(X, X[last : last + 1], squared=True).ravel()
        nearest = np.minimum(nearest, distance)
        nearest[last] = -1  # never again, though others may be its copies
        rows.append(int(nearest.argmax()))
    return np.array(rows)


def _k_dpp(X: Any, n: int, proba: Any, rng: np.random.RandomState) -> NDArray:
    """Greedy maximum a posteriori, by an incremental Cholesky factor of the chosen rows' kernel."""
    total = X.shape[0]
    quality = np.ones(total)
    if proba is not None:
        entropy = _entropy(proba)
        quality = entropy / max(entropy.max(), 1e-12) + 1e-3
    gamma = 0.5 / _median_squared_distance(X, rng)
    factor = np.zeros((n, total))  # c_i, as columns
    gain = quality**2 + _RIDGE  # d_i^2: what a row multiplies the determinant by
    first = np.flatnonzero(gain == gain.max())
    rows = [int(rng.choice(first))]
    for j in range(n - 1):
        last = rows[-1]
        kernel = rbf_kernel(X[last : last + 1], X, gamma=gamma).ravel() * quality * quality[last]
        factor[j] = (kernel - factor[:j, last] @ factor[:j]) / np.sqrt(gain[last])
        gain = gain - factor[j] ** 2
        gain[rows] = -np.inf
        rows.append(int(gain.argmax()))
    return np.array(rows)


def _median_squared_distance(X: Any, rng: np.random.RandomState) -> float:
    some = X[rng.permutation(X.shape[0])[:1000]]
    apart = euclidean_distances(some, squared=True)[np.triu_indices(some.shape[0], 1)]
    apart = apart[apart > 0]
    return float(np.median(apart)) if len(apart) else 1.0
