"""Contrast: each row against its own counterpart and those of others."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import check_positive, check_tensors
from lelp_sklearn.losses._similarities import cosines, without


def info_nce(
    similarities: Tensor, temperature: float = 0.07, ignore: Tensor | None = None
) -> Tensor:
    r"""Contrast of each row with its counterpart against those of others, one value a row.

    .. math::
        -\log \frac{e^{\cos_{ii} / \tau}}{\sum_j e^{\cos_{ij} / \tau}}

    The mean of this and of that of the transposed similarities is the symmetric form.

    Parameters
    ----------
    similarities : Tensor of shape (B, M)
        Cosines of B rows with their B counterparts, in the same order; further columns are
        further negatives.
    temperature : float, default=0.07
        tau.
    ignore : Tensor of bool of shape (B, M), default=None
        What is no negative of a row, such as those of its class; counterparts always count.

    Returns
    -------
    Tensor of shape (B,)
        0 for a row without negatives.

    See Also
    --------
    noise_contrastive : Each pair judged by itself.

    References
    ----------
    van den Oord, Li and Vinyals (2018), Representation Learning with Contrastive Predictive Coding,
    arXiv:1807.03748, equation 4; symmetric: Radford et al. (2021), CLIP, figure 3.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import cosines, info_nce
    >>> rows = torch.ones(2, 3)
    >>> info_nce(cosines(rows, rows))  # log 2: nothing tells the two apart
    tensor([0.6931, 0.6931])
    """
    check_tensors(similarities=(similarities, "BM"), ignore=(ignore, "BM"))
    check_positive("temperature", temperature)
    if similarities.shape[1] < len(similarities):
        raise ValueError(
            f"similarities has the shape {tuple(similarities.shape)}; expected no fewer columns "
            "than rows, as the first are those of the rows' counterparts."
        )
    logits = similarities / temperature
    own = torch.arange(len(logits), device=logits.device)
    if ignore is not None:
        others = torch.arange(logits.shape[1], device=logits.device) != own[:, None]
        logits = without(logits, ignore & others)
    return F.cross_entropy(logits, own, reduction="none")


def noise_contrastive(
    positive: Tensor, negatives: Tensor, log_normalizer: Tensor, ignore: Tensor | None = None
) -> Tensor:
    r"""Noise-contrastive estimation of CRD, one value a row.

    .. math::
        -\log h_i - \sum_{j=1}^{N} \log (1 - h_{ij}), \qquad
        h = \frac{e^u / Z}{e^u / Z + N}

    for scores u, cosines over a temperature: is a pair of student and teacher of the same row, or
    are there N times as many of random ones? Z is the mean of :math:`e^u` over random pairs, which
    the paper leaves at 1 and its code estimates.

    Parameters
    ----------
    positive : Tensor of shape (B,)
        Score of each row with its counterpart.
    negatives : Tensor of shape (B, M)
        Scores with those of others.
    log_normalizer : Tensor of shape () or (B, 1)
        log Z.
    ignore : Tensor of bool of shape (B, M), default=None
        Negatives that do not count for a row; N is the number of those that do.

    Returns
    -------
    Tensor of shape (B,)
        0 for a row without negatives.

    See Also
    --------
    info_nce : All keys of a row against one another.

    References
    ----------
    Tian, Krishnan and Isola (2020), Contrastive Representation Distillation, ICLR,
    arXiv:1910.10699, equation 18.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import noise_contrastive
    >>> noise_contrastive(torch.zeros(1), torch.zeros(1, 1), torch.tensor(0.0))  # 2 log 2
    tensor([1.3863])
    """
    check_tensors(
        positive=(positive, "B"),
        negatives=(negatives, "BM"),
        log_normalizer=(log_normalizer, "|B1"),
        ignore=(ignore, "BM"),
    )
    counts = torch.ones_like(negatives) if ignore is None else (~ignore).to(negatives.dtype)
    n = counts.sum(dim=1, keepdim=True)
    # log(h / (1 - h)) = u - log(N Z), whose sigmoid's logarithm never overflows.
    threshold = n.clamp_min(1).log() + log_normalizer
    others = torch.linalg.vecdot(F.softplus(negatives - threshold), counts)
    own = F.softplus(threshold.squeeze(1) - positive)
    return own * (n.squeeze(1) > 0) + others


def supervised_contrast(rows: Tensor, y: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Contrast of each row with those of its class against all others, one value a row.

    .. math::
        -\frac1{|P_i|} \sum_{p \in P_i}
        \log \frac{e^{\cos_{ip} / \tau}}{\sum_{a \neq i} e^{\cos_{ia} / \tau}}

    with the other rows :math:`P_i` of the same class.

    Parameters
    ----------
    rows : Tensor of shape (B, d)
        Rows.
    y : Tensor of shape (B,)
        Class numbers.
    temperature : float, default=0.1
        tau.

    Returns
    -------
    Tensor of shape (B,)
        0 for a row that is alone in its class.

    References
    ----------
    Khosla et al. (2020), Supervised Contrastive Learning, NeurIPS, equation 2.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import supervised_contrast
    >>> supervised_contrast(torch.ones(3, 2), torch.tensor([0, 0, 1]))
    tensor([0.6931, 0.6931, 0.0000])
    """
    check_tensors(rows=(rows, "BD"), y=(y, "B"))
    check_positive("temperature", temperature)
    own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    logits = without(cosines(rows, rows) / temperature, own)
    positive = ((y[:, None] == y) & ~own).to(rows.dtype)
    surprise = -logits.log_softmax(dim=1)
    return (positive * surprise).sum(dim=1) / positive.sum(dim=1).clamp_min(1)
