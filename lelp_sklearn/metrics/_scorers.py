"""The metrics as scikit-learn scorers: a grid may look for fidelity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context
from sklearn.metrics import make_scorer

from lelp_sklearn._tables import check_same_series, column_names, in_class_order
from lelp_sklearn.metrics._calibration import brier_score, expected_calibration_error, log_loss
from lelp_sklearn.metrics._cka import cka
from lelp_sklearn.metrics._fidelity import jensen_shannon, predictive_kl, top1_agreement

_OF_PROBA: dict[str, Callable[..., float]] = {
    "top1_agreement": top1_agreement,
    "predictive_kl": predictive_kl,
    "jensen_shannon": jensen_shannon,
}
_OF_LABELS: dict[str, Callable[..., float]] = {
    "expected_calibration_error": expected_calibration_error,
    "brier_score": brier_score,
    "log_loss": log_loss,
}
_GREATER_IS_BETTER = ("top1_agreement", "cka")


def fidelity_scorer(metric: str, **params: Any) -> Any:
    """Make a scorer of a metric, for ``scoring`` in searches and cross-validation.

    Parameters
    ----------
    metric : str
        "top1_agreement", "predictive_kl", "jensen_shannon", which read ``teacher_proba``; "cka",
        which reads ``teacher_embeddings`` and asks the student to ``transform``;
        "expected_calibration_error", "brier_score", "log_loss", which read the labels.
    **params : dict
        Further parameters of the metric: ``reverse=True``, ``classes=...``.

    Returns
    -------
    scorer : callable
        Larger is better: divergences and errors are negated. The teacher's outputs are metadata
        of ``score``, so metadata routing must be enabled where it is used; they are sliced with
        the folds, and reach the student's fit by the same name.

    Raises
    ------
    ValueError
        If there is no such metric.

    See Also
    --------
    lelp_sklearn.fidelity_report : Accuracy and fidelity side by side, with controls.

    Notes
    -----
    What is most faithful need not be most accurate, and a teacher's mistakes are copied too: let a
    search ``refit`` by fidelity only with accuracy beside it.

    Examples
    --------
    >>> import sklearn
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from lelp_sklearn import KD, StudentClassifier
    >>> from lelp_sklearn.metrics import fidelity_scorer
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> P = LogisticRegression(C=0.1).fit(X, y).predict_proba(X)
    >>> student = StudentClassifier(objective=KD(), max_epochs=5, random_state=0)
    >>> grid = {"lr": [0.0001, 0.01]}
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     search = GridSearchCV(student, grid, scoring=fidelity_scorer("predictive_kl"), cv=2)
    ...     search.fit(X, y, teacher_proba=P).best_params_
    {'lr': 0.01}
    """
    names = [*_OF_PROBA, "cka", *_OF_LABELS]
    if metric not in names:
        raise ValueError(f"metric={metric!r} is not among {names}.")
    better = {"greater_is_better": metric in _GREATER_IS_BETTER}
    if metric in _OF_LABELS:
        return make_scorer(
            _against_labels, response_method="predict_proba", metric=metric, **better, **params
        )
    if metric == "cka":
        scorer = make_scorer(
            _against_embeddings, response_method=("transform",), **better, **params
        )
        request = {"teacher_embeddings": True}
    else:
        scorer = make_scorer(
            _against_teacher, response_method="predict_proba", metric=metric, **better, **params
        )
        request = {"teacher_proba": True}
    with config_context(enable_metadata_routing=True):  # a request can be made with it alone
        return scorer.set_score_request(**request)


def _against_teacher(
    y: ArrayLike,
    proba: NDArray,
    *,
    metric: str,
    teacher_proba: ArrayLike | None = None,
    **params: Any,
) -> float:
    if teacher_proba is None:
        raise _nothing_given("teacher_proba", metric)
    check_same_series(teacher_proba, y, "teacher_proba", whose="y")
    # The student's columns are sorted, and those of a table may be in any order. A fold's y may
    # lack a class.
    teacher_proba = in_class_order(teacher_proba, np.unique(y), "teacher_proba", complete=False)
    if column_names(teacher_proba) is not None:
        teacher_proba = np.asarray(teacher_proba)
    return _OF_PROBA[metric](teacher_proba, _both_columns(proba), **params)


def _against_embeddings(
    y: ArrayLike, embeddings: NDArray, *, teacher_embeddings: ArrayLike | None = None, **params: Any
) -> float:
    if teacher_embeddings is None:
        raise _nothing_given("teacher_embeddings", "cka")
    return cka(teacher_embeddings, embeddings, **params)


def _against_labels(y: ArrayLike, proba: NDArray, *, metric: str, **params: Any) -> float:
    return _OF_LABELS[metric](y, _both_columns(proba), **params)


def _both_columns(proba: NDArray) -> NDArray:
    """Of two classes, scikit-learn hands its scorers the second one's column alone."""
    return np.column_stack([1 - proba, proba]) if proba.ndim == 1 else proba


def _nothing_given(name: str, metric: str) -> TypeError:
    return TypeError(
        f"the scorer of {metric} got no {name}: enable metadata routing "
        f"(sklearn.set_config(enable_metadata_routing=True)) and pass {name} to the search's fit, "
        "one row a row of X."
    )
