"""Ragged rows behave like the rows of a list."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lelp_sklearn import StudentClassifier
from lelp_sklearn.inputs import ArrayInputs, Bags, SparseInputs

RAGGED = st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6)


def bags_of(rows, kind=torch.int64):
    ids = torch.tensor([i for row in rows for i in row], dtype=kind)
    offsets = torch.tensor(np.cumsum([0, *map(len, rows)]), dtype=kind)
    return Bags(ids, offsets, ids.float() / 2)


def rows_of(bags):
    rows = [p.tolist() for p in bags.ids.split(bags.lengths.tolist())]
    if bags.weights is not None:
        torch.testing.assert_close(bags.weights, bags.ids.float() / 2)
    return rows


@given(RAGGED, st.data(), st.sampled_from([torch.int32, torch.int64]))
def test_rows_are_taken_as_of_a_list(rows, data, kind):
    bags = bags_of(rows, kind)
    assert len(bags) == len(rows)
    assert rows_of(bags) == rows
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    taken = bags.index_select(0, torch.tensor(index, dtype=torch.int64))
    assert rows_of(taken) == [rows[i] for i in index]
    assert taken.ids.dtype == taken.offsets.dtype == kind
    a, b = sorted(data.draw(st.tuples(*[st.integers(0, len(rows))] * 2)))
    assert rows_of(bags[a:b]) == rows[a:b]
    size = data.draw(st.integers(1, 7))
    assert [row for part in bags.split(size) for row in rows_of(part)] == rows


@given(RAGGED, st.integers(1, 6))
def test_padded_rows_hold_the_same_ids(rows, at_least):
    ids, there = bags_of(rows).padded(at_least, padding=99)
    assert ids.shape == there.shape == (len(rows), max(at_least, *map(len, rows)))
    assert [row[mask].tolist() for row, mask in zip(ids, there, strict=True)] == rows
    assert (ids[~there] == 99).all()


def test_a_step_is_an_error():
    with pytest.raises(ValueError, match="step of 2"):
        bags_of([[1], [2]])[::2]


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array])
def test_a_sparse_matrix_is_read_in_its_own_memory(container):
    X = container(np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], np.float32))
    student, inputs = StudentClassifier(), SparseInputs()
    checked = inputs.check(student, X, reset=True)
    bags = inputs.read(checked)
    assert student.n_features_in_ == 3
    assert bags.lengths.tolist() == [1, 0, 2]
    assert bags.ids.tolist() == [1, 0, 2]
    assert bags.weights.tolist() == [2, 1, 3]
    for tensor, array in ((bags.ids, checked.indices), (bags.weights, checked.data)):
        assert np.shares_memory(tensor.numpy(), array)
    if container is not sparse.coo_array:
        assert np.shares_memory(checked.data, X.data)


def test_dense_rows_become_sparse_and_sparse_rows_never_dense():
    X = np.array([[0.0, 2], [1, 0]])
    checked = SparseInputs().check(StudentClassifier(), X, reset=True)
    np.testing.assert_array_equal(checked.toarray(), X)
    with pytest.raises(TypeError, match=r"X is sparse, of shape \(2, 2\).*module=BagOfNgrams"):
        ArrayInputs().check(StudentClassifier(), sparse.csr_array(X), reset=True)
