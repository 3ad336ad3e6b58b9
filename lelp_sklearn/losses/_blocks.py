"""Logits whose columns are blocks of subclasses, one block a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lelp_sklearn.losses._checks import check_blocks, check_classes, check_tensors, check_widths


def fold(logits: Tensor, n_subclasses: Sequence[int]) -> Tensor:
    """Class logits from subclass logits: the log-sum-exp of each class's block.

    Parameters
    ----------
    logits : Tensor of shape (B, sum of n_subclasses)
        Subclass logits, class after class.
    n_subclasses : sequence of int
        Width of each class's block.

    Returns
    -------
    Tensor of shape (B, C)
        Their soft-max is the sum of each class's subclass probabilities.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import fold
    >>> logits = torch.log(torch.tensor([[1.0, 2.0, 3.0]]))
    >>> fold(logits, [2, 1]).exp()
    tensor([[3., 3.]])
    """
    check_blocks(logits, n_subclasses)
    return folded(logits, n_subclasses)


def folded(logits: Tensor, n_subclasses: Sequence[int]) -> Tensor:
    """What :func:`fold` gives, of logits that are known to fit."""
    if set(n_subclasses) == {1}:
        return logits
    if len(set(n_subclasses)) == 1:  # one call instead of one a class
        return logits.reshape(-1, len(n_subclasses), n_subclasses[0]).logsumexp(dim=2)
    return torch.stack([b.logsumexp(dim=1) for b in logits.split(list(n_subclasses), 1)], 1)


def unfold(per_class: Tensor, n_subclasses: Sequence[int]) -> Tensor:
    """Repeat each class's column over its block.

    Parameters
    ----------
    per_class : Tensor of shape (B, C)
        A value a class.
    n_subclasses : sequence of int
        Width of each class's block.

    Returns
    -------
    Tensor of shape (B, sum of n_subclasses)

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import unfold
    >>> unfold(torch.tensor([[0.9, 0.1]]), [2, 1])
    tensor([[0.9000, 0.9000, 0.1000]])
    """
    check_widths(n_subclasses)
    check_tensors(per_class=(per_class, "BC"))
    check_classes("per_class", per_class, len(per_class), n_subclasses)
    return unfolded(per_class, n_subclasses)


def unfolded(per_class: Tensor, n_subclasses: Sequence[int]) -> Tensor:
    """What :func:`unfold` gives, of columns that are known to fit."""
    if len(set(n_subclasses)) == 1:
        return per_class.repeat_interleave(n_subclasses[0], dim=1)
    repeats = torch.tensor(n_subclasses, device=per_class.device)
    return per_class.repeat_interleave(repeats, dim=1, output_size=sum(n_subclasses))
