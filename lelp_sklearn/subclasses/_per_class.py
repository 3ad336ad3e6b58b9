"""Splitters that learn each class by itself, from rows of one common space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state

from lelp_sklearn._checks import unchanged_on_error
from lelp_sklearn._compat import Interval, StrOptions, fit_context
from lelp_sklearn._tables import check_same_rows, in_class_order
from lelp_sklearn.subclasses._base import (
    SubclassSplitter,
    no_spread_message,
    one_class_message,
    subclass_counts,
    too_few_rows_message,
)
from lelp_sklearn.subclasses._counts import auto_counts
from lelp_sklearn.subclasses._moments import ClassMoments
from lelp_sklearn.subclasses._space import EmbeddingSpace


class ClassSplit(Protocol):
    """How one class is split."""

    n_subclasses: int

    def log_proba(self, Z: NDArray) -> NDArray:
        """Log P(s | c, x) at temperature 1 up to a constant a row, shape (n, n_subclasses)."""


class Whole:
    """A class that is not split."""

    n_subclasses = 1

    def log_proba(self, Z: NDArray) -> NDArray:
        """Zero for every row."""
        return np.zeros((len(Z), 1))


class PerClassSplitter(SubclassSplitter):
    """What the splitters share that learn each class from its own rows; they give ``_fit_class``.

    Parameters are documented in each of them.
    """

    n_subclasses: int | Mapping[Any, int] | str
    subclass_temperature: float
    null_space: bool | str
    random_state: int | np.random.RandomState | None

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_subclasses": [
            Interval(Integral, 1, None, closed="left"),
            Mapping,
            StrOptions({"auto"}),
        ],
        "subclass_temperature": [Interval(Real, 0, None, closed="neither")],
        "null_space": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state"],
    }

    @abstractmethod
    def _fit_class(self, Z: NDArray, label: Any, n_subclasses: int, seed: int) -> ClassSplit:
        """Split a class of at least n_subclasses >= 2 rows Z, float64, that are not all equal."""

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        H: ArrayLike,
        y: ArrayLike,
        *,
        teacher_proba: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
    ) -> PerClassSplitter:
        """Find the subclasses of each class.

        Parameters
        ----------
        H : array-like of shape (n_rows, D)
            Teacher embeddings.
        y : array-like of shape (n_rows,)
            Labels, or the teacher's predictions where labels are unknown.
        teacher_proba : array-like of shape (n_rows, C), optional
            Teacher probabilities, for ``null_space``.
        teacher_coef : array-like of shape (C, D) or (1, D), optional
            Output weights of the teacher's last layer, for ``null_space``.

        Returns
        -------
        self
        """

        def fit_class(Z: NDArray, own: NDArray, label: Any, count: int, seed: int) -> ClassSplit:
            return self._fit_class(Z, label, count, seed)

        with unchanged_on_error(self):
            rows, labels = self._check_rows(H, y)
            check_same_rows(teacher_proba, H, "teacher_proba")
            self._fit_classes(rows, labels, teacher_proba, teacher_coef, fit_class)
        return self

    def _check_rows(self, H: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """Embeddings and labels, checked, of at least two classes."""
        rows, labels = self._check_fit(H, y)
        if len(classes := np.unique(labels)) < 2:
            raise ValueError(one_class_message(classes, type(self).__name__))
        return rows, labels

    def _fit_classes(
        self,
        rows: NDArray,
        labels: NDArray,
        teacher_proba: ArrayLike | None,
        teacher_coef: ArrayLike | None,
        fit_class: Callable[[NDArray, NDArray, Any, int, int], ClassSplit],
    ) -> None:
        """Fit every class that is split by itself; call it from ``fit``, for the warnings' place.

        ``fit_class`` gets what ``_fit_class`` does, and which of all rows are the class's.
        """
        classes, codes = np.unique(labels, return_inverse=True)
        counts = (
            None
            if isinstance(self.n_subclasses, str)
            else subclass_counts(self.n_subclasses, classes)
        )
        teacher_proba = in_class_order(teacher_proba, classes, "teacher_proba", complete=False)
        space = EmbeddingSpace(rows, self.null_space, teacher_proba, teacher_coef)
        rng = check_random_state(self.random_state)
        splits: list[ClassSplit] = []
        for c, label in enumerate(classes.tolist()):
            seed, own = int(rng.randint(2**31 - 1)), codes == c
            if counts is not None and counts[c] == 1:
                splits.append(Whole())
                continue
            Z = space(rows[own]).astype(np.float64, copy=False)
            # Columns have unit variance over all classes.
            spread = bool(np.ptp(Z, axis=0).max() >= 1e-6)
            count = _auto_count(Z, spread) if counts is None else int(counts[c])
            if count == 1:
                splits.append(Whole())
                continue
            if len(Z) < count:
                raise ValueError(too_few_rows_message(label, len(Z), count))
            if not spread:
                raise ValueError(no_spread_message(label, len(Z)))
            splits.append(fit_class(Z, own, label, count, seed))
        self.classes_ = classes
        self.n_subclasses_ = np.array([split.n_subclasses for split in splits], dtype=np.int64)
        self._space, self._splits = space, splits

    def _scores(self, H: NDArray) -> NDArray:
        Z = self._space(H)
        scores = [split.log_proba(Z) for split in self._splits]
        return np.concatenate(scores, axis=1) / self.subclass_temperature


def _auto_count(Z: NDArray, spread: bool) -> int:
    """Subclasses that the rows of one class are worth."""
    if not spread:
        return 1
    moments = ClassMoments.of(Z, np.zeros(len(Z)))
    return int(auto_counts(moments, None, "pca")[0])


def seeded_clone(estimator: BaseEstimator, seed: int) -> Any:
    """A clone whose random_state is the seed, unless it has one of its own."""
    model = clone(estimator)
    if model.get_params(deep=False).get("random_state", seed) is None:
        model.set_params(random_state=seed)
    return model


def subsample(Z: NDArray, max_rows: int | None, seed: int) -> NDArray:
    """So many rows at most, drawn without replacement and kept in order."""
    if max_rows is None or len(Z) <= max_rows:
        return Z
    chosen = np.random.default_rng(seed).choice(len(Z), max_rows, replace=False)
    return Z[np.sort(chosen)]
