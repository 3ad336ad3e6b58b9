"""How far a student's probabilities are from its teacher's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from lelp_sklearn.metrics._checks import SMALLEST, check_pair, mean


def top1_agreement(
    teacher_proba: ArrayLike, student_proba: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Share of rows for which teacher and student name the same class.

    Parameters
    ----------
    teacher_proba, student_proba : array-like of shape (n_rows, n_classes)
        Probabilities, columns in the same order. The first of equal columns is the one named.
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts.

    Returns
    -------
    float
        From 0 to 1.

    See Also
    --------
    predictive_kl : How far the probabilities are from one another.
    agreement_by_confidence : The same, by how sure the teacher is.

    Notes
    -----
    Two accurate models agree without having learned from each other:
    :func:`lelp_sklearn.fidelity_report` has the control.

    References
    ----------
    Stanton et al. (2021), Does Knowledge Distillation Really Work?, equation 2.

    Examples
    --------
    >>> from lelp_sklearn.metrics import top1_agreement
    >>> top1_agreement([[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]])
    0.5
    """
    teacher, student = check_pair(teacher_proba, student_proba)
    return mean(agreement_rows(teacher, student), sample_weight)


def predictive_kl(
    teacher_proba: ArrayLike,
    student_proba: ArrayLike,
    *,
    reverse: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Mean divergence of the student's probabilities from the teacher's, in nats.

    .. math:: \frac1n \sum_i \sum_c p^T_{ic} \log \frac{p^T_{ic}}{p^S_{ic}}

    Parameters
    ----------
    teacher_proba, student_proba : array-like of shape (n_rows, n_classes)
        Probabilities, columns in the same order. 0 counts as 2.2e-16 in the denominator, so that
        a row is 36.04 at the most; 0 in the numerator adds nothing.
    reverse : bool, default=False
        KL(student || teacher) instead: large where the student is sure and the teacher is not.
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts.

    Returns
    -------
    float
        0 for equal probabilities, and larger otherwise.

    See Also
    --------
    jensen_shannon : Symmetric and bounded, so that no single row rules the mean.

    References
    ----------
    Stanton et al. (2021), Does Knowledge Distillation Really Work?, equation 3.

    Examples
    --------
    >>> from lelp_sklearn.metrics import predictive_kl
    >>> round(predictive_kl([[0.5, 0.5]], [[0.25, 0.75]]), 4)  # log(4 / 3) / 2
    0.1438
    """
    teacher, student = check_pair(teacher_proba, student_proba)
    rows = kl_rows(student, teacher) if reverse else kl_rows(teacher, student)
    return mean(rows, sample_weight)


def jensen_shannon(
    teacher_proba: ArrayLike, student_proba: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    r"""Mean Jensen-Shannon divergence of two models' probabilities, in nats.

    .. math::
        \tfrac12 KL(p^T \| m) + \tfrac12 KL(p^S \| m), \qquad m = \tfrac12 (p^T + p^S)

    Parameters
    ----------
    teacher_proba, student_proba : array-like of shape (n_rows, n_classes)
        Probabilities, columns in the same order.
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts.

    Returns
    -------
    float
        From 0, for equal probabilities, to log 2 = 0.693, for those without a class in common. It
        is the square of ``scipy.spatial.distance.jensenshannon``.

    See Also
    --------
    predictive_kl : What distillation minimises.

    References
    ----------
    Lin (1991), Divergence Measures Based on the Shannon Entropy, equation 4.1.

    Examples
    --------
    >>> from lelp_sklearn.metrics import jensen_shannon
    >>> round(jensen_shannon([[1.0, 0.0]], [[0.0, 1.0]]), 4)
    0.6931
    """
    teacher, student = check_pair(teacher_proba, student_proba)
    return mean(js_rows(teacher, student), sample_weight)


def agreement_rows(teacher: NDArray, student: NDArray) -> NDArray:
    """1 where both name the same class."""
    return (teacher.argmax(axis=1) == student.argmax(axis=1)).astype(np.float64)


def kl_rows(p: NDArray, q: NDArray) -> NDArray:
    """KL(p || q) of each row."""
    rows = xlogy(p, p / np.maximum(q, SMALLEST)).sum(axis=1)
    return np.maximum(rows, 0)  # rounding


def js_rows(p: NDArray, q: NDArray) -> NDArray:
    """Jensen-Shannon divergence of each row."""
    m = (p + q) / 2
    return np.minimum((kl_rows(p, m) + kl_rows(q, m)) / 2, np.log(2))
