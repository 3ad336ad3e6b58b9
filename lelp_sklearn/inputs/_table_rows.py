"""Rows of numbers and categories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numeric columns and of categorical ones, as a tabular network reads them.

    Parameters
    ----------
    numeric : Tensor of shape (n_rows, n_numeric), float32
        Finite numbers.
    categories : Tensor of shape (n_rows, n_categorical), int64
        Codes; each column counts from 0.

    See Also
    --------
    TableInputs : Makes them of data frames.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.inputs import Table
    >>> table = Table(torch.tensor([[0.5], [1.5]]), torch.tensor([[1, 0], [2, 4]]))
    >>> table.index_select(0, torch.tensor([1])).categories
    tensor([[2, 4]])
    """

    numeric: Tensor
    categories: Tensor

    def __len__(self) -> int:
        return len(self.numeric)

    @property
    def device(self) -> torch.device:
        """Where the rows lie."""
        return self.numeric.device

    @property
    def nbytes(self) -> int:
        """Memory of all rows."""
        return self.numeric.nbytes + self.categories.nbytes

    def __getitem__(self, rows: slice) -> Table:
        return Table(self.numeric[rows], self.categories[rows])

    def index_select(self, dim: int, index: Tensor) -> Table:
        """Rows in any order; ``dim`` is 0, as for a tensor's rows."""
        return Table(
            self.numeric.index_select(dim, index), self.categories.index_select(dim, index)
        )

    def split(self, size: int) -> Iterator[Table]:
        """Consecutive rows, so many at a time."""
        return map(Table, self.numeric.split(size), self.categories.split(size))

    def to(self, device: torch.device | str) -> Table:
        """The same rows on a device."""
        return Table(self.numeric.to(device), self.categories.to(device))
