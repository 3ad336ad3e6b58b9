"""Row-aligned tensors, and batches as slices of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Subset

from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._base import Rows

_POOL = 50  # batches among which rows are sorted by length


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
    """Inputs, class numbers and targets of n rows, as tensors on one device."""

    def __init__(
        self,
        X: Rows,
        y: NDArray | None = None,
        targets: Mapping[str, NDArray] | None = None,
        device: torch.device | str = "cpu",
    ):
        self.X = X.to(device)
        y = np.zeros(len(X), dtype=np.int64) if y is None else y
        self.y = as_tensor(y).to(device)
        self.targets = {k: as_tensor(v).to(device) for k, v in (targets or {}).items()}

    def __len__(self) -> int:
        return len(self.X)

    def batch(self, rows: Tensor | slice) -> Batch:
        """The batch of some rows; index_select is three times faster than fancy indexing."""
        if isinstance(rows, slice):
            targets = {name: values[rows] for name, values in self.targets.items()}
            return Batch(self.X[rows], self.y[rows], targets)
        targets = {name: values.index_select(0, rows) for name, values in self.targets.items()}
        return Batch(self.X.index_select(0, rows), self.y.index_select(0, rows), targets)


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
    def _stops(self) -> list[int]:
        n = len(self.dataset) if self.rows is None else len(self.rows)
        stops = list(range(self.batch_size, n + 1, self.batch_size))
        if not self.drop_last and n % self.batch_size:
            if n % self.batch_size == 1 and stops:
                stops[-1] = n
            else:
                stops.append(n)
        return stops

    def __len__(self) -> int:
        return len(self._stops)

    def __iter__(self) -> Iterator[Batch]:
        order = self.rows
        if self.shuffle:
            shuffled = torch.randperm(len(self.dataset) if order is None else len(order))
            order = shuffled if order is None else order[shuffled]
        batches = list(pairwise([0, *self._stops]))
        if order is not None:
            order = order.to(self.dataset.X.device)
            if self.shuffle and self.by_length:
                order = self._sorted_in_pools(order)
                batches = [batches[i] for i in torch.randperm(len(batches))]
        for start, stop in batches:
            yield self.dataset.batch(slice(start, stop) if order is None else order[start:stop])

    def _sorted_in_pools(self, order: Tensor) -> Tensor:
        lengths = self.dataset.X.lengths.index_select(0, order).long()
        pool = torch.arange(len(order), device=order.device) // (_POOL * self.batch_size)
        return order[(pool * (lengths.max() + 1) + lengths).argsort()]
