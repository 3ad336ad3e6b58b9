"""Views of tabular rows: some of their features taken from other rows of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def corrupted(X: Any, corruption: float, groups: Sequence[Sequence[int]]) -> Tensor:
    """A batch with each feature replaced by another row's with some probability, as in SCARF.

    Parameters
    ----------
    X : Tensor of shape (B, p)
        Dense rows; a single one has no other to take from, and stays.
    corruption : float
        Probability of a feature's replacement.
    groups : sequence of sequences of int
        Columns of one feature, such as those of a one-hot code: they are replaced together.

    Returns
    -------
    Tensor of shape (B, p)

    Raises
    ------
    TypeError
        If the rows are no dense tensor.
    ValueError
        If groups name a column twice, or one that is not there.
    """
    if not isinstance(X, Tensor) or X.ndim != 2 or not X.is_floating_point():
        seen = f"{X.dtype} tensor" if isinstance(X, Tensor) else type(X).__name__
        raise TypeError(
            f"corruption={corruption} makes views of dense rows of numbers, and the student's are "
            f"a {seen}: set corruption=0, or use a body that reads arrays, such as module=MLP."
        )
    n, p = X.shape
    if n == 1:
        return X
    feature = _features(p, groups).to(X.device)
    replaced = torch.rand(n, p, device=X.device) < corruption
    # Another row's value, never the row's own: a column's rows are shifted by one random number.
    away = torch.randint(1, n, (p,), device=X.device)
    if groups:  # each column does as the first of its group
        replaced, away = replaced.index_select(1, feature), away[feature]
    source = (torch.arange(n, device=X.device)[:, None] + away) % n
    return X.gather(0, source).where(replaced, X)


def _features(p: int, groups: Sequence[Sequence[int]]) -> Tensor:
    """The first column of each column's group, shape (p,)."""
    columns = [column for group in groups for column in group]
    if len(set(columns)) < len(columns) or any(not 0 <= column < p for column in columns):
        raise ValueError(
            f"groups={list(groups)} for rows of {p} columns: expected numbers from 0 to {p - 1}, "
            "each in one group."
        )
    feature = torch.arange(p)
    for group in groups:
        feature[list(group)] = group[0]
    return feature
