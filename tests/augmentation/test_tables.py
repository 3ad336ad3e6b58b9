"""New rows of tables: containers, types, ranges, groups, seeds."""

import datetime
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from lelp_sklearn import GANAugmenter, Mixup, Munge, Resample, VAEAugmenter
from lelp_sklearn.inputs._columns import missing

RNG = np.random.default_rng(0)
NUMBERS = RNG.standard_normal((12, 3))
QUICK = {"max_epochs": 2, "hidden": 8, "latent_dim": 2}
EVERY = [
    Mixup(random_state=0),
    Munge(random_state=0),
    Resample(random_state=0),
    VAEAugmenter(**QUICK, random_state=0),
    GANAugmenter(**QUICK, random_state=0),
]
NAMES = [type(augmenter).__name__ for augmenter in EVERY]
every = pytest.mark.parametrize("augmenter", EVERY, ids=NAMES)

tables = hnp.arrays(
    float,
    st.tuples(st.integers(2, 8), st.integers(1, 4)),
    elements=st.floats(-1e6, 1e6).map(lambda value: round(value, 3)),
)


def mixed(n=12):
    return pd.DataFrame(
        {
            "size": np.arange(n),
            "price": np.linspace(0, 1, n).astype("float32"),
            "colour": pd.Categorical(np.array(["red", "green", "blue"])[np.arange(n) % 3]),
            "name": np.array(["x", "y"])[np.arange(n) % 2],
            "old": np.arange(n) % 4 == 0,
            "on": [datetime.datetime(2020, 1, 1 + i) for i in range(n)],
        },
        index=np.arange(n) + 100,
    )


@every
def test_seeds_give_the_rows_and_leave_numpys_and_torchs_alone(augmenter):
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    X = NUMBERS.copy()
    rows = clone(augmenter).fit(X).sample(30)
    assert rows.shape == (30, 3)
    assert rows.dtype == X.dtype
    assert_array_equal(rows, clone(augmenter).fit(X).sample(30))
    fitted = pickle.loads(pickle.dumps(clone(augmenter).fit(X)))
    assert_array_equal(rows, fitted.sample(30))
    other = clone(augmenter).set_params(random_state=1).fit(X).sample(30)
    assert not np.array_equal(rows, other)
    assert_array_equal(X, NUMBERS)
    assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(torch_before, torch.get_rng_state())


@every
def test_numbers_in_any_container_come_back_in_it(augmenter):
    expected = clone(augmenter).fit(NUMBERS).sample(5)
    names = ["a", "b", "c"]
    for frame in (pd.DataFrame(NUMBERS, columns=names), pl.DataFrame(NUMBERS, schema=names)):
        rows = clone(augmenter).fit(frame).sample(5)
        assert type(rows) is type(frame)
        assert list(rows.columns) == names
        assert_allclose(rows.to_numpy(), expected)
    assert_allclose(clone(augmenter).fit(NUMBERS.tolist()).sample(5), expected)
    single = clone(augmenter).fit(NUMBERS.astype("float32")).sample(5)
    assert single.dtype == np.float32


@every
@pytest.mark.parametrize("dtype", ["uint8", "int64", "Int64", "polars"])
def test_integers_stay_integers_within_what_was_seen(augmenter, dtype):
    counts = RNG.integers(0, 9, (12, 3))
    if dtype == "polars":
        X = pl.DataFrame(counts.astype("uint8"))
    elif dtype == "Int64":
        X = pd.DataFrame(counts).astype("Int64")
    else:
        X = counts.astype(dtype)
    rows = clone(augmenter).fit(X).sample(40)
    if dtype in ("uint8", "int64"):
        assert rows.dtype == X.dtype
    else:
        assert list(rows.dtypes) == list(X.dtypes)
    values = np.asarray(rows, dtype=float)
    assert np.all((counts.min(axis=0) <= values) & (values <= counts.max(axis=0)))


@pytest.mark.parametrize("augmenter", [Munge(random_state=0), Resample(random_state=0)])
@pytest.mark.parametrize("make", [lambda X: X, pl.from_pandas], ids=["pandas", "polars"])
def test_categories_dates_and_truth_values_are_ones_that_were_seen(augmenter, make):
    X = make(mixed())
    rows = augmenter.fit(X).sample(50)
    assert list(rows.dtypes) == list(X.dtypes)
    for name in ("size", "colour", "name", "old", "on"):
        seen = set(X[name].to_list() if make is pl.from_pandas else X[name])
        assert set(rows[name].to_list() if make is pl.from_pandas else rows[name]) <= seen
    price = np.asarray(rows["price"])
    assert price.min() >= 0
    assert price.max() <= 1


