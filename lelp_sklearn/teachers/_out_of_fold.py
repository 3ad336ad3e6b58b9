"""A teacher's probabilities of rows that it did not see."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import check_cv

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._fitting import is_fitted

Ask = Callable[[Any, Any, NDArray, NDArray | None], TeacherOutputs]


def out_of_fold_proba(
    teacher: Any,
    X: Any,
    y: NDArray,
    classes: NDArray,
    cv: Any,
    sample_weight: NDArray | None,
    ask: Ask,
) -> tuple[NDArray, list[Any]]:
    """Probabilities of each row by clones of a teacher fitted without it, and these clones.

    A splitter may test a row in several folds, whose probabilities are then averaged.

    Parameters
    ----------
    teacher : estimator
        Cloned and fitted for each fold.
    X : array-like of shape (n, ...)
        Rows.
    y : ndarray of shape (n,)
        Labels.
    classes : ndarray of shape (C,)
        Order of the columns.
    cv : int or splitter
        As in scikit-learn; a number means stratified folds.
    sample_weight : ndarray of shape (n,) or None
        For the teacher's fit.
    ask : callable
        ``ask(teacher, X, classes, y)`` gives the outputs.

    Returns
    -------
    proba : ndarray of shape (n, C)
    teachers : list of estimator
        One a fold.
    """
    if is_fitted(clone(teacher)):
        warnings.warn(
            f"the teacher {type(teacher).__name__} comes trained and every fold asks the same one, "
            "so nothing is out of fold: cv='prefit' says so.",
            UserWarning,
            stacklevel=6,
        )
    total = np.zeros((len(y), len(classes)))
    times = np.zeros(len(y))
    teachers = []
    for train, test in check_cv(cv, y, classifier=True).split(np.zeros(len(y)), y):
        weight = None if sample_weight is None else sample_weight[train]
        fold = clone(teacher).fit(safe_indexing(X, train), y[train], **given(sample_weight=weight))
        total[test] += ask(fold, safe_indexing(X, test), classes, y[test]).proba
        times[test] += 1
        teachers.append(fold)
    if not times.all():
        raise ValueError(
            f"cv={cv} leaves {int((times == 0).sum())} of {len(y)} rows out of every test fold, so "
            "no teacher can be asked about them: use a splitter that tests each row, such as a "
            "number of folds."
        )
    return total / times[:, None], teachers


def mean_proba(teachers: list[Any], X: Any, classes: NDArray, ask: Ask) -> NDArray:
    """Mean probability of several teachers."""
    answers = [ask(teacher, X, classes, None).proba for teacher in teachers]
    return np.mean(np.array(answers), axis=0)


def given(**params: Any) -> dict[str, Any]:
    """The parameters that are not None."""
    return {name: value for name, value in params.items() if value is not None}
