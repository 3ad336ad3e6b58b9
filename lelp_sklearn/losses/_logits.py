"""Losses on class logits beyond plain distillation: standardised, decoupled, correlated."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import (
    check_not_negative,
    check_one_type,
    check_positive,
    check_tensors,
)
from lelp_sklearn.losses._classes import class_kl
from lelp_sklearn.losses._similarities import normal_number

_SMALLEST_SCALE = 1e-4  # of a row's logits; below it they are as good as equal
_SMALLEST_NORM = 1e-6  # of centred probabilities; rows or columns below it have no direction


def z_scores(logits: Tensor) -> Tensor:
    r"""Logits of each row less their mean, over their standard deviation.

    Where both sides are standardised, the student need not have logits as large as the teacher's,
    only in the same proportions. Two logits keep nothing but their order.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
        Logits; log-probabilities will do.

    Returns
    -------
    Tensor of shape (B, C)
        0 where all logits of a row are equal.

    References
    ----------
    Sun, Ren, Li, Wang and Cao (2024), Logit Standardization in Knowledge Distillation, CVPR,
    algorithm 1. The deviation is that of C - 1 degrees of freedom, as in the authors' code.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import z_scores
    >>> z_scores(torch.tensor([[0.0, 1.0, 2.0], [10.0, 30.0, 50.0]]))
    tensor([[-1.,  0.,  1.],
            [-1.,  0.,  1.]])
    """
    check_tensors(logits=(logits, "BC"))
    centred = logits - logits.mean(dim=1, keepdim=True)
    variance = centred.square().sum(dim=1, keepdim=True) / max(logits.shape[1] - 1, 1)
    return centred / variance.clamp_min(normal_number(_SMALLEST_SCALE**2, logits.dtype)).sqrt()


def dkd(
    class_logits: Tensor,
    target: Tensor,
    y: Tensor,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    r"""Decoupled distillation of the target class and of the others, one value a row.

    .. math::
        \tau^2 \big[ \alpha \, KL(b^T \| b^S) + \beta \, KL(\hat p^T \| \hat p^S) \big], \qquad
        b = (p_y, 1 - p_y), \quad \hat p_c = p_c / (1 - p_y) \text{ for } c \neq y

    of probabilities at the temperature. For :math:`\beta = \alpha (1 - p^T_y)` row by row it is
    :math:`\alpha` times :func:`class_kl`. With two classes :math:`\hat p` is one number, 1, and
    the second term 0.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits u.
    target : Tensor of shape (B, C)
        Teacher probabilities, already softened by the temperature; zeros allowed.
    y : Tensor of shape (B,)
        Class numbers.
    alpha : float, default=1.0
        Weight of the target class.
    beta : float, default=8.0
        Weight of the others.
    temperature : float, default=4.0
        tau.

    Returns
    -------
    Tensor of shape (B,)
        A row whose target is 1 at y has no second term.

    References
    ----------
    Zhao, Cui, Song, Qiu and Liang (2022), Decoupled Knowledge Distillation, CVPR, section 3.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import dkd
    >>> target = torch.tensor([[0.5, 0.5, 0.0]])  # all of the others' part is the second's
    >>> dkd(torch.zeros(1, 3), target, torch.tensor([0]), alpha=0.0, beta=1.0, temperature=1.0)
    tensor([0.6931])
    """
    check_tensors(class_logits=(class_logits, "BC"), target=(target, "BC"), y=(y, "B"))
    check_positive("temperature", temperature)
    check_not_negative("alpha", alpha)
    check_not_negative("beta", beta)
    n_classes = class_logits.shape[1]
    if n_classes == 2:
        return alpha * class_kl(class_logits, target, temperature)
    log_p = (class_logits / temperature).log_softmax(dim=1)
    own = y[:, None]
    others = torch.arange(n_classes - 1, device=y.device)
    others = others + (others >= own)  # (B, C - 1): all classes but y
    log_rest, rest = log_p.gather(1, others), target.gather(1, others)
    # log(1 - p_y) as the sum of the others: 1 - p_y itself is 0 for a sure student.
    log_b = torch.cat([log_p.gather(1, own), log_rest.logsumexp(dim=1, keepdim=True)], 1)
    b = torch.cat([target.gather(1, own), rest.sum(dim=1, keepdim=True)], 1)
    among = rest / b[:, 1:].clamp_min(torch.finfo(rest.dtype).tiny)
    tckd = F.kl_div(log_b, b, reduction="none").sum(dim=1)
    nckd = F.kl_div(log_rest.log_softmax(dim=1), among, reduction="none").sum(dim=1)
    return temperature**2 * (alpha * tckd + beta * nckd)


def dist_inter(class_logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    r"""One less the correlation of a row's probabilities, one value a row.

    .. math:: \tau^2 \big( 1 - \rho(p^S_{i \cdot}, p^T_{i \cdot}) \big)

    with Pearson's correlation. It is 0 for any student whose probabilities are a rising linear
    function of the teacher's. Of two numbers it is 1 or -1: with two classes it has no gradient.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits u.
    target : Tensor of shape (B, C)
        Teacher probabilities, already softened by the temperature.
    temperature : float, default=1.0
        tau.

    Returns
    -------
    Tensor of shape (B,)
        :math:`\tau^2` for rows whose probabilities are all equal.

    See Also
    --------
    dist_intra : The same of columns.

    References
    ----------
    Huang, You, Wang, Qian and Xu (2022), Knowledge Distillation from A Stronger Teacher, NeurIPS:
    the inter-class relation. The factor of the temperature is that of the authors' code.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import dist_inter
    >>> target = torch.tensor([[0.7, 0.2, 0.1]])
    >>> dist_inter(target.log(), target).abs() < 1e-6
    tensor([True])
    """
    check_tensors(class_logits=(class_logits, "BC"), target=(target, "BC"))
    check_positive("temperature", temperature)
    check_one_type(class_logits=class_logits, target=target)
    return temperature**2 * _uncorrelated((class_logits / temperature).softmax(dim=1), target)


def dist_intra(
    class_logits: Tensor, target: Tensor, temperature: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    r"""One less the correlation of a class's probabilities over the batch, one value a class.

    .. math:: \tau^2 \big( 1 - \rho(p^S_{\cdot c}, p^T_{\cdot c}) \big)

    Batches of some 32 rows and more say something of it, with rows of both sides of each class.
    With two classes both values are the same.

    Parameters
    ----------
    class_logits : Tensor of shape (B, C)
        Student logits u.
    target : Tensor of shape (B, C)
        Teacher probabilities, already softened by the temperature.
    temperature : float, default=1.0
        tau.
    weight : Tensor of shape (B,), default=None
        Weights of the rows in means and correlations; None is 1 each.

    Returns
    -------
    Tensor of shape (C,)
        :math:`\tau^2` for classes as probable in all rows.

    See Also
    --------
    dist_inter : The same of rows.

    References
    ----------
    Huang, You, Wang, Qian and Xu (2022), Knowledge Distillation from A Stronger Teacher, NeurIPS:
    the intra-class relation. The factor of the temperature is that of the authors' code.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import dist_intra
    >>> target = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]])
    >>> dist_intra(target.log(), target).abs() < 1e-6
    tensor([True, True])
    """
    check_tensors(class_logits=(class_logits, "BC"), target=(target, "BC"), weight=(weight, "B"))
    check_positive("temperature", temperature)
    check_one_type(class_logits=class_logits, target=target, weight=weight)
    student = (class_logits / temperature).softmax(dim=1)
    return temperature**2 * _uncorrelated(student.T, target.T, weight)


def _uncorrelated(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 less Pearson's correlation of the rows of a and b."""
    weight = a.new_ones(a.shape[1]) if weight is None else weight
    return 1 - (_direction(a, weight) * _direction(b, weight)).sum(dim=1)


def _direction(rows: Tensor, weight: Tensor) -> Tensor:
    """Rows less their mean, of length 1 under the weights."""
    mean = rows @ weight / weight.sum().clamp_min(normal_number(1e-12, rows.dtype))
    centred = (rows - mean[:, None]) * weight.sqrt()
    squares = centred.square().sum(dim=1, keepdim=True)
    return centred / squares.clamp_min(normal_number(_SMALLEST_NORM**2, rows.dtype)).sqrt()