@pytest.mark.parametrize("augmenter", [Mixup(), VAEAugmenter(), GANAugmenter()])
def test_arithmetic_on_categories_is_an_error_that_names_them(augmenter):
    for X in (mixed(), pl.from_pandas(mixed())):
        with pytest.raises(TypeError, match=r"no numbers: \{'colour': .*'on'.*use Munge"):
            augmenter.fit(X)
    with pytest.raises(TypeError, match="an array of object"):
        augmenter.fit(mixed().to_numpy())


@every
def test_what_is_no_table_is_an_error(augmenter):
    with pytest.raises(TypeError, match="use WordAugmenter"):
        augmenter.fit(["a text", "another"])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        augmenter.fit(np.zeros(3))
    with pytest.raises(ValueError, match="0 rows"):
        augmenter.fit(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="n_samples == 0"):
        clone(augmenter).fit(NUMBERS).sample(0)
    if not isinstance(augmenter, Mixup):
        with pytest.raises(TypeError, match="X is sparse"):
            augmenter.fit(sparse.csr_array(NUMBERS))


@given(tables, st.integers(0, 3))
def test_mixup_stays_between_the_rows(X, seed):
    rows = Mixup(random_state=seed).fit(X).sample(20)
    slack = 1e-9 * np.abs(X).max()
    assert np.all(rows >= X.min(axis=0) - slack)
    assert np.all(rows <= X.max(axis=0) + slack)


def test_alpha_is_the_share_of_the_other_row():
    X = np.array([[0.0], [1.0]])
    near = Mixup(alpha=0.05, random_state=0).fit(X).sample(500)
    middle = Mixup(alpha=50.0, random_state=0).fit(X).sample(500)
    assert np.mean(np.minimum(near, 1 - near)) < 0.05
    assert np.abs(middle - 0.5).max() < 0.2
    assert Mixup().fit(X[:1]).sample(2).tolist() == [[0.0], [0.0]]  # no other row


def test_mixup_keeps_sparse_rows_sparse():
    X = sparse.random_array((10, 30), density=0.1, rng=0)
    for rows in (X.tocsr(), X.tocsc()):
        new = Mixup(random_state=0).fit(rows).sample(25)
        assert sparse.issparse(new)
        assert_allclose(new.toarray(), Mixup(random_state=0).fit(X.toarray()).sample(25))


def test_a_missing_value_makes_the_mixture_miss():
    X = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [0.5, np.nan]})
    for frame in (X, pl.DataFrame({"a": [1, None], "b": [0.5, None]})):
        new = Mixup(random_state=0).fit(frame).sample(3)
        assert list(new.dtypes) == list(frame.dtypes)
        assert all(missing(new[name]).all() for name in "ab")


@given(tables, st.floats(0, 1), st.integers(0, 3))
def test_resampled_values_were_seen_in_their_column(X, share, seed):
    rows = Resample(share=share, random_state=seed).fit(X).sample(15)
    assert all(np.isin(rows[:, j], X[:, j]).all() for j in range(X.shape[1]))


def test_share_0_is_the_rows_and_share_1_keeps_the_marginals_alone():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]], 4, axis=0)
    same = Resample(share=0.0, random_state=0).fit(X).sample(24)
    assert_array_equal(np.sort(same, axis=0), np.sort(np.tile(X, (2, 1)), axis=0))
    rows = Resample(share=1.0, random_state=0).fit(X).sample(6000)
    assert_allclose(rows.mean(axis=0), 2 / 3, atol=0.03)
    assert abs(np.corrcoef(rows.T)[0, 1]) < 0.05


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=10),
    st.sampled_from([Resample(share=0.5), Munge(p=0.5, s=0.5)]),
    st.integers(0, 3),
)
def test_groups_stay_one_hot(category, augmenter, seed):
    rng = np.random.default_rng(seed)
    codes = np.eye(4)[category]
    X = np.column_stack([codes[:, :2], rng.standard_normal(len(codes)), codes[:, 2:]])
    augmenter = clone(augmenter).set_params(groups=[[0, 1, 3, 4]], random_state=seed)
    one_hot = augmenter.fit(X).sample(20)[:, [0, 1, 3, 4]]
    assert_array_equal(np.sort(one_hot, axis=1), np.tile([0, 0, 0, 1], (20, 1)))
    assert set(one_hot.argmax(axis=1)) <= set(category)


