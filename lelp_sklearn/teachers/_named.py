"""A list of named teachers as parameters: set, searched, checked and cloned by name."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MetaEstimatorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.validation import check_consistent_length, column_or_1d

from lelp_sklearn._checks import check_class_labels
from lelp_sklearn._compat import BaseComposition, clone_parameters
from lelp_sklearn.teachers._dispatch import of_another_kind
from lelp_sklearn.teachers._fitting import gives_proba, is_fitted


class NamedTeachers(MetaEstimatorMixin, BaseComposition):
    """Base of what is made of ``teachers``, a list of (name, teacher), fitted if ``prefit``."""

    teachers: list[tuple[str, Any]]
    prefit: bool
    combine: str
    teachers_: list[Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, with ``deep`` also the teachers by name and theirs as ``name__parameter``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the teachers.

        Returns
        -------
        params : dict
        """
        return self._get_params("teachers", deep=deep)

    def set_params(self, **params: Any) -> Any:
        """Set parameters, teachers by name, or theirs as ``name__parameter``.

        Parameters
        ----------
        **params : dict
            As in :meth:`get_params`.

        Returns
        -------
        self
        """
        return self._set_params("teachers", **params)

    def _check_teachers(self) -> None:
        pairs = [isinstance(item, tuple) and len(item) == 2 for item in self.teachers]
        if not pairs or not all(pairs):
            raise ValueError(
                f"teachers is {self.teachers!r}; expected at least one pair of name and teacher: "
                "[('forest', RandomForestClassifier()), ...]."
            )
        self._validate_names([name for name, _ in self.teachers])
        for name, teacher in self.teachers:
            if not gives_proba(teacher):
                problem = of_another_kind(teacher) or (
                    f"a {type(teacher).__name__}, has no predict_proba: wrap it in as_teacher, or "
                    "in scikit-learn's CalibratedClassifierCV."
                )
                raise TypeError(f"teacher {name!r}, {problem}")
            if self.prefit and not is_fitted(teacher):
                raise NotFittedError(
                    f"teacher {name!r} is not fitted and prefit=True: fit it first, or set "
                    "prefit=False to have a clone of it fitted here."
                )
            if self.prefit and not hasattr(teacher, "classes_"):
                raise TypeError(
                    f"teacher {name!r}, a {type(teacher).__name__}, has no classes_, which names "
                    "the columns of predict_proba: set it to their labels."
                )

    def _check_labels(self, X: Any, y: ArrayLike | None) -> NDArray | None:
        if y is None:
            if self.prefit and self.combine != "log_loss":
                return None
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Only "
                "prefit teachers do without, and not with combine='log_loss'."
            )
        check_consistent_length(X, y)
        return check_class_labels(y)

    def _check_classes(self, classes: NDArray, labels: NDArray | None) -> None:
        """Teachers agree on the classes, and y holds no others."""
        who = f"teacher {self.teachers[0][0]!r}" if self.prefit else "y"
        for (name, _), teacher in zip(self.teachers, self.teachers_, strict=True):
            known = np.asarray(teacher.classes_).tolist()
            if set(known) != set(classes.tolist()):
                raise ValueError(
                    f"teacher {name!r} knows the classes {known} and {who} "
                    f"{classes.tolist()}: all must have the same labels, in any order."
                )
        if labels is not None:
            class_numbers(labels, classes, len(labels))

    def __sklearn_clone__(self) -> Any:
        if not self.prefit:
            return clone_parameters(self)
        # A clone of a fitted teacher would be an unfitted one, and a deep copy may be large.
        shell = copy(self)
        shell.teachers = []
        clone_ = clone_parameters(shell)
        clone_.teachers = self.teachers
        return clone_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if not isinstance(self.teachers, list) or not all(
            isinstance(item, tuple) and hasattr(item[-1], "__sklearn_tags__")
            for item in self.teachers
        ):
            return tags
        inner = [get_tags(teacher) for _, teacher in self.teachers]
        for name in ("sparse", "allow_nan", "string", "two_d_array", "positive_only"):
            take = any if name == "positive_only" else all
            setattr(tags.input_tags, name, take(getattr(t.input_tags, name) for t in inner))
        return tags


def class_numbers(y: ArrayLike, classes: NDArray, n_rows: int) -> NDArray:
    """Class numbers of labels."""
    labels = column_or_1d(y)
    if len(labels) != n_rows:
        raise ValueError(f"y has {len(labels)} labels and X has {n_rows} rows: give one a row.")
    strange = np.setdiff1d(labels, classes)
    if len(strange):
        raise ValueError(
            f"y holds the labels {strange.tolist()}, which the teachers do not know; they know "
            f"{classes.tolist()}."
        )
    return np.searchsorted(classes, labels)
