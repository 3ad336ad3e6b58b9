"""The auxiliary loss that has a teacher use all of its subclasses."""

from __future__ import annotations

from torch import Tensor

from lelp_sklearn.losses._checks import check_positive, check_tensors
from lelp_sklearn.losses._similarities import normal_number

_SMALLEST_VARIANCE = 1e-9  # of the logits of a row; the authors' value


def subclass_spread(
    logits: Tensor, temperature: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    r"""Push the rows of a batch apart by their subclass logits, a scalar.

    With :math:`\hat z` the logits of a row, centred and scaled to :math:`|\hat z|^2 = 1 / T`,

    .. math::
        \frac{1}{n} \sum_i \log \sum_j e^{\hat z_i \cdot \hat z_j} - \frac{1}{T} - \log n.

    It is 0 for rows that are all alike, and negative where they spread over the subclasses.

    Parameters
    ----------
    logits : Tensor of shape (B, K)
        Logits of all subclasses of all classes.
    temperature : float, default=1.0
        T; below 1 near rows are pushed harder.
    weight : Tensor of shape (B,), default=None
        Weights of the rows, as if a row were there so many times. None is 1 each.

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    Mueller, Kornblith and Hinton (2020), Subclass Distillation, arXiv:2002.03936.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import subclass_spread
    >>> subclass_spread(torch.tensor([[3.0, 1.0, 1.0]] * 3)).abs() < 1e-6
    tensor(True)
    >>> subclass_spread(torch.eye(3))
    tensor(-0.7296)
    """
    check_tensors(logits=(logits, "BK"), weight=(weight, "B"))
    check_positive("temperature", temperature)
    centred = logits - logits.mean(dim=1, keepdim=True)
    variance = centred.square().mean(dim=1, keepdim=True)
    z = centred * ((variance + _SMALLEST_VARIANCE) * temperature * logits.shape[1]).rsqrt()
    alike = z @ z.T
    if weight is None:
        weight = logits.new_ones(len(logits))
    share = weight / weight.sum().clamp_min(normal_number(1e-12, logits.dtype))
    rows = (alike + share.clamp_min(1e-30).log()).logsumexp(dim=1)  # of the mean, so no log n
    return (share * rows).sum() - 1 / temperature
