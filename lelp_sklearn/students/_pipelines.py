"""Fit a student wherever it sits: by itself, at the end of a Pipeline, inside a search."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter


def fit_student(student: Any, X: ArrayLike, y: NDArray, arrays: dict[str, Any]) -> Any:
    """Fit a student on rows and row-aligned arrays, whose names get a Pipeline's prefix.

    With metadata routing on, scikit-learn wants the bare names.
    """
    prefix, last, searched = "", student, False
    while isinstance(last, Pipeline | BaseSearchCV):
        if isinstance(last, Pipeline):
            prefix, last = f"{prefix}{last.steps[-1][0]}__", last.steps[-1][1]
        else:
            searched, last = True, last.estimator
    check_kind(last)
    refuse_samplers(student)
    if searched and "labeled" in arrays:
        raise ValueError(
            "a search as student would score unlabelled rows against labels that are not there: "
            "search over DistilledClassifier instead, with a cache."
        )
    if get_config()["enable_metadata_routing"]:
        prefix = ""
    return student.fit(X, y, **{f"{prefix}{name}": value for name, value in arrays.items()})


def refuse_samplers(student: Any) -> None:
    """Refuse a Pipeline that changes rows on their way to the student.

    Its sampler would resample X and y, and leave the teacher's answers as they are: to other rows.
    """
    while isinstance(student, Pipeline | BaseSearchCV):
        if isinstance(student, BaseSearchCV):
            student = student.estimator
            continue
        for name, step in student.steps[:-1]:
            if hasattr(step, "fit_resample"):
                raise ValueError(
                    f"the step {name!r} of the student, a {type(step).__name__}, resamples the "
                    "rows, and the teacher's answers would go to other ones. Resample before the "
                    "teacher is asked, by imblearn's make_pipeline(sampler, "
                    "DistilledClassifier(...)), or give the student class_weight='balanced'."
                )
        student = student.steps[-1][1]


def without_samplers(estimator: Any) -> Any:
    """A Pipeline as predicting needs it: scikit-learn's, of the steps that are no samplers."""
    if not isinstance(estimator, Pipeline):
        return estimator
    steps = [
        (name, without_samplers(step))
        for name, step in estimator.steps
        if not hasattr(step, "fit_resample")
    ]
    same = [a is b for (_, a), (_, b) in zip(steps, estimator.steps, strict=False)]
    if len(steps) == len(estimator.steps) and all(same) and type(estimator) is Pipeline:
        return estimator
    return Pipeline(steps)


def check_kind(student: Any) -> None:
    """Raise TypeError for an estimator that does not learn from a teacher."""
    if not has_fit_parameter(student, "teacher_proba"):
        raise TypeError(
            f"{type(student).__name__} does not learn from a teacher: its fit takes no "
            "teacher_proba. Use LELPStudentClassifier or StudentClassifier as student, or as its "
            "last step."
        )


def last_step(estimator: Any) -> Any:
    """What stands at the end of a Pipeline, or of a search's best one; or the estimator itself."""
    while isinstance(estimator, Pipeline | BaseSearchCV):
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        else:
            estimator = getattr(estimator, "best_estimator_", estimator.estimator)
    return estimator


def last_student(estimator: Any) -> Any:
    """The fitted student in what holds one: a DistilledClassifier, a Pipeline, a search."""
    student = last_step(estimator)
    while hasattr(student, "student_"):
        student = last_step(student.student_)
    return student
