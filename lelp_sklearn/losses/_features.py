"""Losses on embeddings: the student's, mapped to the teacher's width where needed."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import check_one_type, check_positive, check_tensors
from lelp_sklearn.losses._similarities import normal_number, row_cosines

_SMALLEST_VARIANCE = 1e-4  # of a column over a batch, added to it; as in the authors' code
_LARGEST_POWER = 1000
_SMALLEST_SUM = 1e-5
_SMALLEST = 1e-30  # its inverse does not overflow


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    r"""One less the cosine of embeddings, one value a row, from 0 to 2.

    Parameters
    ----------
    student : Tensor of shape (B, D)
        Student embeddings, mapped to the teacher's width.
    teacher : Tensor of shape (B, D)
        Teacher embeddings.

    Returns
    -------
    Tensor of shape (B,)
        1 where an embedding is 0.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import cosine_distance
    >>> cosine_distance(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([0.4000])
    """
    check_tensors(student=(student, "BD"), teacher=(teacher, "BD"))
    check_one_type(student=student, teacher=teacher)
    return 1 - row_cosines(student, teacher)


def log_sum(
    student: Tensor, teacher: Tensor, weight: Tensor | None = None, power: float = 4.0
) -> Tensor:
    r"""Logarithm of the summed powers of differences of batch-normalised embeddings, a scalar.

    .. math:: \log \sum_{i,d} |\bar s_{id} - \bar t_{id}|^\alpha

    with columns of mean 0 and variance 1 over the batch. The power looks at the worst entries, and
    the logarithm keeps the gradient's size as they become small.

    Parameters
    ----------
    student : Tensor of shape (B, D)
        Student embeddings, mapped to the teacher's width.
    teacher : Tensor of shape (B, D)
        Teacher embeddings.
    weight : Tensor of shape (B,), default=None
        Weights of the rows in the sum, taken relative to their mean; None is 1 each.
    power : float, default=4.0
        alpha, at most 1000.

    Returns
    -------
    Tensor of shape ()
        The logarithm of 1e-5 at the least.

    References
    ----------
    Miles and Mikolajczyk (2024), Understanding the Role of the Projector in Knowledge Distillation,
    AAAI, arXiv:2303.11098: the soft maximum function.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import log_sum
    >>> teacher = torch.tensor([[0.0], [1.0], [2.0]])
    >>> bool(log_sum(3 * teacher + 5, teacher) < log_sum(teacher.square(), teacher))
    True
    """
    check_tensors(student=(student, "BD"), teacher=(teacher, "BD"), weight=(weight, "B"))
    check_positive("power", power)
    if power > _LARGEST_POWER:
        raise ValueError(f"power={power!r}: expected at most {_LARGEST_POWER}; the paper has 4.")
    difference = _batch_normed(student) - _batch_normed(teacher)
    powers = difference.square().square() if power == 4 else difference.abs().pow(power)
    rows = powers.sum(dim=1)
    if weight is not None:
        rows = rows * (weight / weight.mean().clamp_min(1e-12))
    return torch.log(rows.sum() + normal_number(_SMALLEST_SUM, rows.dtype))


def gaussian_nll(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    r"""Negative log-likelihood of embeddings under a normal distribution, one value a row.

    .. math::
        \frac1D \sum_d \tfrac12 \Big[ \frac{(t_d - \mu_d)^2}{v_d} + \log v_d \Big]

    less the constant :math:`\tfrac12 \log 2 \pi`. Columns that the student cannot tell get a large
    variance and little weight. It is negative for small variances.

    Parameters
    ----------
    mean : Tensor of shape (B, D)
        What the student predicts, :math:`\mu(s)`.
    teacher : Tensor of shape (B, D)
        Teacher embeddings t.
    variance : Tensor of shape (D,)
        Variances v above 0.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Ahn, Hu, Damianou, Lawrence and Dai (2019), Variational Information Distillation for Knowledge
    Transfer, CVPR, section 2.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import gaussian_nll
    >>> gaussian_nll(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]), torch.ones(2))
    tensor([2.5000])
    """
    check_tensors(mean=(mean, "BD"), teacher=(teacher, "BD"), variance=(variance, "D"))
    check_one_type(mean=mean, teacher=teacher, variance=variance)
    squares = F.mse_loss(mean, teacher, reduction="none")
    return 0.5 * (squares @ (1 / variance) / len(variance) + variance.log().mean())


def cka_distance(
    student: Tensor, teacher: Tensor, weight: Tensor | None = None, unbiased: bool = False
) -> Tensor:
    r"""One less the linear centred kernel alignment of two sets of embeddings, a scalar.

    .. math::
        1 - \frac{HSIC(K, L)}{\sqrt{HSIC(K, K) \, HSIC(L, L)}}, \qquad K = S S^\top, L = T T^\top

    The widths may differ. Rotations, scales and shifts of either side change nothing.

    Parameters
    ----------
    student : Tensor of shape (B, E)
        Student embeddings S.
    teacher : Tensor of shape (B, D)
        Teacher embeddings T.
    weight : Tensor of shape (B,), default=None
        Weights of the rows, of the biased estimate only; None is 1 each.
    unbiased : bool, default=False
        Whether to estimate HSIC without the diagonals' bias, by which any embeddings wider than
        the batch seem aligned. Batches of less than 4 rows are estimated with it all the same.

    Returns
    -------
    Tensor of shape ()
        From 0 to 1, or to 2 for the unbiased one; 1 where one side's embeddings are all equal.

    References
    ----------
    Kornblith, Norouzi, Lee and Hinton (2019), Similarity of Neural Network Representations
    Revisited, ICML, section 3; unbiased: Nguyen, Raghu and Kornblith (2021), Do Wide and Deep
    Networks Learn the Same Things?, ICLR, after Song et al. (2012).

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import cka_distance
    >>> corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> bool(cka_distance(3 * corners.flip(1) + 1, corners).abs() < 1e-6)
    True
    """
    check_tensors(student=(student, "NE"), teacher=(teacher, "ND"), weight=(weight, "N"))
    check_one_type(student=student, teacher=teacher, weight=weight)
    unbiased = unbiased and len(student) > 3
    weight = None if unbiased else weight
    K, L = _kernel(student, weight), _kernel(teacher, weight)
    if unbiased:
        K, L = _without_bias(K), _without_bias(L)
    K, L = K.flatten(), L.flatten()
    squares = torch.stack([torch.dot(K, K), torch.dot(L, L)])
    lengths = squares.where(squares > 0, 1.0).sqrt()  # of 0 where there is nothing to align
    return 1 - torch.dot(K, L) / (lengths[0] * lengths[1])


def _batch_normed(rows: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1."""
    if len(rows) == 1:  # which torch refuses
        return rows * 0
    return F.batch_norm(rows, None, None, training=True, eps=_SMALLEST_VARIANCE)


def _kernel(rows: Tensor, weight: Tensor | None) -> Tensor:
    """Inner products of centred rows, up to a factor; 0 where rows are equal."""
    weight = rows.new_ones(len(rows)) if weight is None else weight
    centred = rows - weight @ rows / weight.sum().clamp_min(1e-12)
    largest, of_all = (x.detach().abs().amax() for x in (centred, rows))
    apart = largest > (1e-6 * of_all).clamp_min(_SMALLEST)  # by more than rounding
    # Scaled, so that fourth powers do not overflow.
    centred = centred * (weight.sqrt() * (apart / largest.where(apart, 1.0)))[:, None]
    return centred @ centred.T


def _without_bias(K: Tensor) -> Tensor:
    r"""The U-centred kernel: its inner products are, up to a factor, the unbiased HSIC."""
    n = len(K)
    K = K - K.diag().diag()
    columns = K.sum(dim=0)
    K = K - (columns[:, None] + columns) / (n - 2) + columns.sum() / ((n - 1) * (n - 2))
    return K - K.diag().diag()
