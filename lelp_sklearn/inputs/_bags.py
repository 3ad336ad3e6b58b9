"""Rows of varying numbers of ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bags:
    """Rows of ids, one row behind the other, as an embedding bag reads them.

    Parameters
    ----------
    ids : integer Tensor of shape (n_ids,)
        Columns of a sparse matrix, or tokens of texts.
    offsets : Tensor of shape (n_rows + 1,), of the same type
        Where each row begins; the last is where the last row ends.
    weights : Tensor of shape (n_ids,), optional
        Values of the ids.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.inputs import Bags
    >>> bags = Bags(torch.tensor([5, 7, 7, 2]), torch.tensor([0, 1, 3, 4]))
    >>> bags.index_select(0, torch.tensor([1, 0])).ids
    tensor([7, 7, 5])
    """

    ids: Tensor
    offsets: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def device(self) -> torch.device:
        """Where the rows lie."""
        return self.ids.device

    @property
    def nbytes(self) -> int:
        """Memory of all rows."""
        weights = 0 if self.weights is None else self.weights.nbytes
        return self.ids.nbytes + self.offsets.nbytes + weights

    @property
    def lengths(self) -> Tensor:
        """Number of ids in each row."""
        return self.offsets.diff()

    def __getitem__(self, rows: slice) -> Bags:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError(f"a step of {step}: expected consecutive rows.")
        offsets = self.offsets[start : max(start, stop) + 1]
        part = slice(int(offsets[0]), int(offsets[-1]))
        weights = None if self.weights is None else self.weights[part]
        return Bags(self.ids[part], offsets - offsets[0], weights)

    def index_select(self, dim: int, index: Tensor) -> Bags:
        """Rows in any order; ``dim`` is 0, as for a tensor's rows."""
        starts = self.offsets.index_select(0, index)
        lengths = self.offsets.index_select(0, index + 1) - starts
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0, dtype=lengths.dtype)])
        places = torch.arange(int(offsets[-1]), device=self.device, dtype=offsets.dtype)
        places += (starts - offsets[:-1]).repeat_interleave(lengths)
        weights = None if self.weights is None else self.weights.index_select(0, places)
        return Bags(self.ids.index_select(0, places), offsets, weights)

    def split(self, size: int) -> Iterator[Bags]:
        """Consecutive rows, so many at a time."""
        if len(self) <= size:
            return iter([self])
        return (self[start : start + size] for start in range(0, len(self), size))

    def to(self, device: torch.device | str) -> Bags:
        """The same rows on a device."""
        if self.device == torch.device(device):
            return self
        weights = None if self.weights is None else self.weights.to(device)
        return Bags(self.ids.to(device), self.offsets.to(device), weights)

    def padded(self, at_least: int = 1, padding: int = 0) -> tuple[Tensor, Tensor]:
        """Ids as (n_rows, longest row), and which of them are there rather than padding."""
        lengths = self.lengths
        longest = max(int(lengths.max()), at_least)
        places = torch.arange(longest, device=self.device).expand(len(self), longest)
        there = places < lengths[:, None]
        ids = self.ids.new_full(there.shape, padding)
        ids[there] = self.ids
        return ids, there