@pytest.mark.parametrize("kind", [Resample, Munge])
def test_groups_name_the_columns_of_a_frame(kind):
    X = pd.DataFrame(np.eye(3)[np.arange(12) % 3], columns=["r", "g", "b"]).assign(size=1.5)
    rows = kind(groups=[["r", "g", "b"]], random_state=0).fit(X).sample(30)
    assert (rows[["r", "g", "b"]].sum(axis=1) == 1).all()
    broken = kind(random_state=0, **{"share" if kind is Resample else "p": 0.5}).fit(X).sample(30)
    assert kind is Munge or (broken[["r", "g", "b"]].sum(axis=1) != 1).any()
    for wrong in ([["r", "x"]], [["r"], ["r", "g"]], [[0, 1]]):
        with pytest.raises(ValueError, match="each in one group"):
            kind(groups=wrong).fit(X)


def test_munge_without_noise_gives_the_neighbours_values():
    X = np.array([[0.0, 10], [1, 11], [8, 90], [9, 91]])
    neighbour = X[[1, 0, 3, 2]]
    rows = Munge(p=1.0, s=float("inf"), random_state=0).fit(X).sample(4)
    assert_array_equal(np.sort(rows, axis=0), np.sort(neighbour, axis=0))
    kept = Munge(p=0.0, random_state=0).fit(X).sample(4)
    assert_array_equal(np.sort(kept, axis=0), np.sort(X, axis=0))


def test_munges_noise_is_the_difference_over_s():
    # Rows 0 and 1 are neighbours; the others are pairs as well, and widen the range.
    X = np.array([[0.0, 0], [1, 0], [-100, 5], [-101, 5], [100, 5], [101, 5]])
    munge = Munge(p=1.0, s=4.0, random_state=0).fit(X)
    assert munge.neighbor_.tolist() == [1, 0, 3, 2, 5, 4]
    rows = munge.sample(6000)
    near = rows[rows[:, 1] == 0]
    around_1 = near[near[:, 0] > 0.5][:, 0]
    assert_allclose(np.std(near[:, 0] - (near[:, 0] > 0.5)), 0.25, rtol=0.1)
    assert_allclose(around_1.mean(), 1.0, atol=0.05)


def test_a_category_in_numbers_is_a_group_of_one():
    X = np.array([[0.0], [4.0], [9.0]])
    assert len(set(Munge(s=0.5, random_state=0).fit(X).sample(60)[:, 0])) > 3
    as_category = Munge(s=0.5, groups=[[0]], random_state=0).fit(X).sample(60)
    assert set(as_category[:, 0]) == {0.0, 4.0, 9.0}


def test_munge_finds_neighbours_by_categories_too():
    X = pd.DataFrame({"a": [0.0, 0.1, 0.9, 1.0], "c": ["u", "v", "u", "v"]})
    assert Munge().fit(X).neighbor_.tolist() == [2, 3, 0, 1]
    assert Munge().fit(X[["a"]]).neighbor_.tolist() == [1, 0, 3, 2]
    assert Munge().fit(X[["c"]]).neighbor_.tolist() == [2, 3, 0, 1]


def test_munge_lives_with_missing_values():
    X = np.array([[0.0, np.nan, np.nan], [1, 2, np.nan], [2, 3, np.nan]])
    rows = Munge(random_state=0).fit(X).sample(50)
    assert np.isfinite(rows[:, 0]).all()
    assert 0 < np.isnan(rows[:, 1]).mean() < 1
    assert np.isnan(rows[:, 2]).all()
    with pytest.raises(ValueError, match="at least 2"):
        Munge().fit(X[:1])


@pytest.mark.parametrize(
    ("augmenter", "name", "wrong"),
    [
        (Mixup(), "alpha", 0),
        (Resample(), "share", 1.5),
        (Resample(), "groups", 3),
        (Munge(), "p", -0.1),
        (Munge(), "s", 0),
        (VAEAugmenter(), "beta", -1),
        (VAEAugmenter(), "latent_dim", 0),
        (GANAugmenter(), "hidden", 0),
        (GANAugmenter(), "max_epochs", 0),
        (VAEAugmenter(), "batch_size", 0),
        (VAEAugmenter(), "lr", 0),
        (Mixup(), "random_state", "x"),
    ],
)
def test_parameters_are_checked(augmenter, name, wrong):
    with pytest.raises(InvalidParameterError, match=name):
        clone(augmenter).set_params(**{name: wrong}).fit(NUMBERS)
