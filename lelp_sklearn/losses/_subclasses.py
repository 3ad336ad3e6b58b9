"""The LELP loss: one divergence on subclasses, and the cross-entropy a student is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._blocks import folded, unfolded
from lelp_sklearn.losses._checks import (
    alike,
    check_blocks,
    check_classes,
    check_not_negative,
    check_positive,
    check_tensors,
)
from lelp_sklearn.losses._classes import class_kl


def subclass_kl(
    logits: Tensor,
    class_target: Tensor,
    split_target: Tensor,
    n_subclasses: Sequence[int],
    temperature: float = 1.0,
    subclass_weight: float = 1.0,
) -> Tensor:
    r"""Divergence on subclasses, split into what classes and what subclasses add, one value a row.

    With the student's soft-max over all subclass logits :math:`u / \tau`,

    .. math::
        \tau^2 \Big[ KL(p^T \| p^S) +
            \lambda \sum_c p^T_c \, KL\big(P^T(s \mid c) \,\|\, P^S(s \mid c)\big) \Big].

    For :math:`\lambda = 1` this is :math:`\tau^2 KL(p^T_{c,s} \| softmax(u/\tau))`, the loss of the
    paper; for 0 it is plain distillation with a wide head.

    Parameters
    ----------
    logits : Tensor of shape (B, sum of n_subclasses)
        Student logits u.
    class_target : Tensor of shape (B, C)
        Teacher probabilities, already softened by the temperature; zeros allowed.
    split_target : Tensor of shape (B, sum of n_subclasses)
        P(s | c) of the teacher, each block summing to 1; zeros allowed.
    n_subclasses : sequence of int
        Width of each class's block.
    temperature : float, default=1.0
        tau.
    subclass_weight : float, default=1.0
        lambda.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Loo, Iliopoulos, Hu and Vee (2024), arXiv:2409.20449, section 3.2.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import subclass_kl
    >>> p, split = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.5, 0.5]])
    >>> subclass_kl(torch.zeros(1, 4), p, split, [2, 2], subclass_weight=0.0)
    tensor([0.6931])
    >>> subclass_kl(torch.zeros(1, 4), p, split, [2, 2])  # and log 2 for the subclass
    tensor([1.3863])
    """
    check_blocks(logits, n_subclasses)
    check_tensors(logits=(logits, "BK"), split_target=(split_target, "BK"))
    check_classes("class_target", class_target, len(logits), n_subclasses)
    check_positive("temperature", temperature)
    check_not_negative("subclass_weight", subclass_weight)
    scaled = logits / temperature
    class_logits = folded(scaled, n_subclasses)
    class_term = class_kl(class_logits, class_target)
    log_split = scaled - unfolded(class_logits, n_subclasses)  # log P^S(s | c)
    split_kl = F.kl_div(log_split, split_target, reduction="none")
    split_term = (unfolded(class_target, n_subclasses) * split_kl).sum(dim=1)
    return temperature**2 * (class_term + subclass_weight * split_term)


def subclass_cross_entropy(
    logits: Tensor,
    class_mass: Tensor,
    joint_mass: Tensor | None,
    n_subclasses: Sequence[int],
    subclass_weight: float = 1.0,
) -> Tensor:
    r"""Cross-entropy of a batch with any mass on its rows' classes and subclasses, a scalar.

    .. math::
        -\sum_i \Big[ \sum_c a_{ic} \log p^S_i(c) +
            \lambda \sum_{c,s} b_{ics} \log p^S_i(c, s) \Big].

    A sum of labels' cross-entropies and of :func:`subclass_kl` under row weights is one of these,
    up to a constant, with the weights in a and b before anything is differentiated.

    Parameters
    ----------
    logits : Tensor of shape (B, sum of n_subclasses)
        Student logits.
    class_mass : Tensor of shape (B, C)
        a.
    joint_mass : Tensor of shape (B, sum of n_subclasses) or None
        b; None is 0.
    n_subclasses : sequence of int
        Width of each class's block.
    subclass_weight : float, default=1.0
        lambda.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import subclass_cross_entropy
    >>> subclass_cross_entropy(torch.zeros(1, 4), torch.tensor([[1.0, 0.0]]), None, [2, 2])
    tensor(0.6931)
    """
    check_blocks(logits, n_subclasses)
    check_classes("class_mass", class_mass, logits.shape[0], n_subclasses)
    if joint_mass is not None and not alike(logits, joint_mass):
        check_tensors(logits=(logits, "BK"), joint_mass=(joint_mass, "BK"))
    check_not_negative("subclass_weight", subclass_weight)
    return -subclass_log_likelihood(logits, class_mass, joint_mass, n_subclasses, subclass_weight)


def subclass_log_likelihood(
    logits: Tensor,
    class_mass: Tensor,
    joint_mass: Tensor | None,
    n_subclasses: Sequence[int],
    subclass_weight: float,
) -> Tensor:
    """The negative of :func:`subclass_cross_entropy`, of arguments that are known to fit."""
    log_joint = logits.log_softmax(dim=1)
    total = _inner(class_mass, folded(log_joint, n_subclasses))
    if joint_mass is None or not subclass_weight:
        return total
    return total.add(_inner(joint_mass, log_joint), alpha=subclass_weight)


def _inner(mass: Tensor, log_proba: Tensor) -> Tensor:
    """Sum of products, with one step backwards instead of two."""
    return torch.dot(mass.flatten().to(log_proba.dtype), log_proba.flatten())
