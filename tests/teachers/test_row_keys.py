"""Equal rows have equal keys wherever they stand, and other rows have others."""

import datetime
from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from lelp_sklearn._rows import n_rows
from lelp_sklearn.teachers._keys import row_keys, take_rows

ROWS = np.array([3, 1, 1, 0])


def same(a, b):
    np.testing.assert_array_equal(a, b)


def n_distinct(keys):
    return len(np.unique(keys, axis=0))


def frame(n=5):
    return pd.DataFrame(
        {
            "number": np.arange(n) / 2,
            "count": np.arange(n),
            "text": list("abcde")[:n],
            "gap": [np.nan, None, "x", "", "y"][:n],
            "kind": pd.Categorical(["u", "v", "w", "u", None][:n]),
            "when": pd.date_range("2024-01-01", periods=n, tz="UTC"),
            "flag": np.arange(n) % 2 == 0,
        }
    )


CONTAINERS = {
    "float64": np.arange(20.0).reshape(5, 4),
    "fortran": np.asfortranarray(np.arange(20.0).reshape(5, 4)),
    "images": np.arange(60, dtype=np.uint8).reshape(5, 2, 3, 2),
    "one column": np.arange(5),
    "strings": ["a", "b", "", "ü", "a longer one"],
    "string array": np.array(["a", "b", "", "ü", "a longer one"]),
    "objects": np.array([["a", 1], ["a", 2], ["b", 1], [None, 1.5], [("t", 2), np.nan]], object),
    "csr": sparse.csr_array(np.eye(5, 7)),
    "tensor": torch.arange(20.0).reshape(5, 4),
    "pandas": frame(),
    "pandas numbers": pd.DataFrame(np.arange(20.0).reshape(5, 4), columns=list("abcd")),
    "polars": pl.from_pandas(frame()),
    "polars numbers": pl.DataFrame(np.arange(20.0).reshape(5, 4), schema=list("abcd")),
    "series": pd.Series(list("abcde")),
}


@pytest.mark.parametrize("X", CONTAINERS.values(), ids=CONTAINERS)
def test_rows_keep_their_keys_in_any_selection(X):
    keys = row_keys(X)
    assert keys.shape == (n_rows(X), 2)
    assert n_distinct(keys) == 5
    same(row_keys(take_rows(X, ROWS)), keys[ROWS])
    same(row_keys(take_rows(X, slice(1, 3))), keys[1:3])


@given(arrays(np.float64, (6, 3), elements=st.sampled_from([0.0, -1.0, 0.5, np.nan, np.inf])))
def test_keys_are_equal_where_rows_are(X):
    equal = [[np.array_equal(a, b, equal_nan=True) for b in X] for a in X]
    keys = row_keys(X)
    same((keys[:, None] == keys).all(axis=2), equal)


@given(st.lists(st.lists(st.text(max_size=3), min_size=2, max_size=2), min_size=2, max_size=8))
def test_joined_values_are_not_confused(rows):
    keys = row_keys(np.array(rows, dtype=object))
    assert n_distinct(keys) == len({tuple(row) for row in rows})


def test_no_two_of_many_rows_collide():
    X = np.arange(200_000, dtype=np.int32).reshape(-1, 2)
    assert n_distinct(row_keys(X)) == len(X)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((1, 4), np.float32), np.ones((1, 4), np.float64)),
        (np.zeros((1, 4), np.float32), np.zeros((1, 8), np.float16)),
        (np.zeros((1, 2, 2)), np.zeros((1, 4))),
        (np.zeros((1, 4)), sparse.csr_array(np.zeros((1, 4)))),
        (sparse.csr_array((1, 4)), sparse.csr_array((1, 5))),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [1]})),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]})[:1], pd.DataFrame({"b": [3], "a": [1]})),
        (np.array([["1"]], object), np.array([[1]], object)),
        (np.array([[1]], object), np.array([[True]], object)),
        (np.array([[None]], object), np.array([[np.nan]], object)),
        (["ab"], ["ab\0"]),
        ([1], ["1"]),
        ([[1]], [(1,)]),
        ([["a", "b"]], [["ab"]]),
        ([np.ones(1)], [1.0]),
        (np.ma.array([[1.0]], mask=[[False]]), np.array([[1.0]])),
        (np.ma.array([[1.0]], mask=[[False]]), np.ma.array([[1.0]], mask=[[True]])),
        (pd.DataFrame({"a": [1.0]}), pl.DataFrame({"a": [1.0]})),
        (pl.DataFrame({"a": [0]}), pl.DataFrame({"a": [None]}, schema={"a": pl.Int64})),
    ],
)
def test_what_the_rows_are_is_part_of_the_key(a, b):
    assert (row_keys(a) != row_keys(b)).all()
    assert (row_keys(a, b"secret") != row_keys(b, b"secret")).all()


