"""The meta-estimator most users start with: a teacher and a student, one fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import check_cv, cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
)

from lelp_sklearn._compat import HasMethods, StrOptions, clone_parameters, fit_context
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.students import LELPStudentClassifier
from lelp_sklearn.teachers import teacher_outputs


def _student_has(name: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(
        getattr(self, "student_", self.student) or LELPStudentClassifier, name
    )


class DistilledClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Ask a teacher about the training rows, train a student on the answers, predict with it.

    Parameters
    ----------
    teacher : estimator
        A classifier with ``predict_proba``, and embeddings from ``transform`` where the student
        needs them; of a Pipeline whose last step is a classifier, what that step is given.
    student : estimator, default=None
        A student of this package, or a Pipeline that ends in one. It may read other columns than
        the teacher: both get the raw X. None is ``LELPStudentClassifier()``.
    cv : "prefit", int or splitter, default="prefit"
        "prefit": the teacher is fitted, is not fitted again, and clones of this estimator share
        it. Otherwise it is cloned and fitted here, and each row's probabilities come from a
        teacher that did not see the row, since those of a teacher that did are near one-hot. Its
        embeddings then come from the teacher fitted on all rows, as each fold's teacher has a
        space of its own.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    teacher_ : estimator
        The fitted teacher. Predicting does not need it.
    student_ : estimator
        The fitted student.
    n_features_in_ : int
        Columns of X, where the student counts them.

    See Also
    --------
    LELPStudentClassifier, StudentClassifier : Students, for teacher outputs held as arrays.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from lelp_sklearn import MLP, CrossEntropy, DistilledClassifier
    >>> from lelp_sklearn import LELPStudentClassifier, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X / 16, digit % 2, random_state=0)
    >>> teacher = StudentClassifier(MLP, objective=CrossEntropy(), random_state=0).fit(X, y)
    >>> student = LELPStudentClassifier(subclass_weight=0.1, random_state=0)
    >>> distilled = DistilledClassifier(teacher, student).fit(X, y)
    >>> distilled.score(X_test, y_test) > 0.95
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "teacher": [HasMethods("predict_proba")],
        "student": [HasMethods(["fit", "predict_proba"]), None],
        "cv": ["cv_object", StrOptions({"prefit"})],
    }

    def __init__(self, teacher: Any, student: Any = None, *, cv: Any = "prefit"):
        self.teacher = teacher
        self.student = student
        self.cv = cv

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> DistilledClassifier:
        """Ask the teacher, and train the student.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows, as teacher and student take them.
        y : array-like of shape (n_rows,)
            Labels.
        sample_weight : array-like of shape (n_rows,), optional
            Weights for the student, and for a teacher that is fitted here and takes them.

        Returns
        -------
        self
        """
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        check_consistent_length(X, y)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        classes = np.unique(labels)
        self.teacher_, outputs = self._ask_teacher(X, labels, classes, sample_weight)
        student = LELPStudentClassifier() if self.student is None else clone(self.student)
        arrays = {f"teacher_{name}": getattr(outputs, name) for name in outputs.given}
        if sample_weight is not None:
            arrays["sample_weight"] = sample_weight
        self.student_ = _fit_student(student, X, labels, arrays)
        self.classes_ = self.student_.classes_
        if hasattr(self.student_, "n_features_in_"):
            self.n_features_in_ = self.student_.n_features_in_
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable class of each row, by the student alone.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_rows,)
        """
        check_is_fitted(self, "student_")
        return self.student_.predict(X)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each class, by the student alone.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
        """
        check_is_fitted(self, "student_")
        return self.student_.predict_proba(X)

    @available_if(_student_has("decision_function"))
    def decision_function(self, X: ArrayLike) -> NDArray:
        """The student's decision function.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        score : ndarray of shape (n_rows,) or (n_rows, n_classes)
        """
        check_is_fitted(self, "student_")
        return self.student_.decision_function(X)

    def _ask_teacher(
        self, X: ArrayLike, y: NDArray, classes: NDArray, sample_weight: ArrayLike | None
    ) -> tuple[Any, TeacherOutputs]:
        if isinstance(self.cv, str):
            _check_prefit(self.teacher)
            return self.teacher, teacher_outputs(self.teacher, X, classes)
        takes_weight = sample_weight is not None and has_fit_parameter(
            self.teacher, "sample_weight"
        )
        fit_params = {"sample_weight": sample_weight} if takes_weight else {}
        proba = cross_val_predict(
            self.teacher,
            X,
            y,
            cv=check_cv(self.cv, y, classifier=True),
            method="predict_proba",
            params=fit_params,
        )
        teacher = clone(self.teacher).fit(X, y, **fit_params)
        return teacher, replace(teacher_outputs(teacher, X, classes), proba=proba)

    def __sklearn_clone__(self) -> DistilledClassifier:
        # A clone of a fitted teacher would be an unfitted one.
        copy = clone_parameters(self)
        if isinstance(self.cv, str):
            copy.teacher = self.teacher
        return copy


def _check_prefit(teacher: Any) -> None:
    try:
        check_is_fitted(teacher)
    except NotFittedError as error:
        raise NotFittedError(
            f"the teacher {type(teacher).__name__} is not fitted and cv='prefit': fit it first, or "
            "set cv=5 to have it fitted here, with out-of-fold probabilities for the student."
        ) from error
    except TypeError:  # not an estimator: whatever answers predict_proba may teach
        pass


def _fit_student(student: Any, X: ArrayLike, y: NDArray, arrays: dict[str, Any]) -> Any:
    """Fit a student, or a Pipeline that ends in one, on row-aligned arrays."""
    prefix, last = "", student
    while isinstance(last, Pipeline):
        prefix, last = f"{prefix}{last.steps[-1][0]}__", last.steps[-1][1]
    if not has_fit_parameter(last, "teacher_proba"):
        raise TypeError(
            f"{type(last).__name__} does not learn from a teacher: its fit takes no teacher_proba. "
            "Use LELPStudentClassifier or StudentClassifier as student, or as its last step."
        )
    if get_config()["enable_metadata_routing"]:
        prefix = ""
    return student.fit(X, y, **{f"{prefix}{name}": value for name, value in arrays.items()})
