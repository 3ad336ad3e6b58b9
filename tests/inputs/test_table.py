"""Data frames of pandas and polars, column by column."""

import builtins
import copy
import warnings
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import torch
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn import (
    MLP,
    CrossEntropy,
    StudentClassifier,
    TableInputs,
    TabularMLP,
    load,
    save,
)
from lelp_sklearn.inputs import Table

FRAMES = [pd.DataFrame, pl.DataFrame]
NAN = float("nan")


def both(train, test=None, **params):
    """What is read of training rows and of others, and the inputs."""
    inputs, student = TableInputs(**params), StudentClassifier()
    table = inputs.fit(inputs.check(student, train, reset=True)).read(train)
    if test is None:
        return table, inputs
    return table, inputs.read(inputs.check(student, test, reset=False))


def mixed(n=120, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "children": pd.array(rng.integers(0, 5, n), dtype="Int64"),
            "owner": rng.random(n) < 0.3,
            "job": rng.choice(["cook", "baker", "smith"], n),
            "town": pd.Categorical(rng.choice(["u", "v"], n)),
            "since": pd.date_range("2020-01-31", periods=n, freq="31h"),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "children"] = pd.NA
    frame.loc[::5, "job"] = None
    y = np.where((frame["job"] == "cook") ^ frame["owner"], "yes", "no")
    return frame, y


@given(st.integers(0, 2**31), st.data())
def test_rows_of_a_table_are_taken_as_of_a_tensor(seed, data):
    rng = np.random.default_rng(seed)
    n = data.draw(st.integers(1, 7))
    X, codes = torch.tensor(rng.normal(size=(n, 2))), torch.tensor(rng.integers(9, size=(n, 3)))
    table = Table(X, codes)
    assert len(table) == n
    assert table.device == X.device
    index = torch.tensor(data.draw(st.lists(st.integers(0, n - 1), max_size=8))).long()
    a, b = sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2)))
    for part, rows in ((table.index_select(0, index), index), (table[a:b], slice(a, b))):
        torch.testing.assert_close(part.numeric, X[rows])
        torch.testing.assert_close(part.categories, codes[rows])
    size = data.draw(st.integers(1, 8))
    parts = list(table.split(size))
    assert all(len(part) == size for part in parts[:-1])
    torch.testing.assert_close(torch.cat([part.numeric for part in parts]), X)
    torch.testing.assert_close(torch.cat([part.categories for part in parts]), codes)
    torch.testing.assert_close(table.to("cpu").categories, codes)


def test_pandas_and_polars_are_read_alike():
    frame, _ = mixed()
    tables = [both(frame)[0], both(pl.from_pandas(frame))[0], both(frame, pl.from_pandas(frame))[1]]
    numeric, categories = tables[0].numeric, tables[0].categories
    assert numeric.dtype == torch.float32
    assert categories.dtype == torch.int64
    assert numeric.shape == (120, 3 + 2 + 5)  # two with missing values; five parts of the date
    assert torch.isfinite(numeric).all()
    for table in tables[1:]:
        torch.testing.assert_close(table.numeric, numeric)
        assert (table.categories == categories).all()
    names = {"cook": 2, "baker": 1, "smith": 3}
    assert categories[:, 0].tolist() == [names.get(job, 0) for job in frame["job"]]


@pytest.mark.parametrize("make", FRAMES)
def test_numbers_are_scaled_as_scikit_learn_does(make):
    rng = np.random.default_rng(0)
    values = rng.lognormal(sigma=2, size=500)
    X = make({"a": values, "b": np.arange(500)})
    standard, inputs = both(X)
    expected = (values - values.mean()) / values.std()
    np.testing.assert_allclose(standard.numeric[:, 0], expected, rtol=1e-5, atol=1e-6)
    quantile, _ = both(X, numeric="quantile")
    middle = quantile.numeric[:, 0].sort().values[20:-20]
    normal = torch.distributions.Normal(0, 1).icdf((torch.arange(500) / 499)[20:-20])
    assert (middle - normal).abs().max() < 0.1
    params = inputs.body_params(None)
    assert params["n_numeric"] == 2
    assert params["cardinalities"] == ()
    assert params["quantiles"].shape == (2, 129)
    assert params["quantiles"].dtype == np.float32
    by_hand = np.quantile(standard.numeric.numpy(), [0, 0.25, 0.5, 1], axis=0).T
    np.testing.assert_allclose(params["quantiles"][:, [0, 32, 64, 128]], by_hand, atol=1e-6)


