"""Scaffolded distillation: a guide lends probability to a student where a row is hard for it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import check_positive, check_tensors
from lelp_sklearn.losses._classes import label_loss


def scaffold_kl(
    class_logits: Tensor,
    target: Tensor,
    helped: Tensor,
    log_guide: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    r"""Distillation with a guide's help :math:`g`, one value a row.

    With :math:`s = softmax(u / \tau)` and a set :math:`H` of helped classes,

    .. math::
        \tau^2 \, KL\Big(p^T_\tau \,\Big\|\, \frac{s + g \, 1_H}{1 + |H| \, g}\Big).

    The gradient on :math:`s_y` is :math:`-p^T_y / (s_y + g)`: help censors the rows that would
    pull hardest. For g = 0 this is :func:`class_kl`.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits u.
    target : Tensor of shape (B, C)
        Teacher probabilities, already softened by the temperature; zeros allowed.
    helped : bool Tensor of shape (B, C)
        The classes that the guide may help.
    log_guide : Tensor of shape (B,)
        log g, at most 0; -inf is no help.
    temperature : float, default=1.0
        tau.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Kag, Acar, Gangrade and Saligrama (2023), Scaffolding a Student to Instill Knowledge, ICLR.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import scaffold_kl
    >>> u, p = torch.tensor([[0.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    >>> first = torch.tensor([[True, False]])
    >>> for g in (0.0, 0.1, 1.0):
    ...     print(round(scaffold_kl(u, p, first, torch.tensor([g]).log()).item(), 3))
    4.018
    2.232
    0.675
    """
    check_tensors(
        class_logits=(class_logits, "BC"),
        target=(target, "BC"),
        helped=(helped, "BC"),
        log_guide=(log_guide, "B"),
    )
    check_positive("temperature", temperature)
    log_student = (class_logits / temperature).log_softmax(dim=1)
    # log(s + g), which stays finite where both are too small for s and g themselves.
    log_sum = torch.logaddexp(log_student, log_guide[:, None])
    log_mixed = torch.where(helped, log_sum, log_student)
    log_total = (helped.sum(dim=1) * log_guide.exp()).log1p()
    rows = F.kl_div(log_mixed - log_total[:, None], target, reduction="none").sum(dim=1)
    return temperature**2 * rows


def guide_help(
    class_logits: Tensor, y: Tensor, log_guide: Tensor, largest_loss: float = 5.0
) -> Tensor:
    r"""How much a guide helps each row, :math:`g \min(-\log s_y, 5)`: what its budget bounds.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits.
    y : Tensor of shape (B,)
        Class numbers.
    log_guide : Tensor of shape (B,)
        log g, at most 0.
    largest_loss : float, default=5.0
        Where a row's cross-entropy is cut off, so that one outlier does not use up the budget.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Kag, Acar, Gangrade and Saligrama (2023); the cut-off is their code's. That code
    divides the sum by the number of wrong rows, which may be none; the paper takes the mean.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import guide_help
    >>> guide_help(torch.tensor([[0.0, 9.0]]), torch.tensor([0]), torch.tensor([0.2]).log())
    tensor([1.0000])
    """
    check_tensors(class_logits=(class_logits, "BC"), y=(y, "B"), log_guide=(log_guide, "B"))
    check_positive("largest_loss", largest_loss)
    return log_guide.exp() * label_loss(class_logits, y).clamp(max=largest_loss)
