"""Row-aligned tensors, and batches as slices of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Subset

from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._base import Rows

_POOL = 50  # batches among which rows are sorted by length
_BLOCK = 2**22  # bytes of rows that are fetched at a time


class Batch(tuple):
    """What skorch and its callbacks take for ``(X, y)``, with the objective's targets beside it.

    The class numbers ``y`` are always there, so every scoring callback works as it would without
    a teacher.
    """

    targets: dict[str, Tensor]

    def __new__(cls, X: Any, y: Tensor, targets: dict[str, Tensor]) -> Batch:
        batch = super().__new__(cls, (X, y))
        batch.targets = targets
        return batch


class TensorRows(Dataset):
    """Inputs, class numbers and targets of n rows, as tensors on one device.

    ``groups`` are for whoever splits all of these rows in two.
    """

    def __init__(
        self,
        X: Rows,
        y: NDArray | None = None,
        targets: Mapping[str, NDArray] | None = None,
        device: torch.device | str = "cpu",
        groups: NDArray | None = None,
    ):
        self.groups = groups
        self.X = X.to(device)
        y = np.zeros(len(X), dtype=np.int64) if y is None else y
        self.y = as_tensor(y).to(device)
        # A parameter that is a numpy number makes targets float64, and every step with them.
        self.targets = {k: _narrow(as_tensor(v)).to(device) for k, v in (targets or {}).items()}

    def __len__(self) -> int:
        return len(self.X)

    def take(self, rows: Tensor) -> TensorRows:
        """Copies of some rows; fancy indexing takes nearly twice as long as index_select."""
        taken = copy(self)
        taken.X, taken.y = self.X.index_select(0, rows), self.y.index_select(0, rows)
        taken.targets = {k: v.index_select(0, rows) for k, v in self.targets.items()}
        return taken

    def batch(self, rows: slice) -> Batch:
        """The batch of consecutive rows, without a copy."""
        targets = {name: values[rows] for name, values in self.targets.items()}
        return Batch(self.X[rows], self.y[rows], targets)

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Consecutive batches of these sizes."""
        for start, stop in pairwise([0, *accumulate(sizes)]):
            yield self.batch(slice(start, stop))

    @property
    def nbytes(self) -> int:
        """Memory of all rows."""
        return sum(part.nbytes for part in (self.X, self.y, *self.targets.values()))


def _narrow(values: Tensor) -> Tensor:
    return values.float() if values.is_floating_point() else values


class SliceIterator:
    """Batches of :class:`TensorRows` without a DataLoader: no collation, no row loop.

    A last batch of a single row joins the one before it: batch normalisation cannot train on one.
    With ``by_length``, shuffled rows are sorted by length within pools of 50 batches, and the
    batches shuffled: rows of bags that are padded to the longest of their batch are padded less.
    """

    def __init__(
        self,
        dataset: TensorRows | Subset,
        batch_size: int = 128,
        shuffle: bool = False,
        drop_last: bool = False,
        by_length: bool = False,
    ):
        rows = None
        while isinstance(dataset, Subset):
            indices = torch.as_tensor(np.asarray(dataset.indices))
            rows = indices if rows is None else indices[rows]
            dataset = dataset.dataset  # type: ignore[assignment]
        self.rows = rows
        self.dataset: TensorRows = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.by_length = by_length

    @property
    def _sizes(self) -> list[int]:
        n = len(self.dataset) if self.rows is None else len(self.rows)
        sizes = [self.batch_size] * (n // self.batch_size)
        left = 0 if self.drop_last else n % self.batch_size
        if left == 1 and sizes:
            sizes[-1] += 1
        elif left:
            sizes.append(left)
        return sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[Batch]:
        order, sizes = self.rows, self._sizes
        if self.shuffle:
            shuffled = torch.randperm(len(self.dataset) if order is None else len(order))
            order = shuffled if order is None else order[shuffled]
        if order is None:
            yield from self.dataset.batches(sizes)
            return
        order = order[: sum(sizes)].to(self.dataset.X.device)
        if self.shuffle and self.by_length:
            order, sizes = self._sorted_in_pools(order, sizes)
        # Fetched block by block, and not batch by batch: some 7 % of a small student's fit.
        n_batches = max(1, _BLOCK * len(self.dataset) // self.dataset.nbytes // self.batch_size)
        for first in range(0, len(sizes), n_batches):
            block = sizes[first : first + n_batches]
            rows, order = order.tensor_split([sum(block)])
            yield from self.dataset.take(rows).batches(block)

    def _sorted_in_pools(self, order: Tensor, sizes: list[int]) -> tuple[Tensor, list[int]]:
        lengths = self.dataset.X.lengths.index_select(0, order).long()
        pool = torch.arange(len(order), device=order.device) // (_POOL * self.batch_size)
        batches = order[(pool * (lengths.max() + 1) + lengths).argsort()].split(sizes)
        shuffled = torch.randperm(len(sizes)).tolist()
        return torch.cat([batches[i] for i in shuffled]), [sizes[i] for i in shuffled]