@pytest.mark.parametrize("numeric", ["standard", "quantile"])
@pytest.mark.parametrize("make", FRAMES)
def test_missing_numbers_are_the_median_and_marked(make, numeric):
    seen, new = both(
        make({"a": [1.0, 2.0, 9.0, None], "b": [1, 2, 3, 4]}),
        make({"a": [None, 2.0], "b": [None, 4]}),
        numeric=numeric,
    )
    assert seen.numeric.shape == (4, 3)
    assert seen.numeric[:, 2].tolist() == [0, 0, 0, 1]
    assert seen.numeric[3, 0] == seen.numeric[1, 0]
    assert new.numeric[0, 0] == new.numeric[1, 0]
    # Missing for the first time: the median of 1..4, and nowhere to mark it.
    assert seen.numeric[1, 1] < new.numeric[0, 1] < seen.numeric[2, 1]


@pytest.mark.parametrize("numeric", ["standard", "quantile"])
def test_a_column_without_any_value_is_constant(numeric):
    table, _ = both(pd.DataFrame({"a": [NAN, NAN], "b": [1, 2]}), numeric=numeric)
    assert table.numeric[0, 0] == table.numeric[1, 0]
    table, inputs = both(pl.DataFrame({"a": [None, None], "b": [1, 2]}))
    assert inputs.cardinalities_ == (1,)
    assert table.categories.tolist() == [[0], [0]]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["b", None, "a"]),
        pd.Series(["b", None, "a"], dtype=object),
        pd.Series(["b", None, "a"], dtype="string"),
        pd.Series(["b", None, "a"], dtype="category"),
        pl.Series(["b", None, "a"]),
        pl.Series(["b", None, "a"], dtype=pl.Categorical),
        pl.Series(["b", None, "a"], dtype=pl.Enum(["c", "b", "a"])),
    ],
    ids=lambda column: f"{type(column).__module__.split('.')[0]}-{column.dtype}",
)
def test_unseen_and_missing_categories_are_zero(column):
    make = pd.DataFrame if isinstance(column, pd.Series) else pl.DataFrame
    seen, new = both(make({"x": column}), make({"x": ["a", "z", None, "b"]}))
    assert seen.categories.tolist() == [[2], [0], [1]]
    assert new.categories.tolist() == [[1], [0], [0], [2]]
    _, inputs = both(make({"x": column}))
    assert inputs.cardinalities_ == (3,)
    assert type(inputs.cardinalities_[0]) is int


@pytest.mark.parametrize("make", FRAMES)
@pytest.mark.parametrize("named", [["zip"], [0]])
def test_columns_that_are_named_are_categorical_too(make, named):
    X = make({"zip": [81, 10, 81], "town": ["u", "v", "u"], "n": [1, 2, 3]})
    table, inputs = both(X, categorical=named)
    assert table.categories.tolist() == [[2, 1], [1, 2], [2, 1]]
    assert table.numeric.shape == (3, 1)
    assert inputs.cardinalities_ == (3, 3)


def test_arrays_are_numeric_but_for_the_columns_that_are_named():
    X = np.array([[1.0, 7.0], [3.0, NAN], [2.0, 5.0]])
    table, inputs = both(X)
    assert table.numeric.shape == (3, 3)
    table, inputs = both(X, categorical=[1])
    assert table.categories.tolist() == [[2], [0], [1]]
    assert inputs.cardinalities_ == (3,)
    table, _ = both(np.array([[1, "u"], [3, "v"]], dtype=object), categorical=[1])
    assert table.numeric.tolist() == [[-1], [1]]
    assert table.categories.tolist() == [[1], [2]]


def test_a_position_is_not_taken_for_the_name_of_another_column():
    frame = pd.DataFrame({1: [1, 2], 0: [3, 4]})
    assert both(frame, categorical=[1])[1].columns_.transformers_[-1][2] == [0]


@pytest.mark.parametrize("make", FRAMES)
def test_dates_become_parts_by_skrub(make):
    days = pd.to_datetime(["2020-01-01", "2021-02-01", None, "2022-04-01"])
    dates = days if make is pd.DataFrame else pl.Series(days)
    table, _ = both(make({"t": dates}))
    year, month = table.numeric[:, 0], table.numeric[:, 1]
    assert year.argsort()[[0, 3]].tolist() == [0, 3]
    assert year[2] == year[1]  # the median
    assert (month[[0, 1, 3]].diff() > 0).all()
    assert table.numeric[2].max() == 1  # marked


