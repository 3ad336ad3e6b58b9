"""Similarity distributions: to which of some anchors, or tokens, each row is similar."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import (
    check_count,
    check_one_type,
    check_positive,
    check_tensors,
    check_vectors,
)

_SHORTEST = 1e-12  # below it a row has no direction: the gradient's parts would overflow


def unit_rows(rows: Tensor) -> Tensor:
    """Rows of length 1; those a millionth as long as the longest, or below 1e-12, are 0.

    A direction of nothing is noise, and its gradient would be without bound.

    Parameters
    ----------
    rows : Tensor of shape (..., D)
        Any vectors.

    Returns
    -------
    Tensor of the same shape

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import unit_rows
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    check_vectors(rows=rows)
    return rows * _inverse_lengths(rows)


def row_cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of each row of a with the same row of b.

    Parameters
    ----------
    a, b : Tensor of shape (B, D)
        Rows.

    Returns
    -------
    Tensor of shape (B,)
        0 where one of the two is a millionth as long as its longest, or less.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses._similarities import row_cosines
    >>> row_cosines(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([0.6000])
    """
    lengths = _inverse_lengths(a) * _inverse_lengths(b)
    return torch.linalg.vecdot(a, b) * lengths.squeeze(1)


def cosines(rows: Tensor, anchors: Tensor) -> Tensor:
    """Cosine of each row with each anchor.

    Parameters
    ----------
    rows : Tensor of shape (B, D)
        Rows.
    anchors : Tensor of shape (M, D)
        Anchors.

    Returns
    -------
    Tensor of shape (B, M)

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import cosines
    >>> cosines(torch.tensor([[3.0, 4.0]]), torch.eye(2))
    tensor([[0.6000, 0.8000]])
    """
    check_tensors(rows=(rows, "BD"), anchors=(anchors, "MD"))
    check_one_type(rows=rows, anchors=anchors)
    return unit_rows(rows) @ unit_rows(anchors).T


def similarity_kl(
    student: Tensor, teacher: Tensor, temperature: float = 0.04, ignore: Tensor | None = None
) -> Tensor:
    r"""Divergence of two distributions over the same anchors, one value a row.

    .. math::
        KL(q_i \| \bar q_i), \qquad q_{ij} = softmax_j(\cos^T_{ij} / \tau),
        \quad \bar q_{ij} = softmax_j(\cos^S_{ij} / \tau)

    CompRess has the rows of a bank as anchors, each side its own or both the teacher's; ReAugKD
    the teacher's embeddings of the batch for both sides.

    Parameters
    ----------
    student : Tensor of shape (B, M)
        Similarities of the student's rows to M anchors.
    teacher : Tensor of shape (B, M)
        Those of the teacher's.
    temperature : float, default=0.04
        tau. A row's similarity to itself takes all of the soft-max at 0.04.
    ignore : Tensor of bool of shape (B, M) or (M,), default=None
        Anchors that do not count, such as the row itself; a row without others has loss 0.

    Returns
    -------
    Tensor of shape (B,)

    See Also
    --------
    cosines : The similarities.

    References
    ----------
    Abbasi Koohpayegani, Tejankar and Pirsiavash (2020), CompRess: Self-Supervised Learning by
    Compressing Representations, NeurIPS, section 3; Zhang et al. (2023), ReAugKD, ACL
    (short papers), section 3.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import cosines, similarity_kl
    >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> similarities = cosines(teacher, teacher)
    >>> similarity_kl(similarities, similarities, ignore=torch.eye(3, dtype=torch.bool))
    tensor([0., 0., 0.])
    """
    check_tensors(student=(student, "BM"), teacher=(teacher, "BM"), ignore=(ignore, "BM|M"))
    check_positive("temperature", temperature)
    student, teacher = student / temperature, teacher / temperature
    if ignore is not None:
        student, teacher = (
            student.masked_fill(ignore, _masked(student)),
            teacher.masked_fill(ignore, _masked(teacher)),
        )
    log_student, log_teacher = student.log_softmax(dim=1), teacher.log_softmax(dim=1)
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1)


def without(logits: Tensor, ignore: Tensor) -> Tensor:
    """Logits whose soft-max is 0 where they are to be ignored.

    By products, which where many are ignored are much faster than masked_fill on CPUs.

    Parameters
    ----------
    logits : Tensor
        Logits.
    ignore : Tensor of bool, of a shape that fits
        Where.

    Returns
    -------
    Tensor of the same shape

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses._similarities import without
    >>> without(torch.tensor([1.0, 2.0]), torch.tensor([False, True])).softmax(dim=0)
    tensor([1., 0.])
    """
    gone = ignore.to(logits.dtype)
    return logits * (1 - gone) + _masked(logits) * gone


def normal_number(value: float, dtype: torch.dtype) -> float:
    """A small number, or the smallest normal one of the type where that is larger: in halves.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses._similarities import normal_number
    >>> normal_number(1e-8, torch.float32)
    1e-08
    >>> normal_number(1e-8, torch.float16)
    6.103515625e-05
    """
    return max(value, torch.finfo(dtype).tiny)


def token_relation_kl(
    student: Tensor, teacher: Tensor, n_heads: int = 1, mask: Tensor | None = None
) -> Tensor:
    r"""Divergence of relations among a row's tokens, as in MiniLMv2; one value a row.

    .. math::
        \frac1{A T} \sum_{a=1}^A \sum_{t=1}^T KL\big(R^T_{a,t} \| R^S_{a,t}\big), \qquad
        R_a = softmax\big(V_a V_a^\top / \sqrt{d}\big)

    Each side's vectors are split into A relation heads of width d, so the two sides' widths and
    attention heads may differ. MiniLMv2 adds three of these: on queries, on keys and on values of
    one layer.

    Parameters
    ----------
    student : Tensor of shape (B, T, E)
        One vector a token.
    teacher : Tensor of shape (B, T, D)
        One vector a token, of the same tokens.
    n_heads : int, default=1
        A, which divides E and D.
    mask : Tensor of bool of shape (B, T), default=None
        True for tokens that are not padding; None is all. A row of padding alone has loss 0.

    Returns
    -------
    Tensor of shape (B,)

    Raises
    ------
    ValueError
        If A does not divide both widths.

    References
    ----------
    Wang, Bao, Huang, Dong and Wei (2021), MiniLMv2: Multi-Head Self-Attention Relation
    Distillation, Findings of ACL, equations 6 to 8; with A = 1 on values, Wang et al. (2020),
    MiniLM, NeurIPS, section 3.2.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import token_relation_kl
    >>> teacher = torch.arange(24.0).reshape(1, 3, 8)
    >>> token_relation_kl(teacher.flip(2), teacher, n_heads=2) < 1e-6
    tensor([True])
    """
    check_tensors(student=(student, "BTE"), teacher=(teacher, "BTD"), mask=(mask, "BT"))
    check_count("n_heads", n_heads)
    for name, rows in {"student": student, "teacher": teacher}.items():
        if rows.shape[2] % n_heads:
            raise ValueError(
                f"n_heads={n_heads} does not divide the {name}'s width {rows.shape[2]}: choose a "
                "common divisor of both widths."
            )
    log_student = _relations(student, n_heads, mask)
    log_teacher = _relations(teacher, n_heads, mask)
    divergence = F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=3)
    tokens = divergence.mean(dim=1)  # over heads: (B, T)
    if mask is None:
        return tokens.mean(dim=1)
    return (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)


def _relations(rows: Tensor, n_heads: int, mask: Tensor | None) -> Tensor:
    """Logarithms of R, shape (B, A, T, T)."""
    heads = rows.unflatten(2, (n_heads, -1)).transpose(1, 2)
    scores = heads @ heads.transpose(2, 3) / heads.shape[3] ** 0.5
    if mask is not None:
        scores = without(scores, ~mask[:, None, None, :])
    return scores.log_softmax(dim=3)


def _masked(logits: Tensor) -> float:
    """A logit whose soft-max is 0; finite, as 0 * inf is not a number."""
    return -3e4 if logits.dtype == torch.float16 else -1e9


def _inverse_lengths(rows: Tensor) -> Tensor:
    """One over each row's length, shape (..., 1); 0 for the rows that unit_rows makes 0."""
    squares = torch.linalg.vecdot(rows, rows).unsqueeze(-1)
    if not squares.numel():
        return squares
    long = squares > (1e-12 * squares.detach().amax()).clamp_min(_SHORTEST**2)
    return squares.where(long, 1.0).rsqrt() * long
