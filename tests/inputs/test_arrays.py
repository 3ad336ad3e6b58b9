"""Dense numbers: standardised in float64, whatever holds them, and in every export."""

import copy
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn import (
    MLP,
    CrossEntropy,
    OnnxStudent,
    StudentClassifier,
    SubclassTeacher,
    load,
    save,
    to_onnx,
)
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.inputs._moments import CHUNK, Moments

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).round(3)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
ANSWERS = [
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "predict_subclass_proba",
    "transform",
]


def student(module=MLP, **params):
    defaults = {"objective": CrossEntropy(), "max_epochs": 3, "random_state": 0, "device": "cpu"}
    if module is MLP:
        defaults["module__hidden"] = 8
    return StudentClassifier(module, **{**defaults, **params})


@pytest.fixture(scope="module")
def fitted():
    return student().fit(X, Y)


# What is learnt.


@given(st.integers(0, 2**31), st.lists(st.integers(1, 29), max_size=4))
def test_moments_of_parts_are_those_of_the_whole(seed, cuts):
    rng = np.random.default_rng(seed)
    units, offsets = [1, 1e-200, 1e200, 3.0, 1e-3], [1e8, 0, 0, -5, 1e6]
    X = rng.normal(size=(30, 5)) * units + offsets
    parts = [rows for rows in np.split(X, sorted(set(cuts))) if len(rows)]
    found = Moments.of(parts[0])
    for rows in parts[1:]:
        found = found.then(Moments.of(rows))
    Z = X / units  # of which numpy can take squares
    np.testing.assert_allclose(found.mean / units, Z.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.std / units, Z.std(axis=0), rtol=1e-6)
    assert found.n == 30


