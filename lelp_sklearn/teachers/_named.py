"""A list of named teachers as parameters: set, searched, checked and cloned by name."""

from __future__ import annotations

from copy import copy
from typing import Any

from sklearn.base import MetaEstimatorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

from lelp_sklearn._compat import BaseComposition, clone_parameters
from lelp_sklearn.teachers._sklearn import is_fitted


class NamedTeachers(MetaEstimatorMixin, BaseComposition):
    """Base of what is made of ``teachers``, a list of (name, teacher), fitted if ``prefit``."""

    teachers: list[tuple[str, Any]]
    prefit: bool

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
            if not hasattr(teacher, "predict_proba"):
                raise TypeError(
                    f"teacher {name!r}, a {type(teacher).__name__}, has no predict_proba: wrap it "
                    "in as_teacher, or in scikit-learn's CalibratedClassifierCV."
                )
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
