"""Hidden vectors of a student's layer against those of a teacher's."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import check_tensors
from lelp_sklearn.losses._similarities import unit_rows


def patient_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Squared distance of vectors scaled to length 1, one value a row, from 0 to 4.

    .. math:: \Big| \frac{h^S}{|h^S|} - \frac{h^T}{|h^T|} \Big|^2

    Parameters
    ----------
    student, teacher : Tensor of shape (B, D)
        Hidden vectors of a layer.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Sun, Cheng, Gan and Liu (2019), Patient Knowledge Distillation for BERT Model Compression,
    EMNLP, equation 7. The authors' code divides by D.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import patient_loss
    >>> patient_loss(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0]] * 2))
    tensor([0., 2.])
    """
    check_tensors(student=(student, "BD"), teacher=(teacher, "BD"))
    return (unit_rows(student) - unit_rows(teacher)).square().sum(dim=1)


def hidden_mse(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of hidden vectors, one value a row: :math:`|h^S - h^T|^2 / D`.

    Parameters
    ----------
    student, teacher : Tensor of shape (B, D)
        Hidden vectors of a layer; the student's already mapped to the teacher's width.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Jiao et al. (2020), TinyBERT: Distilling BERT for Natural Language Understanding, Findings of
    EMNLP, equation 8.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import hidden_mse
    >>> hidden_mse(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([2.])
    """
    check_tensors(student=(student, "BD"), teacher=(teacher, "BD"))
    # Fewer passes over the batch, forth and back, than by square() and mean().
    squares = F.mse_loss(student, teacher, reduction="none")
    return squares.sum(dim=1) / student.shape[1]