def test_without_skrub_dates_are_an_error_that_names_the_extra(monkeypatch):
    real = builtins.__import__

    def fake(name, *args):
        if name == "skrub":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", fake)
    frame, _ = mixed()
    with pytest.raises(ImportError, match=r'pip install "lelp-sklearn\[tables\]"'):
        both(frame)
    both(frame.drop(columns="since"))


@pytest.mark.parametrize("make", FRAMES)
@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ({"a": [1.0, 2.0]}, {"a": [float("inf"), 0.0]}, r"contains infinity in \['a'\]"),
        ({"a": [1.0, 2.0]}, {"a": [1e300, 0.0]}, "infinite in float32.*numeric='quantile'"),
        ({"a": [1.0, 2.0]}, {"a": ["x", "y"]}, "column 'a' is numeric in fit and has dtype"),
        ({"a": ["x", "y"]}, {"a": [1, 2]}, "column 'a' has the numeric dtype.*categorical one"),
        ({"a": [1, 2], "b": [1, 2]}, {"b": [1, 2], "a": [1, 2]}, "same order as they were in fit"),
        ({"a": [1, 2], "b": [1, 2]}, {"a": [1, 2]}, "seen at fit time, yet now missing:\n- b"),
        ({"a": []}, None, r"0 sample\(s\)"),
    ],
)
def test_columns_that_do_not_fit_are_named(make, train, test, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        both(make(train), None if test is None else make(test))


def test_dates_where_numbers_were_are_an_error():
    with pytest.raises(ValueError, match=r"column 'a' is numeric in fit.*dates are no numbers"):
        both(pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": pd.to_datetime(["2020", "2021"])}))


@pytest.mark.parametrize(
    ("X", "params", "error", "message"),
    [
        (pl.DataFrame({"a": [[1], [2]]}), {}, TypeError, r"column 'a' has dtype List\(Int64\)"),
        (pd.DataFrame({"a": pd.to_timedelta([1, 2])}), {}, TypeError, "'a' has dtype timedelta64"),
        (pd.DataFrame({"a": ["x", 1]}), {}, TypeError, r"\{'a': \['int', 'str'\]\}.*astype\(str\)"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, ValueError, r"same name: \['a'\]"),
        (pd.DataFrame({"a": [1]}), {"numeric": "log"}, ValueError, "expected 'standard' or"),
        (pd.DataFrame({"a": [1]}), {"categorical": "a"}, ValueError, "'from_dtype' or a list"),
        (pd.DataFrame({"a": [1]}), {"categorical": ["b"]}, ValueError, r"\['b'\] is not among"),
        (np.array([[1, "u"]], dtype=object), {}, ValueError, r"TableInputs\(categorical=\[...\]\)"),
        (np.array([[np.inf]]), {}, ValueError, "contains infinity"),
    ],
)
def test_what_cannot_be_read_is_an_error(X, params, error, message):
    with pytest.raises(error, match=message):
        both(X, **params)


def test_rows_that_lost_their_dtypes_are_read_by_value():
    frame, _ = mixed()
    frame = frame.drop(columns="since")
    _, row = both(frame, frame.iloc[3].to_frame().T)
    torch.testing.assert_close(row.numeric, both(frame)[0].numeric[3:4])
    assert (row.categories == both(frame)[0].categories[3:4]).all()
    _, nothing = both(frame, pd.DataFrame({name: [None] for name in frame}))
    assert nothing.categories.tolist() == [[0, 0]]


def test_an_output_container_set_for_all_transformers_changes_nothing():
    frame, _ = mixed()
    expected = both(frame)[0].numeric
    for container in ("pandas", "polars"):
        with sklearn.config_context(transform_output=container):
            torch.testing.assert_close(both(frame)[0].numeric, expected)


@pytest.mark.parametrize("make", FRAMES)
@pytest.mark.parametrize("module", [None, MLP])
def test_students_of_numbers_name_the_columns_that_hold_none(make, module):
    X = make({"n": [1.5, 2], "s": ["x", "y"], "t": pd.to_datetime(["2020", "2021"])})
    student = StudentClassifier(module, objective=CrossEntropy(), max_epochs=1)
    with pytest.raises(TypeError, match=r"(?s)hold none: \{'s'.*'t'.*module=TabularMLP"):
        student.fit(X, [0, 1])
    with pytest.raises(ValueError, match=r"(?s)contains NaN.*imputer"):
        student.fit(make({"n": [1.5, NAN]}), [0, 1])


@pytest.mark.parametrize("make", [lambda frame: frame, pl.from_pandas])
def test_a_students_predictions_do_not_depend_on_what_stands_around_a_row(make):
    frame, y = mixed(300)
    frame.index = np.random.default_rng(1).permutation(len(frame)) * 3
    weight = np.arange(300) % 10 > 0
    student = StudentClassifier(
        TabularMLP,
        module__n_bins=4,
        objective=CrossEntropy(),
        max_epochs=12,
        lr=0.03,
        random_state=0,
    ).fit(make(frame), y, sample_weight=weight)
    assert student.score(make(frame), y) > 0.8
    assert student.feature_names_in_.tolist() == list(frame)
    proba = student.predict_proba(make(frame))
    order = np.random.default_rng(0).permutation(300)
    shuffled = student.predict_proba(make(frame.iloc[order]))
    np.testing.assert_allclose(shuffled, proba[order], atol=1e-6)
    np.testing.assert_allclose(student.predict_proba(make(frame[:1])), proba[:1], atol=1e-6)
    unseen = frame.assign(job=frame["job"].where(frame["job"].isna(), "never seen"))
    np.testing.assert_allclose(
        student.predict_proba(make(unseen)),
        student.predict_proba(make(frame.assign(job=pd.Series([None] * 300, frame.index, "str")))),
        atol=1e-6,
    )


def test_the_tags_tell_of_missing_values_and_categories():
    tags = StudentClassifier(TabularMLP).__sklearn_tags__().input_tags
    assert (tags.allow_nan, tags.categorical, tags.string) == (True, True, True)
    assert not StudentClassifier(MLP).__sklearn_tags__().input_tags.allow_nan


NUMBERS = [1.5, -20, 3e-2, 7, 1e9, 12]
SPELLED = ["1.5", " -20 ", "3e-2", "7", "1E9", "+12."]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(SPELLED, dtype=object),
        pd.Series(SPELLED, dtype="string"),
        pd.Series(SPELLED, dtype=pd.ArrowDtype(pa.string())),
        pd.Series([Decimal(str(v)) for v in NUMBERS]),
        pd.Series([np.float64(1.5), -20, "0.03", Decimal(7), np.int64(10**9), 12.0], dtype=object),
        pl.Series(SPELLED),
        pl.Series([Decimal(str(v)) for v in NUMBERS]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_numbers_that_are_spelled_or_objects_are_numbers(column):
    make = pd.DataFrame if isinstance(column, pd.Series) else pl.DataFrame
    table, inputs = both(make({"a": column}))
    expected, _ = both(pd.DataFrame({"a": NUMBERS}))
    torch.testing.assert_close(table.numeric, expected.numeric)
    assert inputs.cardinalities_ == ()
    _, later = both(make({"a": column}), pd.DataFrame({"a": NUMBERS}))
    torch.testing.assert_close(later.numeric, expected.numeric)
    array = np.array(SPELLED, dtype=object)[:, None]
    torch.testing.assert_close(both(array)[0].numeric, expected.numeric)


@pytest.mark.parametrize("make", FRAMES)
def test_what_says_that_a_number_is_missing(make):
    spelled = make({"a": ["1", "", "3", "NaN", " null "]})
    known = pd.DataFrame({"a": [1, NAN, 3, NAN, NAN]})
    torch.testing.assert_close(both(spelled)[0].numeric, both(known)[0].numeric)


@pytest.mark.parametrize("make", FRAMES)
@pytest.mark.parametrize(
    "values", [["01234", "12345", "23456"], ["x", "y", "z"], ["1_0", "x", "0x1f"], ["", "", ""]]
)
def test_codes_and_words_are_categories(make, values):
    assert len(both(make({"a": values}))[1].cardinalities_) == 1


@pytest.mark.parametrize("make", FRAMES)
def test_words_among_numbers_and_identifiers_are_warned_about(make):
    X = make({"a": ["7", "8", "unknown"], "b": [1, 2, 3]})
    with pytest.warns(UserWarning, match=r"'a' holds 2 numbers and 1 other.*'unknown'.*to_numeric"):
        both(X)
    both(X, categorical=["a"])
    many = make({"a": [f"{1000 * i:,}" for i in range(1, 121)]})
    with pytest.warns(UserWarning, match="120 different values in 120 rows.*'1,234'"):
        both(many)
    student = StudentClassifier(TabularMLP, objective=CrossEntropy(), max_epochs=1)
    with pytest.warns(UserWarning, match="column 'a'") as seen:
        student.fit(X, [0, 1, 1])
    assert [w.filename for w in seen] == [__file__]


@pytest.mark.parametrize("make", FRAMES)
def test_a_word_where_numbers_were_is_named_with_its_row(make):
    with pytest.raises(ValueError, match=r"column 'a' is numeric in fit .* row 1 holds '1,5'"):
        both(make({"a": ["1", "2"]}), make({"a": ["1", "1,5"]}))
    with pytest.raises(ValueError, match="row 1 holds 'x', which is no number: name the others"):
        both(np.array([["1"], ["2"]], object), np.array([["1"], ["x"]], object))


@pytest.mark.parametrize("offset", [1e8, 10**15, 1_700_000_000_000_000_000])
def test_numbers_far_from_zero_keep_what_they_differ_by(offset):
    near = pd.DataFrame({"a": np.array([1, 2, 7, 4]) * 10**6})
    table, _ = both(near + offset)
    torch.testing.assert_close(table.numeric, both(near)[0].numeric, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "column",
    [
        pd.cut(pd.Series(np.arange(40.0)), 3),
        pd.Categorical(pd.to_datetime(["2020", "2021"] * 20)),
        pd.Series([date(2020, 1, 1), date(2021, 1, 1)] * 20),
        pd.Categorical([Decimal("1.5"), Decimal("2.5")] * 20),
        pd.Series([np.str_("u"), "v"] * 20, dtype=object),
    ],
    ids=["intervals", "times", "dates", "decimals", "strings of numpy"],
)
def test_categories_of_any_kind_are_saved(column, tmp_path):
    X = pd.DataFrame({"a": column, "b": np.arange(40)})
    student = StudentClassifier(TabularMLP, objective=CrossEntropy(), max_epochs=1)
    student.fit(X, np.arange(40) % 2)
    assert student.inputs_.cardinalities_[0] > 2
    save(student, tmp_path / "model.lelp")
    again = load(tmp_path / "model.lelp")
    np.testing.assert_array_equal(again.predict_proba(X), student.predict_proba(X))
    assert both(X, X[:5])[1].categories[0] > 0


@pytest.mark.parametrize("make", FRAMES)
def test_partial_fit_goes_on_learning_scales(make):
    frame, _ = mixed()
    frame = frame[["age", "owner", "since"]].fillna({"age": 40.0})
    parts = TableInputs()
    parts.fit(make(frame[:5].to_dict("list")))
    first = parts.columns_
    online = copy.copy(parts).partial_fit(make(frame[5:].to_dict("list")))
    whole = TableInputs().fit(make(frame.to_dict("list")))
    rows = make(frame.to_dict("list"))
    torch.testing.assert_close(online.read(rows).numeric, whole.read(rows).numeric)
    assert parts.columns_ is first
    assert not torch.equal(parts.read(rows).numeric, whole.read(rows).numeric)


@pytest.mark.parametrize(
    ("frame", "params", "settled"),
    [
        ({"a": [1.0, 2.0], "b": ["x", "y"]}, {}, "the categories"),
        (
            {"a": [1.0, 2.0]},
            {"inputs": TableInputs(numeric="quantile")},
            "the quantiles of numbers",
        ),
        ({"a": [1.0, 2.0]}, {"module__n_bins": 2}, "the bins of numbers"),
        ({"a": [1.0, 2.0]}, {}, None),
    ],
)
def test_what_a_small_first_call_settles_is_a_warning(frame, params, settled):
    student = StudentClassifier(TabularMLP, objective=CrossEntropy(), **params)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        student.partial_fit(pd.DataFrame(frame), [0, 1])
    assert len(seen) == (settled is not None)
    if settled:
        assert f"has 2 rows, and settles for all further calls: {settled}" in str(seen[0].message)
        assert seen[0].filename == __file__