def test_a_key_depends_on_its_row_alone():
    for beside in (["a"], [2.5], [None], [[1, 2]]):
        same(row_keys([1, *beside])[:1], row_keys([1]))
    gaps = [1.0, None, 3.0]
    for frame_of in (
        lambda values: pl.DataFrame(
            {"a": pl.Series(values, dtype=pl.Float64), "b": [1] * len(values)}
        ),
        lambda values: pd.DataFrame({"a": pd.array(values, dtype="Float64")}),
        lambda values: pd.DataFrame({"a": pd.array(values, dtype="float64[pyarrow]")}),
    ):
        whole, part = frame_of(gaps), frame_of(gaps[:1])
        for secret in (b"", b"secret"):
            same(row_keys(whole, secret)[:1], row_keys(part, secret))
            assert n_distinct(row_keys(whole, secret)) == 3


def test_rows_of_signs_are_told_apart():
    # In the plain sums of products only half of the bits would tell them apart.
    bits = np.unpackbits(np.arange(2**16, dtype=">u2").view(np.uint8).reshape(-1, 2), axis=1)
    keys = row_keys(np.where(bits, 1.0, -1.0), b"secret")
    assert n_distinct(keys[:, :1] >> np.uint64(33)) > 2**16 * 0.9999


def test_secrets_give_other_keys():
    for X in (ROWS, ["a", "b"], pd.DataFrame({"a": ["x"], "b": [1.0]})):
        keys = [row_keys(X, secret) for secret in (b"", b"one", b"two")]
        assert all((a != b).any(axis=1).all() for a, b in combinations(keys, 2))


def test_a_sparse_row_has_one_form():
    plain = sparse.csr_array(np.array([[0.0, 1.0, 2.0]]))
    unsorted = sparse.csr_array(([2.0, 1.0, 0.0], [2, 1, 0], [0, 3]), shape=(1, 3))
    doubled = sparse.coo_array(([1.0, 0.5, 1.5], ([0, 0, 0], [1, 2, 2])), shape=(1, 3))
    same(row_keys(unsorted), row_keys(plain))
    same(row_keys(doubled), row_keys(plain))
    same(unsorted.indices, [2, 1, 0])  # the user's matrix is as it was
    same(row_keys(sparse.csc_matrix(plain)), row_keys(plain))


def test_categories_count_by_value_and_the_index_does_not_count():
    few = pd.DataFrame({"a": pd.Categorical(["v"])}, index=[7])
    many = pd.DataFrame({"a": pd.Categorical(["v"], categories=["u", "v", "w"])})
    same(row_keys(few), row_keys(many))


def test_a_string_has_one_key_whatever_stands_beside_it():
    same(row_keys(np.array(["a", "a longer one"]))[:1], row_keys(["a"]))


def test_one_changed_value_changes_its_row_only():
    for column, value in [("number", 9.5), ("text", "z"), ("gap", "z"), ("kind", "v")]:
        changed = frame()
        changed.loc[3, column] = value
        differs = (row_keys(changed) != row_keys(frame())).any(axis=1)
        same(differs, [False, False, False, True, False])


def test_dates_count():
    days = np.array([[datetime.date(2024, 1, day)] for day in (1, 2)], object)
    assert n_distinct(row_keys(days)) == 2


@pytest.mark.parametrize("X", [{"input_ids": np.ones((2, 3))}, iter([1, 2])])
def test_rows_that_cannot_be_told_apart_are_an_error(X):
    with pytest.raises(TypeError, match="expected an array, a sparse matrix"):
        row_keys(X)


def test_a_value_without_content_is_an_error():
    with pytest.raises(TypeError, match="a row holds a object"):
        row_keys(np.array([[object()]], object))
