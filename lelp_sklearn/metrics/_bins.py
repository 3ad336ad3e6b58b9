"""Rows by how sure a model is of them."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from lelp_sklearn.metrics._checks import check_labels, check_pair, check_weight
from lelp_sklearn.metrics._fidelity import agreement_rows

_STRATEGIES = ("uniform", "quantile")


class ConfidenceBins(NamedTuple):
    """Rows in bins of confidence, the winning class's probability.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        A bin holds its lower edge and not its upper one; the last holds both.
    weight : ndarray of shape (n_bins,)
        Number of rows, or the sum of their weights.
    confidence : ndarray of shape (n_bins,)
        Mean confidence; NaN in an empty bin.
    share : ndarray of shape (n_bins,)
        Share of rows in agreement with the other model, or of right ones; NaN in an empty bin.

    See Also
    --------
    agreement_by_confidence, reliability_bins : Make one.
    lelp_sklearn.FidelityDisplay : Draws them.

    Examples
    --------
    >>> from lelp_sklearn.metrics import reliability_bins
    >>> bins = reliability_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], n_bins=2)
    >>> bins.weight, bins.share
    (array([0., 2.]), array([nan, 0.5]))
    """

    edges: NDArray
    weight: NDArray
    confidence: NDArray
    share: NDArray


def agreement_by_confidence(
    teacher_proba: ArrayLike,
    student_proba: ArrayLike,
    *,
    n_bins: int = 10,
    strategy: str = "uniform",
    sample_weight: ArrayLike | None = None,
) -> ConfidenceBins:
    """Top-1 agreement, by how sure the teacher is.

    Disagreement where the teacher is sure is the student's failure; where the teacher is unsure
    it costs little.

    Parameters
    ----------
    teacher_proba, student_proba : array-like of shape (n_rows, n_classes)
        Probabilities, columns in the same order.
    n_bins : int, default=10
        Bins. Of equal width, the first ones are empty: confidence is 1 / n_classes at the least.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width over 0 to 1, or of equally many rows (equal confidences share a bin).
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts; not so for the edges.

    Returns
    -------
    ConfidenceBins

    Examples
    --------
    >>> from lelp_sklearn.metrics import agreement_by_confidence
    >>> teacher, student = [[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]]
    >>> agreement_by_confidence(teacher, student, n_bins=4).share
    array([nan, nan,  0.,  1.])
    """
    teacher, student = check_pair(teacher_proba, student_proba)
    agree = agreement_rows(teacher, student)
    return confidence_bins(teacher.max(axis=1), agree, n_bins, strategy, sample_weight)


def reliability_bins(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    n_bins: int = 10,
    strategy: str = "uniform",
    sample_weight: ArrayLike | None = None,
) -> ConfidenceBins:
    """Accuracy by confidence: what a reliability diagram draws.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels.
    proba : array-like of shape (n_rows, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), optional
        Labels of the columns. None: the sorted labels of y.
    n_bins : int, default=10
        Bins of the winning class's probability.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width over 0 to 1, or of equally many rows.
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts; not so for the edges.

    Returns
    -------
    ConfidenceBins

    See Also
    --------
    expected_calibration_error : The mean gap between ``share`` and ``confidence``.

    Examples
    --------
    >>> from lelp_sklearn.metrics import reliability_bins
    >>> reliability_bins([0, 1], [[0.75, 0.25], [0.5, 0.5]], n_bins=4).confidence
    array([ nan,  nan, 0.5 , 0.75])
    """
    codes, p = check_labels(y, proba, classes)
    right = (p.argmax(axis=1) == codes).astype(np.float64)
    return confidence_bins(p.max(axis=1), right, n_bins, strategy, sample_weight)


def confidence_bins(
    confidence: NDArray,
    outcome: NDArray,
    n_bins: int,
    strategy: str,
    sample_weight: ArrayLike | None,
) -> ConfidenceBins:
    """Means of confidence and outcome in each bin."""
    weight = check_weight(sample_weight, confidence)
    edges, number = assign(confidence, n_bins, strategy)
    total, sure, share = (
        np.bincount(number, weights=weight * values, minlength=int(n_bins))
        for values in (np.ones_like(confidence), confidence, outcome)
    )
    filled = np.where(total > 0, total, np.nan)
    return ConfidenceBins(edges, total, sure / filled, share / filled)


def assign(confidence: NDArray, n_bins: int, strategy: str) -> tuple[NDArray, NDArray]:
    """Edges of the bins, and the number of each row's."""
    check_scalar(n_bins, "n_bins", Integral, min_val=1)
    if strategy not in _STRATEGIES:
        raise ValueError(f"strategy={strategy!r} is not among {list(_STRATEGIES)}.")
    edges = np.linspace(0, 1, int(n_bins) + 1)
    if strategy == "quantile":
        edges = np.quantile(confidence, edges)
    return edges, np.searchsorted(edges[1:-1], confidence, side="right")
