"""SMOTE: rows between neighbours of the rarer classes."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from lelp_sklearn._compat import HasMethods, Interval
from lelp_sklearn.augmentation._base import Augmenter
from lelp_sklearn.augmentation._tables import all_numbers, as_table, assemble


class Smote(Augmenter):
    """New rows between neighbours of one class, the rarest classes first, by imbalanced-learn.

    The new rows bring the rarest class up to the next, and so on; once all classes are level, they
    grow alike. The labels only choose the neighbours: a new row's label is never used, as the
    teacher is asked about it.

    Parameters
    ----------
    k_neighbors : int, default=5
        Neighbours of a row that a new one may lie towards; less in a class of fewer rows.
    sampler : over-sampler of imbalanced-learn, default=None
        Another one than ``SMOTE``, such as ``BorderlineSMOTE()``. It is cloned, and gets its
        ``sampling_strategy`` and ``random_state`` here; ``k_neighbors`` is its own. It may make a
        few rows more or less than were asked for, as ``ADASYN`` does.
    random_state : int, RandomState or None, default=None
        Seed of the rows.

    Raises
    ------
    ImportError
        If imbalanced-learn is not installed, and no sampler given.
    TypeError
        If a column holds no numbers.
    ValueError
        If there are no labels, missing values, or a rare class has a single row.

    See Also
    --------
    Mixup : Between any two rows.

    Notes
    -----
    Integer columns are rounded. Distances are Euclidean, on the columns as they are.

    References
    ----------
    Chawla, Bowyer, Hall and Kegelmeyer (2002), SMOTE: synthetic minority over-sampling technique,
    JAIR 16.

    Examples
    --------
    >>> from lelp_sklearn import Smote
    >>> Smote(k_neighbors=3, random_state=0)  # to be given as DistilledClassifier(augment=...)
    Smote(k_neighbors=3, random_state=0)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **Augmenter._parameter_constraints,
        "k_neighbors": [Interval(Integral, 1, None, closed="left")],
        "sampler": [HasMethods(["fit_resample", "set_params"]), None],
    }

    def __init__(
        self,
        *,
        k_neighbors: int = 5,
        sampler: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(random_state=random_state)
        self.k_neighbors = k_neighbors
        self.sampler = sampler

    def learn(self, X: Any, y: NDArray | None) -> None:
        """Read the numbers, and count the classes."""
        if y is None:
            raise ValueError("Smote makes rows of the rare classes: fit needs the labels y.")
        if self.sampler is None:
            _imported_smote()  # a missing package is said before anything is asked
        if len(np.unique(y)) < 2:
            raise ValueError(f"y holds only one class, {y[:1].tolist()}; Smote needs two.")
        self.X_ = as_table(X)
        self.numbers_ = all_numbers(self.X_, "Smote")
        if np.isnan(self.numbers_).any():
            raise ValueError("X has missing values; Smote needs distances: impute them first.")
        self.classes_, self.codes_, self.counts_ = np.unique(
            y, return_inverse=True, return_counts=True
        )

    def draw(self, n_samples: int, rng: np.random.RandomState) -> Any:
        """Rows of the rarest classes."""
        targets = levelled(self.counts_, n_samples)
        growing = targets > self.counts_
        alone = growing & (self.counts_ < 2)
        if alone.any():
            raise ValueError(
                f"Smote needs 2 rows of a class to make another, and there is a single one of "
                f"{self.classes_[alone].tolist()}: use Mixup, or leave the class out."
            )
        if self.sampler is None:
            k = min(self.k_neighbors, int(self.counts_[growing].min()) - 1)
            sampler = _imported_smote()(k_neighbors=k)
        else:
            sampler = clone(self.sampler)
        sampler.set_params(
            sampling_strategy={int(c): int(targets[c]) for c in np.flatnonzero(growing)},
            random_state=rng.randint(np.iinfo(np.int32).max),
        )
        with warnings.catch_warnings():
            # More rows than the majority has are what was asked for.
            warnings.filterwarnings("ignore", message="After over-sampling", category=UserWarning)
            numbers, _ = sampler.fit_resample(self.numbers_, self.codes_)
        numbers = np.asarray(numbers)[len(self.numbers_) :]  # it appends them
        p = self.X_.shape[1]
        source = np.zeros((len(numbers), p), np.intp)
        return assemble(self.X_, source, numbers, np.ones(p, bool))


def levelled(counts: NDArray, n_more: int) -> NDArray[np.intp]:
    """Counts with so many more rows in all, the smallest raised first, as water fills a vessel."""
    order = np.argsort(counts, kind="stable")
    # Filling up the k smallest needs `cost` rows to reach the height of the k-th.
    heights = counts[order]
    cost = heights * np.arange(1, len(counts) + 1) - np.cumsum(heights)
    k = int((cost <= n_more).sum())
    level, rest = divmod(int(heights[:k].sum()) + n_more, k)
    targets = np.array(counts, dtype=np.intp)
    targets[order[:k]] = level
    targets[order[:rest]] += 1
    return targets


def _imported_smote() -> Any:
    try:
        from imblearn.over_sampling import SMOTE
    except ImportError as error:
        raise ImportError(
            "Smote uses imbalanced-learn, which is not installed here: install it by "
            "pip install lelp-sklearn[imbalance]."
        ) from error
    return SMOTE
