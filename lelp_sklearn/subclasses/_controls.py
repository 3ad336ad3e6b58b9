"""Splitters that look away from the embeddings' structure, or know the truth: the controls."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from lelp_sklearn._checks import unchanged_on_error
from lelp_sklearn._compat import Interval, fit_context
from lelp_sklearn.subclasses._base import SubclassSplitter, one_class_message, subclass_counts

_N_SUBCLASSES: dict = {"n_subclasses": [Interval(Integral, 1, None, closed="left"), Mapping]}


class UniformSplitter(SubclassSplitter):
    """Give every subclass of a class the same probability: a wide head and nothing more.

    Parameters
    ----------
    n_subclasses : int or mapping of label to int, default=6
        Subclasses a class.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class.

    See Also
    --------
    LELPProjector : Subclasses along directions of the embeddings.
    RandomSplitter : Subclasses by chance.

    Examples
    --------
    >>> from lelp_sklearn import UniformSplitter
    >>> UniformSplitter(n_subclasses=2).fit_transform([[0.0], [1.0], [5.0]], ["a", "b", "b"])
    array([[0.5, 0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5, 0.5]])
    """

    _parameter_constraints = _N_SUBCLASSES

    def __init__(self, *, n_subclasses: int | Mapping[Any, int] = 6):
        self.n_subclasses = n_subclasses

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, H: ArrayLike, y: ArrayLike) -> UniformSplitter:
        """Count the classes.

        Parameters
        ----------
        H : array-like of shape (n_rows, D)
            Teacher embeddings.
        y : array-like of shape (n_rows,)
            Labels.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            _, y = self._check_fit(H, y)
            self.classes_ = np.unique(y)
            if len(self.classes_) < 2:
                raise ValueError(one_class_message(self.classes_, type(self).__name__))
            self.n_subclasses_ = subclass_counts(self.n_subclasses, self.classes_)
        return self

    def _scores(self, H: NDArray) -> NDArray:
        return np.zeros((len(H), self.n_subclasses_.sum()), dtype=H.dtype)


class RandomSplitter(UniformSplitter):
    """Put each row in one subclass of each class by chance.

    The draw is a hash of the row's float32 values, so that a row falls into the same subclasses
    wherever and whenever it is met, and near rows into unrelated ones.

    Parameters
    ----------
    n_subclasses : int or mapping of label to int, default=6
        Subclasses a class.
    random_state : int, RandomState or None, default=None
        Seed of the draw.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class.

    See Also
    --------
    LELPProjector : Subclasses along directions of the embeddings.
    UniformSplitter : Subclasses without any difference.

    Examples
    --------
    >>> from lelp_sklearn import RandomSplitter
    >>> splitter = RandomSplitter(n_subclasses=2, random_state=0)
    >>> splitter.fit_transform([[0.0], [1.0], [5.0]], ["a", "b", "b"]).sum(axis=1)
    array([2., 2., 2.])
    """

    _parameter_constraints = {**_N_SUBCLASSES, "random_state": ["random_state"]}  # noqa: RUF012

    def __init__(
        self,
        *,
        n_subclasses: int | Mapping[Any, int] = 6,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(n_subclasses=n_subclasses)
        self.random_state = random_state

    def fit(self, H: ArrayLike, y: ArrayLike) -> RandomSplitter:
        """Count the classes and draw the hash.

        Parameters
        ----------
        H : array-like of shape (n_rows, D)
            Teacher embeddings.
        y : array-like of shape (n_rows,)
            Labels.

        Returns
        -------
        self
        """
        super().fit(H, y)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        shape = (len(self.classes_), self.n_features_in_)
        self._multipliers = rng.integers(2**63, size=shape, dtype=np.uint64) * np.uint64(2) + 1
        return self

    def _scores(self, H: NDArray) -> NDArray:
        with np.errstate(over="ignore"):  # infinity has bits, too
            bits = np.ascontiguousarray(H, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
        bits = bits.view(np.uint32).astype(np.uint64)
        scores = []
        for multiplier, count in zip(self._multipliers, self.n_subclasses_, strict=True):
            # Multiply-shift: sums modulo 2**64, whose high bits are the well-mixed ones.
            draw = ((bits * multiplier).sum(axis=1) >> np.uint64(32)) % np.uint64(count)
            scores.append(_one_hot_scores(draw.astype(np.intp), count, H.dtype))
        return np.concatenate(scores, axis=1)


class OracleSplitter(SubclassSplitter):
    """Use known fine labels as subclasses: the upper bound for every way of finding them.

    Its "embeddings" are the fine labels, as a column of numbers (or several columns, whose
    combinations count). Each fine label seen with a class in fit is a subclass of that class; a row
    of a fine label that a class does not hold is split evenly there.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Fine labels of each class.
    fine_labels_ : list of ndarray of shape (n_subclasses_[c], n_columns)
        Fine labels of each class, sorted.

    See Also
    --------
    LELPProjector : Finds subclasses where no fine labels are known.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn import OracleSplitter
    >>> digit = np.array([0, 1, 2, 3])
    >>> OracleSplitter().fit_transform(digit[:, None], digit % 2)
    array([[1. , 0. , 0.5, 0.5],
           [0.5, 0.5, 1. , 0. ],
           [0. , 1. , 0.5, 0.5],
           [0.5, 0.5, 0. , 1. ]])
    """

    _parameter_constraints: dict = {}  # noqa: RUF012

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, H: ArrayLike, y: ArrayLike) -> OracleSplitter:
        """Collect the fine labels of each class.

        Parameters
        ----------
        H : array-like of shape (n_rows, n_columns)
            Fine labels, as numbers.
        y : array-like of shape (n_rows,)
            Labels.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            fine, labels = self._check_fit(H, y)
            self.classes_ = np.unique(labels)
            if len(self.classes_) < 2:
                raise ValueError(one_class_message(self.classes_, "OracleSplitter"))
            self.fine_labels_ = [
                np.unique(fine[labels == label], axis=0) for label in self.classes_
            ]
            self.n_subclasses_ = np.array([len(fine) for fine in self.fine_labels_], dtype=np.int64)
        return self

    def _scores(self, H: NDArray) -> NDArray:
        distinct, inverse = np.unique(H, axis=0, return_inverse=True)
        scores = []
        for fine in self.fine_labels_:
            place = {tuple(label): s for s, label in enumerate(fine.astype(H.dtype).tolist())}
            subclass = np.array([place.get(tuple(label), -1) for label in distinct.tolist()])
            scores.append(_one_hot_scores(subclass[inverse], len(fine), H.dtype))
        return np.concatenate(scores, axis=1)


def _one_hot_scores(subclass: NDArray, count: int, dtype: Any) -> NDArray:
    """Log-probabilities of certainty; a row whose subclass is -1 is split evenly."""
    known = subclass >= 0
    scores = np.where(known[:, None], -np.inf, 0.0).astype(dtype) * np.ones(count, dtype)
    scores[known, subclass[known]] = 0.0
    return scores