def test_more_rows_than_a_chunk_are_read_alike():
    many = np.tile(X.astype(np.float32), (CHUNK // X.size + 2, 1))
    inputs = ArrayInputs().fit(many)
    np.testing.assert_allclose(inputs.mean_, many[:60].mean(axis=0, dtype=float), atol=1e-9)
    rows = inputs.read(many)
    np.testing.assert_array_equal(rows[:60], inputs.read(many[:60]))
    np.testing.assert_array_equal(rows[-60:], rows[:60])
    np.testing.assert_array_equal(inputs.read(np.asfortranarray(many)), rows)


@pytest.mark.parametrize("value", [0, 0.1, 1e8 + 0.3, -1e300, True])
def test_constant_columns_are_only_shifted(value):
    inputs = ArrayInputs().fit(np.full((7, 2), value))
    assert inputs.scale_.tolist() == [1, 1]
    assert (inputs.read(np.full((7, 2), value)) == 0).all()
    noise = np.array([[0.1 + 0.2], [0.3]])  # in the last bit
    assert ArrayInputs().fit(noise).scale_ == 1


@pytest.mark.parametrize(
    "rows",
    [
        X.astype(np.float32),
        X.astype(">f8"),
        X + 1e8,
        X * 1e300,
        X * 1e-300,
        (X * 1000).astype(int) + 10**12,
        X.astype(str),
        [[Decimal(str(v)) for v in row] for row in X],
        pd.DataFrame(X).astype(str),
        pd.DataFrame(X).astype("Float64"),
        pd.DataFrame((X * 1000).round() + 10**10).astype("Int64"),
        pd.DataFrame(
            {i: pd.array(list(map(Decimal, c.astype(str))), pd.ArrowDtype(pa.decimal128(9, 3)))
             for i, c in enumerate(X.T)}
        ),
        pl.DataFrame(X).cast(pl.String),
        pl.DataFrame(X).cast(pl.Decimal(9, 3)),
    ],
    ids=lambda rows: type(rows).__name__,
)  # fmt: skip
def test_neither_unit_nor_offset_nor_container_changes_an_answer(fitted, rows):
    found = student().fit(rows, Y).predict_proba(rows)
    np.testing.assert_allclose(found, fitted.predict_proba(X), atol=5e-3)


def test_rows_that_are_not_trained_on_do_not_count():
    weight, labeled = np.arange(60) % 3 > 0, np.arange(60) % 5 > 0
    inputs = student().fit(X, Y, weight, labeled=labeled).inputs_
    np.testing.assert_allclose(inputs.mean_, X[weight & labeled].mean(axis=0))
    both = student(objective=None).fit(X, Y, weight, labeled=labeled, teacher_proba=np.eye(2)[Y])
    np.testing.assert_allclose(both.inputs_.mean_, X[weight].mean(axis=0))


def test_numbers_as_they_are():
    raw = ArrayInputs(standardize=False)
    np.testing.assert_array_equal(student(None, inputs=raw).fit(X, Y).transform(X), np.float32(X))
    with pytest.warns(UserWarning, match=r"standardize=False.*columns \[1\].*subtract") as seen:
        student(inputs=raw).fit(X + np.array([0, 1e9, 0]), Y)
    assert seen[0].filename == __file__
    with pytest.raises(ValueError, match="too large for dtype"):
        student(inputs=raw).fit(X * 1e100, Y)
    with pytest.raises(ValueError, match="'standardize' parameter"):
        student(inputs=ArrayInputs(standardize=2)).fit(X, Y)


def test_numbers_whose_differences_overflow_are_refused():
    with pytest.raises(ValueError, match="column 1 of X holds NaN, infinity or"):
        student().fit(np.c_[X[:, 0], np.sign(X[:, 1]) * 1.7e308], Y)


# Over several calls.


def test_partial_fit_goes_on_learning_and_warm_start_does_not():
    online = student()
    for rows in (slice(0, 5), slice(5, 20), slice(20, 60)):
        online.partial_fit(X[rows], Y[rows], classes=[0, 1])
    np.testing.assert_allclose(online.inputs_.mean_, X.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(online.inputs_.scale_, X.std(axis=0), rtol=1e-9)
    assert online.inputs_.n_samples_seen_ == 60
    warm = student(warm_start=True).fit(X, Y)
    before = warm.inputs_.mean_
    assert warm.fit(X + 1, Y).inputs_.mean_ is before
    with pytest.raises(ValueError, match="teacher_proba"):
        online.partial_fit(X + 5, Y, teacher_proba=np.ones((60, 3)))
    assert online.inputs_.n_samples_seen_ == 60


def test_a_failed_partial_fit_leaves_the_scales(monkeypatch, fitted):
    one = copy.deepcopy(fitted)
    expected = one.predict_proba(X)
    monkeypatch.setattr("lelp_sklearn.students._base.train", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one.partial_fit(X + 100, Y)
    np.testing.assert_array_equal(one.predict_proba(X), expected)


# In files.


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scales_are_in_every_export(tmp_path, dtype):
    far = X * 100 + 1e8  # 8 numbers of float32 a scale
    one = student().fit(far, Y)
    expected = one.predict_proba(far)
    save(one, tmp_path / "one.lelp")
    for other in (load(tmp_path / "one.lelp"), pickle.loads(pickle.dumps(one))):
        np.testing.assert_array_equal(other.predict_proba(far), expected)
    served = OnnxStudent(to_onnx(one, far.astype(dtype)).SerializeToString())
    assert served.session_.get_inputs()[0].type == "tensor(double)"
    np.testing.assert_allclose(served.predict_proba(far), expected, atol=1e-5)


def test_a_model_of_numbers_that_float32_holds_is_fed_those(fitted):
    served = OnnxStudent(to_onnx(fitted, X.astype(np.float32)).SerializeToString())
    assert served.session_.get_inputs()[0].type == "tensor(float)"
    np.testing.assert_allclose(served.predict_proba(X), fitted.predict_proba(X), atol=1e-5)


# Rows out of reach.


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("value", [3e38, -1e300])
def test_rows_out_of_reach_are_refused_by_number(fitted, answer, value):
    far = X[:6].copy()
    far[4, 1] = value
    with pytest.raises(ValueError, match="row 4 of X holds numbers so far"):
        getattr(fitted, answer)(far)


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_a_network_makes_infinite_is_refused_by_number(answer):
    one = student(None).fit(X, Y)
    one.net_.module_.body.forward = lambda rows: rows * 1e38
    with pytest.raises(ValueError, match=r"row 4 of X, and of 1 other, is NaN or infinite"):
        getattr(one, answer)(np.r_[X[:4] / 100, X[:2] * 1000])


def test_in_onnx_too(fitted):
    served = OnnxStudent(to_onnx(fitted, X.astype(np.float32)).SerializeToString())
    far = X[:6].copy()
    for value in (3e38, 1e25, np.nan):
        far[4, 1] = value
        for answer in (served.predict, served.predict_proba):
            with pytest.raises(ValueError, match="row 4"):
                answer(far)


# Containers of embeddings.


@pytest.mark.parametrize("cls", [StudentClassifier, SubclassTeacher])
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_set_output_reaches_transform(cls, frame):
    container = frame.__module__.partition(".")[0]
    params = {"objective": CrossEntropy()} if cls is StudentClassifier else {}
    one = cls(MLP, module__hidden=4, max_epochs=1, random_state=0, **params)
    first = one.set_output(transform=container).fit_transform(X, Y)
    again = one.transform(X)
    assert type(first) is type(again) is frame
    assert list(again.columns) == list(one.get_feature_names_out())
    np.testing.assert_array_equal(again, one.set_output(transform="default").transform(X))
