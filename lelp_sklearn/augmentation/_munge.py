"""MUNGE: rows with some of their values taken from their nearest neighbour, with noise."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from lelp_sklearn._compat import Interval
from lelp_sklearn.augmentation._base import Augmenter, in_turns
from lelp_sklearn.augmentation._tables import (
    as_table,
    assemble,
    first_of_group,
    names_of,
    numeric_columns,
    within,
)
from lelp_sklearn.inputs._columns import as_categories, as_numbers, is_frame


class Munge(Augmenter):
    r"""New rows are given ones that move towards their nearest neighbour in some features: MUNGE.

    With probability p, a feature a of row e takes from its nearest neighbour e' the category, or,
    where it is a number, a draw from the normal distribution around e'_a of standard deviation
    :math:`|e_a - e'_a| / s`.

    Parameters
    ----------
    p : float, default=0.5
        From 0 to 1, the probability that a feature is taken from the neighbour.
    s : float, default=2.0
        Above 0; larger is less noise, ``float("inf")`` none: the neighbour's values as they are.
    groups : sequence of sequences, default=()
        Columns of one category, such as those of a one-hot code or a single one of numbers that
        are names, by name in a data frame and by position in an array: they are taken together,
        without noise.
    random_state : int, RandomState or None, default=None
        Seed of the rows.

    Raises
    ------
    ValueError
        If groups name a column twice, or one that is not there, or if there is one row only.

    See Also
    --------
    Resample : Takes from any row.
    Mixup : Between rows.

    Notes
    -----
    Numbers keep to their column's range, integers to integers; in a data frame all other columns
    are categories. The distance is Euclidean, with numbers scaled to [0, 1], 1 between two
    different categories, and missing numbers in the middle of what is known. Neighbours are
    found among all rows in fit, about O(n_rows^2) for many columns.

    The original changes a row and its neighbour in place, one after another, and so finds later
    neighbours among changed rows; here each new row starts from given ones.

    References
    ----------
    Bucila, Caruana and Niculescu-Mizil (2006), Model compression, KDD, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn import Munge
    >>> X = np.array([[0.0, 10.0], [1.0, 11.0], [9.0, 90.0], [8.0, 91.0]])
    >>> new = Munge(random_state=0).fit(X).sample(100)
    >>> bool(np.all((new[:, 0] < 5) == (new[:, 1] < 50)))  # the two clusters stay apart
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **Augmenter._parameter_constraints,
        "p": [Interval(Real, 0, 1, closed="both")],
        "s": [Interval(Real, 0, None, closed="right")],
        "groups": ["array-like"],
    }

    def __init__(
        self,
        *,
        p: float = 0.5,
        s: float = 2.0,
        groups: Sequence[Sequence[Any]] = (),
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(random_state=random_state)
        self.p = p
        self.s = s
        self.groups = groups

    def learn(self, X: Any, y: NDArray | None) -> None:
        """Find each row's nearest neighbour."""
        self.X_ = X = as_table(X)
        if X.shape[0] < 2:
            raise ValueError("X has 1 row; Munge needs at least 2, as a row has no neighbour.")
        self.feature_ = first_of_group(X, self.groups)
        grouped = np.zeros(X.shape[1], bool)
        names = names_of(X)
        grouped[[names.index(column) for group in self.groups for column in group]] = True
        self.numeric_ = numeric_columns(X) & ~grouped
        self.numbers_ = np.full(X.shape, np.nan)
        self.numbers_[:, self.numeric_] = as_numbers(_columns(X, self.numeric_))
        space = _space(X, self.numbers_[:, self.numeric_], self.feature_, ~self.numeric_)
        near = NearestNeighbors(n_neighbors=1).fit(space)
        self.neighbor_ = near.kneighbors(return_distance=False)[:, 0]  # never the row itself

    def draw(self, n_samples: int, rng: np.random.RandomState) -> Any:
        """Each row in turn, with values around its neighbour's."""
        n, n_columns = self.X_.shape
        own = in_turns(n, n_samples, rng)
        other = self.neighbor_[own]
        taken = (rng.random_sample((n_samples, n_columns)) < self.p)[:, self.feature_]
        noise = rng.standard_normal((n_samples, n_columns))
        e, e_other = self.numbers_[own], self.numbers_[other]
        # A number that misses in the row itself is no reason for noise.
        sd = np.nan_to_num(np.abs(e - e_other)) / self.s
        numbers = np.where(taken, within(e_other + sd * noise, self.numbers_), e)
        source = np.where(taken, other[:, None], own[:, None])
        return assemble(self.X_, source, numbers, self.numeric_)


def _space(X: Any, numbers: NDArray, feature: NDArray, discrete: NDArray) -> Any:
    """Rows whose Euclidean distance counts 1 for each feature that is as different as can be."""
    known = np.isfinite(numbers)
    low = np.where(known, numbers, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, numbers, -np.inf).max(axis=0, initial=-np.inf)
    width = np.where(high > low, high - low, 1.0)
    scaled = np.where(known, (numbers - np.where(known.any(axis=0), low, 0)) / width, 0.5)
    if not discrete.any():
        return scaled
    blocks = [sparse.csr_array(scaled)]
    for first in np.unique(feature[discrete]):
        values = as_categories(_columns(X, discrete & (feature == first))).astype(str)
        code = np.unique(values, axis=0, return_inverse=True)[1].ravel()
        ones = np.full(len(code), np.sqrt(0.5))  # two different ones are 1 apart
        blocks.append(sparse.csr_array((ones, (np.arange(len(code)), code))))
    return sparse.hstack(blocks, format="csr")


def _columns(X: Any, which: NDArray[np.bool_]) -> Any:
    places = np.flatnonzero(which).tolist()
    if not is_frame(X):
        return X[:, places]
    return X.iloc[:, places] if hasattr(X, "iloc") else X[:, places]
