"""The tabular body, and the mathematics of its encoding."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn import CrossEntropy, StudentClassifier, TabularMLP
from lelp_sklearn.inputs import Table
from lelp_sklearn.networks._tabular import PiecewiseLinearEncoding

# Sixteenths: float32 holds them and their sums exactly, duplicates included.
EDGES = st.lists(st.integers(-40, 40), min_size=2, max_size=6).map(
    lambda values: np.sort(values) / np.float32(16)
)
VALUES = st.lists(st.integers(-80, 80), min_size=1, max_size=9).map(
    lambda values: np.sort(values) / np.float32(16)
)


def encode(edges, values):
    """Codes (n_values, n_bins) of one column whose bins lie between these edges."""
    encoding = PiecewiseLinearEncoding([edges], len(edges) - 1)
    return encoding(torch.tensor(values)[:, None])[:, 0].numpy()


def naively(edges, x):
    """Equation 1 of the paper, on the edges that differ."""
    different = np.unique(edges)
    n_bins = len(different) - 1
    code = []
    for t, (left, right) in enumerate(pairwise(different), start=1):
        if x < left and t > 1:
            code.append(0.0)
        elif x >= right and t < n_bins:
            code.append(1.0)
        else:
            code.append((x - left) / (right - left))
    return code


@given(EDGES, VALUES)
def test_encoding_is_the_papers_equation(edges, values):
    codes = encode(edges, values)
    there = np.diff(edges) > 0
    assert (codes[:, ~there] == 0).all()
    expected = np.array([naively(edges, x) for x in values]).reshape(len(values), -1)
    np.testing.assert_allclose(codes[:, there], expected, atol=1e-5)


@given(EDGES, VALUES)
def test_encoding_is_monotone_and_continuous(edges, values):
    steps = np.diff(encode(edges, values), axis=0)
    assert (steps >= 0).all()
    widths = np.diff(edges)
    steepest = 1 / widths[widths > 0].min(initial=np.inf)
    assert (steps <= steepest * np.diff(values)[:, None] + 1e-5).all()


@given(EDGES, VALUES)
def test_a_linear_function_of_a_column_is_a_linear_function_of_its_code(edges, values):
    if len(np.unique(edges)) > 1:
        through_the_bins = edges[0] + encode(edges, values) @ np.diff(edges)
        np.testing.assert_allclose(through_the_bins, values, atol=1e-5)


def test_bins_lie_between_quantiles_and_columns_do_not_mix():
    quantiles = np.stack([np.linspace(0, 1, 257), np.linspace(0, 1, 257) ** 2])
    encoding = PiecewiseLinearEncoding(quantiles, 4)
    np.testing.assert_allclose(encoding.left[0], [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(encoding.left[1], [0, 0.0625, 0.25, 0.5625], atol=1e-6)
    codes = encoding(torch.tensor([[0.5, 0.25], [0.5, 9.0]]))
    np.testing.assert_allclose(codes[0, 0], codes[0, 1], atol=1e-6)
    np.testing.assert_array_equal(codes[0, 0], codes[1, 0])
    assert codes[1, 1, 3] > 1


def tables(n=6, n_numeric=2, cardinalities=(3, 5), seed=0):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(c, size=n) for c in cardinalities]
    categories = torch.tensor(np.array(codes, dtype=np.int64).reshape(-1, n).T)
    return Table(torch.tensor(rng.normal(size=(n, n_numeric)), dtype=torch.float32), categories)


QUANTILES = np.sort(np.random.default_rng(0).normal(size=(2, 9)))


@pytest.mark.parametrize("n_bins", [0, 3])
@pytest.mark.parametrize(("n_numeric", "cardinalities"), [(2, (3, 5)), (2, ()), (0, (3, 5))])
def test_any_columns_and_any_depth(n_numeric, cardinalities, n_bins):
    X = tables(n_numeric=n_numeric, cardinalities=cardinalities)
    params = {"quantiles": QUANTILES[:n_numeric], "n_bins": n_bins, "dim": 4}
    deep = TabularMLP(n_numeric, cardinalities, hidden=(7, 5), **params)
    assert deep(X).shape == (6, 5)
    flat = TabularMLP(n_numeric, cardinalities, hidden=(), **params)
    width = n_numeric * (4 if n_bins else 1) + 4 * len(cardinalities)
    assert flat(X).shape == (6, width)
    if not n_bins:
        torch.testing.assert_close(flat(X)[:, :n_numeric], X.numeric)


def test_each_category_has_a_vector_of_its_own_and_the_unseen_none():
    body = TabularMLP(0, (3, 5), hidden=(), dim=4)
    codes = torch.tensor([[0, 0], [1, 1], [2, 4], [1, 4]])
    vectors = body(Table(torch.zeros(4, 0), codes)).detach()
    assert (vectors[0] == 0).all()
    assert (vectors[1, :4] == vectors[3, :4]).all()
    assert (vectors[2, 4:] == vectors[3, 4:]).all()
    rows = vectors[1:].reshape(-1, 4)
    assert len(rows.unique(dim=0)) == 4  # 1 and 2 of the first column, 1 and 4 of the second


def test_numbers_are_embedded_column_by_column():
    body = TabularMLP(2, (), quantiles=QUANTILES, hidden=(), n_bins=3, dim=4)
    X = tables(cardinalities=())
    embedded = body(X).reshape(6, 2, 4)
    codes = PiecewiseLinearEncoding(QUANTILES, 3)(X.numeric)
    for j in range(2):
        by_hand = (codes[:, j] @ body.numeric.weight[j] + body.numeric.bias[j]).relu()
        torch.testing.assert_close(embedded[:, j], by_hand)


def test_dropout_drops_in_training_only():
    body = TabularMLP(2, (), hidden=(64,), dropout=0.9)
    X = tables(cardinalities=())
    assert (body.train()(X) == 0).float().mean() > (body.eval()(X) == 0).float().mean() + 0.1


def test_bins_without_quantiles_are_an_error():
    with pytest.raises(ValueError, match="n_bins=4 needs quantiles"):
        TabularMLP(2, (), n_bins=4)
    for n_bins in (-1, 9):
        with pytest.raises(ValueError, match=f"n_bins={n_bins}: expected 0 to 8"):
            TabularMLP(2, (), quantiles=QUANTILES, n_bins=n_bins)


def test_bins_let_a_linear_student_bend_and_a_pickle_keeps_them():
    X = np.random.default_rng(0).uniform(-1, 1, (400, 1))
    y = (np.abs(X[:, 0]) < 0.5).astype(int)

    def student(n_bins):
        return StudentClassifier(
            TabularMLP,
            module__hidden=(),
            module__n_bins=n_bins,
            objective=CrossEntropy(),
            lr=0.05,
            random_state=0,
        ).fit(X, y)

    bent = student(16)
    assert student(0).score(X, y) < 0.8
    assert bent.score(X, y) > 0.85
    again = pickle.loads(pickle.dumps(bent))
    np.testing.assert_array_equal(again.predict_proba(X), bent.predict_proba(X))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu():
    X = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    y = (np.abs(X[:, 0]) < 0.5).astype(int)
    student = StudentClassifier(
        TabularMLP, module__n_bins=16, objective=CrossEntropy(), device="cuda", random_state=0
    )
    assert student.fit(X, y).score(X, y) > 0.85
