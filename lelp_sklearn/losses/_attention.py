"""Attention maps of a teacher's heads, matched by soft mixtures of a student's."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import check_one_type, check_positive, check_tensors
from lelp_sklearn.losses._similarities import normal_number, unit_rows

_SMALLEST_PROBA = 1e-8
_VARIANTS = ("kl", "mse", "token")


def align_heads(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor | None = None,
    variant: str = "kl",
    align_temperature: float = 1.0,
) -> Tensor:
    r"""Soft alignment of attention heads (AMAD), one value a row.

    Each head i of the teacher is compared with a mixture of the student's heads j, by the cosines
    of their maps over all tokens, :math:`a_{ij} = softmax_j(\cos(t_i, s_j) / \tau_a)`. So the
    numbers of heads may differ, either way.

    Parameters
    ----------
    student : Tensor of shape (B, H_s, Q, K)
        Attention of the student; each query's sums to 1.
    teacher : Tensor of shape (B, H_t, Q', K')
        Attention of the teacher on the same tokens. Queries whose rows are zero are padding.
    mask : bool Tensor of shape (B, Q), default=None
        True for the student's tokens that are not padding: of queries, and of keys where Q = K.
    variant : {"kl", "mse", "token"}, default="kl"
        "mse" is :math:`\sum_i |\hat t_i - \sum_j a_{ij} \hat s_j|^2` with whole maps of length 1;
        "kl" the mean over heads and tokens l of
        :math:`KL(t_i^l \,\|\, \sum_j a_{ij} s_j^l)`; "token" the same with heads aligned at each
        token alone.
    align_temperature : float, default=1.0
        tau_a.

    Returns
    -------
    Tensor of shape (B,)
        0 for a row without common tokens.

    Notes
    -----
    What one side does not reach is cut off both, and the rest of a query's attention is scaled to
    sum to 1. The paper's equation 9 puts maps of length 1 into a divergence, which are no
    distributions; here the weights are the paper's and what they mix are distributions.

    References
    ----------
    Zhao et al. (2024), No Head Left Behind: Multi-Head Alignment Distillation for Transformers,
    AAAI, equations 2, 6, 9 and 12.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import align_heads
    >>> teacher = torch.eye(3).expand(1, 4, 3, 3)
    >>> align_heads(torch.eye(3).expand(1, 2, 3, 3), teacher).abs() < 1e-6
    tensor([True])
    >>> align_heads(torch.full((1, 2, 3, 3), 1 / 3), teacher)  # log 3
    tensor([1.0986])
    """
    check_tensors(student=(student, "BHQK"), teacher=(teacher, "BIPL"), mask=(mask, "BQ"))
    check_positive("align_temperature", align_temperature)
    if variant not in _VARIANTS:
        raise ValueError(f"variant={variant!r}: expected one of {_VARIANTS}.")
    check_one_type(student=student, teacher=teacher)
    s, t, valid = _same_tokens(student, teacher, mask)
    if variant == "token":  # (B, Q, H, K): heads are aligned at each token
        s, t = s.transpose(1, 2), t.transpose(1, 2)
        mixed = _weights(s, t, align_temperature) @ s
        s, t = mixed.transpose(1, 2), t.transpose(1, 2)
        return _mean_kl(s, t, valid)
    flat_s, flat_t = s.flatten(2), t.flatten(2)
    a = _weights(flat_s, flat_t, align_temperature)
    if variant == "mse":
        return (unit_rows(flat_t) - a @ unit_rows(flat_s)).square().sum(dim=(1, 2))
    return _mean_kl((a @ flat_s).unflatten(2, s.shape[2:]), t, valid)


def _same_tokens(
    student: Tensor, teacher: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Both on the queries and keys that both have, rows summing to 1; and which queries are."""
    n_queries, n_keys = (min(student.shape[i], teacher.shape[i]) for i in (2, 3))
    there = student.new_ones(student.shape[0], 1, student.shape[2], 1)
    if mask is not None:
        there = mask[:, None, :, None].to(student.dtype)
        if student.shape[2] == student.shape[3]:
            student = student * there.transpose(2, 3)
    s, t = (maps[:, :, :n_queries, :n_keys] for maps in (student, teacher))
    in_teacher = t.sum(dim=(1, 3)) > 0
    valid = in_teacher.to(student.dtype) * there[:, 0, :n_queries, 0]
    s, t = (valid[:, None, :, None] * _summing_to_1(maps) for maps in (s, t))
    return s, t, valid


def _summing_to_1(maps: Tensor) -> Tensor:
    smallest = normal_number(_SMALLEST_PROBA, maps.dtype)
    return maps / maps.sum(dim=-1, keepdim=True).clamp_min(smallest)


def _weights(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Share of each student head in each teacher head's mixture: equation 2."""
    cosines = unit_rows(teacher) @ unit_rows(student).transpose(-2, -1)
    return (cosines / temperature).softmax(dim=-1)


def _mean_kl(student: Tensor, teacher: Tensor, valid: Tensor) -> Tensor:
    """Mean over heads and valid queries of KL(teacher || student)."""
    log_student = student.clamp_min(normal_number(_SMALLEST_PROBA, student.dtype)).log()
    rows = F.kl_div(log_student, teacher, reduction="none").sum(dim=3).mean(dim=1)
    return (valid * rows).sum(dim=1) / valid.sum(dim=1).clamp_min(1)
