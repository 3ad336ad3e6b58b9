"""Batches: which rows they hold, however many are fetched at a time."""

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from lelp_sklearn.inputs import Bags, Table
from lelp_sklearn.students import _batches
from lelp_sklearn.students._batches import SliceIterator, TensorRows

N = 101
NUMBERS = torch.arange(N)
KINDS = {
    "dense": NUMBERS[:, None].float(),
    "bags": Bags(NUMBERS.repeat_interleave(2), torch.arange(0, 2 * N + 1, 2)),
    "weighted bags": Bags(NUMBERS, torch.arange(N + 1), NUMBERS.float()),
    "table": Table(NUMBERS[:, None].float(), NUMBERS[:, None]),
}


def rows(kind):
    targets = {"joint": np.stack([np.arange(N)] * 3, axis=1), "labeled": np.arange(N)}
    return TensorRows(KINDS[kind], np.arange(N), targets)


def numbers(X):
    """A number in each place of a batch of inputs, row by row."""
    if isinstance(X, Bags):
        return X.padded()[0][:, 0].tolist() if X.weights is None else X.weights.tolist()
    return (X.numeric if isinstance(X, Table) else X)[:, 0].tolist()


@pytest.mark.parametrize(("block", "fetches"), [(1, 5), (2600, 3), (10**6, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_labels_and_targets_are_of_the_same_rows(monkeypatch, kind, block, fetches):
    monkeypatch.setattr(_batches, "_BLOCK", block)
    taken = []
    take = TensorRows.take
    monkeypatch.setattr(TensorRows, "take", lambda self, i: taken.append(i) or take(self, i))
    torch.manual_seed(0)
    expected = torch.randperm(N).split(20)[:-1]  # the row left over joins the batch before it
    torch.manual_seed(0)
    batches = list(SliceIterator(rows(kind), 20, shuffle=True))
    assert [len(batch[1]) for batch in batches] == [20, 20, 20, 20, 21]
    for batch, of in zip(batches, expected, strict=True):
        X, y = batch
        assert y[: len(of)].tolist() == of.tolist()
        assert numbers(X) == y.tolist() == batch.targets["labeled"].tolist()
        assert (batch.targets["joint"] == y[:, None]).all()
    assert len(taken) == fetches  # rows of several batches at once


@pytest.mark.parametrize("drop_last", [False, True])
def test_rows_of_a_subset_of_a_subset(drop_last):
    part = Subset(Subset(rows("dense"), range(50, 90)), range(0, 40, 2))
    batches = list(SliceIterator(part, 6, shuffle=True, drop_last=drop_last))
    assert [len(batch[1]) for batch in batches] == [6, 6, 6, 2][: 4 - drop_last]
    seen = {number for batch in batches for number in numbers(batch[0])}
    assert seen <= set(range(50, 90, 2))
    assert len(seen) == (18 if drop_last else 20)


def test_without_shuffling_nothing_is_copied():
    data = rows("dense")
    first = next(iter(SliceIterator(data, 20)))
    assert first[0].data_ptr() == data.X.data_ptr()


@pytest.mark.parametrize("kind", KINDS)
def test_memory_of_rows(kind):
    X = KINDS[kind]
    tensors = [X] if torch.is_tensor(X) else [t for t in vars(X).values() if t is not None]
    assert X.nbytes == sum(t.nbytes for t in tensors)
    assert rows(kind).nbytes == X.nbytes + N * 8 * 5
