"""Losses on class logits: labels, and plain knowledge distillation."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import alike, check_positive, check_tensors, numbered


def label_loss(class_logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy with labels, one value a row.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits u.
    y : Tensor of shape (B,)
        Class numbers.

    Returns
    -------
    Tensor of shape (B,)

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import label_loss
    >>> label_loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([0.6931, 0.6931])
    """
    if not numbered(class_logits, y):
        check_tensors(class_logits=(class_logits, "BC"), y=(y, "B"))
    return F.cross_entropy(class_logits, y, reduction="none")


def class_kl(class_logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Distillation by probabilities, :math:`\tau^2 KL(p^T_\tau \| softmax(u/\tau))`, a row.

    The factor :math:`\tau^2` keeps the gradient's size when the temperature changes.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits u.
    target : Tensor of shape (B, C)
        Teacher probabilities, already softened by the temperature; zeros allowed.
    temperature : float, default=1.0
        tau.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural Network, section 2.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import class_kl
    >>> class_kl(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor([0.6931])
    """
    if not alike(class_logits, target):
        check_tensors(class_logits=(class_logits, "BC"), target=(target, "BC"))
    check_positive("temperature", temperature)
    log_student = (class_logits / temperature).log_softmax(dim=1)
    return temperature**2 * F.kl_div(log_student, target, reduction="none").sum(dim=1)


def logit_mse(class_logits: Tensor, target_logits: Tensor) -> Tensor:
    """Mean squared difference of row-centred logits, one value a row.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits.
    target_logits : Tensor of shape (B, C)
        Teacher logits; log-probabilities will do, as both are centred a row.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Kim et al. (2021), Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in
    Knowledge Distillation, IJCAI; the limit of high temperature in Hinton et al. (2015).

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import logit_mse
    >>> logit_mse(torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([1.])
    """
    if not alike(class_logits, target_logits):
        check_tensors(class_logits=(class_logits, "BC"), target_logits=(target_logits, "BC"))
    student = class_logits - class_logits.mean(dim=1, keepdim=True)
    teacher = target_logits - target_logits.mean(dim=1, keepdim=True)
    return (student - teacher).square().mean(dim=1)
