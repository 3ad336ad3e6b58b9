"""How alike two sets of embeddings are, whatever their widths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array, check_consistent_length


def cka(
    teacher_embeddings: ArrayLike, student_embeddings: ArrayLike, *, unbiased: bool = False
) -> float:
    r"""Linear centred kernel alignment of two sets of embeddings of the same rows.

    .. math:: \frac{\| S^\top T \|_F^2}{\| S^\top S \|_F \, \| T^\top T \|_F}

    of centred columns. Rotations, scales and shifts of either side change nothing. Time grows with
    rows, and memory does not, unlike that of the kernels.

    Parameters
    ----------
    teacher_embeddings : array-like of shape (n_rows, D)
        Teacher embeddings T.
    student_embeddings : array-like of shape (n_rows, E)
        Student embeddings S.
    unbiased : bool, default=False
        Whether to leave out the kernels' diagonals, by which embeddings wider than the rows are
        many seem aligned. It takes 4 rows.

    Returns
    -------
    float
        From 0 to 1, for the same up to rotation and scale; the unbiased one may fall below 0. It
        is 0 where one side's embeddings are all equal.

    See Also
    --------
    lelp_sklearn.losses.cka_distance : One less this, within a batch, to train on.

    References
    ----------
    Kornblith, Norouzi, Lee and Hinton (2019), Similarity of Neural Network Representations
    Revisited, ICML, section 3; unbiased: Song et al. (2012), Feature Selection via Dependence
    Maximization, equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn.metrics import cka
    >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> round(cka(corners, 3 * corners[:, ::-1] + 1), 6)
    1.0
    """
    T, S = check_embeddings(teacher_embeddings, student_embeddings)
    if not unbiased:
        return float(np.clip(_ratio(*(np.square(A.T @ B).sum() for A, B in _sides(T, S))), 0, 1))
    if len(T) < 4:
        raise ValueError(f"the embeddings have {len(T)} rows; the unbiased estimate needs 4.")
    return float(min(_ratio(*(_unbiased_hsic(A, B) for A, B in _sides(T, S))), 1))


def check_embeddings(teacher: ArrayLike, student: ArrayLike) -> tuple[NDArray, NDArray]:
    """Both sides with centred columns, of the size of 1."""
    T: Any = check_array(teacher, dtype=np.float64, input_name="teacher_embeddings")
    S: Any = check_array(student, dtype=np.float64, input_name="student_embeddings")
    check_consistent_length(T, S)
    return _centred(T), _centred(S)


def cka_rows(T: NDArray, S: NDArray) -> NDArray:
    """One value a row, whose mean is CKA and whose resampled means vary as CKA does.

    That is CKA and each row's influence on it, to first order.
    """
    moments, influence = [], []
    for A, B in _sides(T, S):
        C = A.T @ B / len(A)
        moments.append(np.square(C).sum())
        influence.append(2 * (((A @ C) * B).sum(axis=1) - moments[-1]))
    value = _ratio(*moments)
    if value == 0:
        return np.zeros(len(T))
    # The logarithm of the ratio is log a - (log b + log c) / 2.
    a, b, c = (change / moment for change, moment in zip(influence, moments, strict=True))
    return value * (1 + a - (b + c) / 2)


def _centred(rows: NDArray) -> NDArray:
    centred = rows - rows.mean(axis=0)
    largest = np.abs(centred).max()
    if largest <= 1e-12 * np.abs(rows).max():  # nothing but rounding
        return np.zeros_like(rows)
    return centred / largest  # so that fourth powers do not overflow


def _sides(T: NDArray, S: NDArray) -> tuple[tuple[NDArray, NDArray], ...]:
    return (S, T), (S, S), (T, T)


def _ratio(both: Any, one: Any, other: Any) -> float:
    return float(both / np.sqrt(one * other)) if one > 0 and other > 0 else 0.0


def _unbiased_hsic(A: NDArray, B: NDArray) -> float:
    """HSIC from kernels without their diagonals, up to a factor; kernels are not made."""
    n = len(A)
    a, b = np.square(A).sum(axis=1), np.square(B).sum(axis=1)
    row_a, row_b = A @ A.sum(axis=0) - a, B @ B.sum(axis=0) - b
    return (
        np.square(A.T @ B).sum()
        - a @ b
        + row_a.sum() * row_b.sum() / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (row_a @ row_b)
    )
