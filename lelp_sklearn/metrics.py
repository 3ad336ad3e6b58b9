"""Fidelity and calibration, over whole arrays: numpy in, floats out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d


def top1_agreement(teacher_proba: ArrayLike, student_proba: ArrayLike) -> float:
    """Share of rows for which teacher and student name the same class.

    Parameters
    ----------
    teacher_proba, student_proba : array-like of shape (n_rows, n_classes)
        Probabilities, columns in the same order.

    Returns
    -------
    float
        From 0 to 1.

    References
    ----------
    Stanton et al. (2021), Does Knowledge Distillation Really Work?, equation 2.

    Examples
    --------
    >>> from lelp_sklearn.metrics import top1_agreement
    >>> top1_agreement([[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]])
    0.5
    """
    teacher, student = _pair(teacher_proba, student_proba)
    return float(np.mean(teacher.argmax(axis=1) == student.argmax(axis=1)))


def expected_calibration_error(
    y: ArrayLike, proba: ArrayLike, *, classes: ArrayLike | None = None, n_bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy, over bins of equal width.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels.
    proba : array-like of shape (n_rows, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), optional
        Labels of the columns. None: the sorted labels of y.
    n_bins : int, default=15
        Bins of the winning class's probability, over 0 to 1.

    Returns
    -------
    float
        From 0 to 1; 0 is calibrated.

    References
    ----------
    Guo et al. (2017), On Calibration of Modern Neural Networks, equation 3.

    Examples
    --------
    >>> from lelp_sklearn.metrics import expected_calibration_error
    >>> expected_calibration_error([0, 1], [[0.875, 0.125], [0.625, 0.375]])  # right, wrong
    0.375
    """
    p: NDArray = check_array(proba, dtype=np.float64, input_name="proba")
    labels = column_or_1d(y)
    check_consistent_length(labels, p)
    names = np.unique(labels) if classes is None else np.asarray(classes)
    if len(names) != p.shape[1]:
        raise ValueError(
            f"proba has {p.shape[1]} columns and the classes are {names.tolist()}: pass classes, "
            "one label a column."
        )
    confidence = p.max(axis=1)
    right = names[p.argmax(axis=1)] == labels
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(labels))


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Any, Any]:
    first = check_array(a, dtype=np.float64, input_name="teacher_proba")
    second = check_array(b, dtype=np.float64, input_name="student_proba")
    if first.shape != second.shape:
        raise ValueError(
            f"teacher_proba has shape {first.shape} and student_proba {second.shape}: expected "
            "the same rows and classes."
        )
    return first, second
