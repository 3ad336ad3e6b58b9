"""Whatever can be fitted is saved and loaded, or refused by name with a remedy that helps."""

import datetime
import io
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from lelp_sklearn import (
    BagOfNgrams,
    CrossEntropy,
    LELPStudentClassifier,
    StudentClassifier,
    TabularMLP,
    load,
    save,
)
from lelp_sklearn.persistence import ModelFileError
from lelp_sklearn.persistence._decoder import Decoder
from lelp_sklearn.persistence._encoder import Encoder

N = 40
X = np.random.default_rng(0).normal(size=(N, 3))
Y = np.where(X[:, 0] > 0, "yes", "no")


def student(module=None, **params):
    return StudentClassifier(
        module, objective=CrossEntropy(), max_epochs=2, random_state=0, **params
    )


def again(model, **params):
    file = io.BytesIO()
    save(model, file)
    file.seek(0)
    return load(file, **params)


def check(model, rows, **params):
    """What comes back answers the same."""
    other = again(model, **params)
    assert type(other) is type(model)
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    expected, found = getattr(model, method)(rows), getattr(other, method)(rows)
    assert len(expected) == len(found)
    for one, same in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, same)


AGE = pd.Series(X[:, 1] * 10 + 40)
COLUMNS = {
    "cut": pd.cut(AGE, 4),
    "qcut, as objects": pd.qcut(AGE, 3).astype(object),
    "cut of times": pd.cut(pd.Series(pd.date_range("2020", periods=N, tz="Europe/Paris")), 3),
    "decimals": pd.Series([Decimal(i % 5) / 2 for i in range(N)]).astype("category"),
    "dates": pd.Series([datetime.date(2020, 1, 1 + i % 9) for i in range(N)]),
    "times with a zone": pd.Series(
        pd.date_range("2020", periods=N, tz="Europe/Paris").astype("category")
    ),
    "periods": pd.Series(pd.period_range("2020", periods=N, freq="Q").astype("category")),
    "spans": pd.Series(pd.to_timedelta(np.arange(N) % 4, "D")).astype("category"),
    "bytes": pd.Series([b"x", b"\x00"] * (N // 2)),
    "strings of numpy": pd.Series([np.str_("u"), np.str_("v")] * (N // 2), dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_categories_of_any_kind(name):
    rows = pd.DataFrame({"age": AGE, "column": COLUMNS[name]})
    check(student(TabularMLP).fit(rows, Y), rows)


def test_decimals_of_polars():
    rows = pl.DataFrame({"age": AGE.to_numpy(), "price": [Decimal(i % 7) for i in range(N)]})
    check(student(TabularMLP).fit(rows, Y), rows)


@pytest.mark.parametrize(
    "value",
    [
        pd.Interval(pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2021", tz="UTC"), "both"),
        pd.Timestamp("2020-01-01 00:00:00.123456789"),
        pd.Timestamp("2020-06-01T00:00:00+05:30").as_unit("s"),
        pd.Timedelta("-3 days +1ns"),
        pd.Period("2020Q3", "Q-MAR"),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(-datetime.timedelta(hours=3))),
        datetime.timedelta(-1, 3, 5),
        Decimal("-1.50E+3"),
    ],
    ids=repr,
)
def test_a_value_comes_back_equal(value):
    array = np.empty(1, dtype=object)
    array[0] = value
    tree = json.loads(json.dumps(Encoder().encode(array, "array")))
    (found,) = Decoder({}, {}, {}, []).decode(tree)
    assert type(found) is type(value)
    assert found == value
    assert hash(found) == hash(value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Decimal", ["1E+999999999"]),
        ("Timestamp", ["2020", "dateutil//etc/passwd", "ns"]),
        ("Interval", [{"kind": "tuple", "items": []}, 1, "left"]),
        ("date", ["2020-01-01; drop"]),
        ("Series", [1]),
    ],
    ids=str,
)
def test_forged_values_are_refused(name, parts):
    with pytest.raises(ModelFileError, match=r"kind|decimal|time zone"):
        Decoder({}, {}, {}, []).decode({"kind": "value", "name": name, "parts": parts})


@pytest.mark.parametrize(
    "step",
    [
        KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"),
        SelectKBest(k=2),
        SplineTransformer(n_knots=3),
        FunctionTransformer(np.cbrt),
        FrozenEstimator(StandardScaler().fit(X)),
    ],
    ids=lambda step: type(step).__name__,
)
def test_steps(step):
    check(make_pipeline(step, student()).fit(X, Y), X)


@pytest.mark.parametrize(
    "model",
    [
        VotingClassifier([("a", student()), ("b", make_pipeline(StandardScaler(), student()))]),
        VotingClassifier([("a", student()), ("b", "drop")], voting="soft"),
        StackingClassifier([("a", student())], cv=2),
        CalibratedClassifierCV(student(), cv=2),
        CalibratedClassifierCV(student(), cv=2, method="isotonic"),
        BaggingClassifier(student(), n_estimators=2),
        AdaBoostClassifier(student(), n_estimators=2),
        FrozenEstimator(student().fit(X, Y)),
        CalibratedClassifierCV(FrozenEstimator(student().fit(X, Y)), cv=2),
    ],
    ids=lambda model: f"{type(model).__name__}, {type(vars(model).get('estimator')).__name__}",
)
def test_what_holds_students(model):
    check(model.fit(X, Y), X)


@pytest.mark.parametrize("cls", [MultiOutputClassifier, ClassifierChain])
def test_several_outputs(cls):
    check(cls(student()).fit(X, (X[:, :2] > 0).astype(int)), X)


def test_self_training():
    check(SelfTrainingClassifier(student()).fit(X, np.where(X[:, 1] > 1, -1, X[:, 0] > 0)), X)


# What is refused, each with its remedy.


def test_a_step_of_skrub():
    skrub = pytest.importorskip("skrub")
    rows = pd.DataFrame({"age": AGE, "job": ["cook", "smith"] * (N // 2)})
    model = make_pipeline(skrub.TableVectorizer(), student()).fit(rows, Y)
    with pytest.raises(TypeError, match=r"Pipeline\.steps\[0\]\[1\], a TableVectorizer of skrub"):
        save(model, io.BytesIO())
    with pytest.raises(TypeError, match=r"TableInputs reads frames .* as they are, for Student"):
        save(model, io.BytesIO())
    check(student(module=TabularMLP).fit(rows, Y), rows)


class Halved(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X / 2


def test_a_function():
    model = make_pipeline(FunctionTransformer(lambda X: X / 2), student()).fit(X, Y)
    with pytest.raises(TypeError, match=r"Pipeline\.steps\[0\]\[1\]\.func is .*allow=\[YourStep"):
        save(model, io.BytesIO())
    check(make_pipeline(Halved(), student()).fit(X, Y), X, allow=[Halved])


class Split(CountVectorizer):
    def build_analyzer(self):
        return str.split


def test_an_analyzer():
    texts = ["a film", "the joy"] * (N // 2)
    model = make_pipeline(CountVectorizer(analyzer=str.split), student(BagOfNgrams))
    with pytest.raises(TypeError, match=r"steps\[0\]\[1\]\.analyzer is .*class of your own"):
        save(model.fit(texts, Y), io.BytesIO())
    check(make_pipeline(Split(), student(BagOfNgrams)).fit(texts, Y), texts, allow=[Split])


def test_a_schedule():
    model = LELPStudentClassifier(
        subclass_weight=lambda progress: 1 - progress, max_epochs=2, random_state=0
    )
    proba = np.where((Y == "yes")[:, None], [0.2, 0.8], [0.7, 0.3])
    model.fit(X, Y, teacher_proba=proba, teacher_embeddings=X)
    with pytest.raises(TypeError, match="Predictions do not need it: put numbers in its place"):
        save(model, io.BytesIO())
    model.set_params(subclass_weight=1.0).objective_.set_params(subclass_weight=1.0)
    check(model, X)


def test_a_search_within_others():
    search = GridSearchCV(student(), {"lr": [0.01]}, cv=2)
    model = make_pipeline(StandardScaler(), search).fit(X, Y)
    with pytest.raises(TypeError, match="save the Pipeline with that in its place, by set_params"):
        save(model, io.BytesIO())
    check(model.set_params(gridsearchcv=search.best_estimator_), X)


def test_what_holds_a_student_and_is_not_known():
    model = FixedThresholdClassifier(student(), threshold=0.3, pos_label="yes").fit(X, Y)
    with pytest.raises(TypeError, match=r"holds estimators of lelp_sklearn.*as its estimator_"):
        save(model, io.BytesIO())
    check(model.estimator_, X)


def test_categories_of_no_such_kind():
    rows = pd.DataFrame({"column": pd.Series([1j, 2j] * (N // 2), dtype=object), "age": AGE})
    strings = rows.assign(column=rows["column"].astype(str))
    check(student(TabularMLP).fit(strings, Y), strings)
    encoder = Encoder()
    with pytest.raises(TypeError, match=r"categories_\[0\] is 1j, .* by astype\(str\), before fit"):
        encoder.encode(np.array([1j], dtype=object), "inputs_.categories_")


def test_steps_that_scikit_learn_itself_holds_are_saved_beside_students():
    stacked = StackingClassifier([("a", LogisticRegression())], final_estimator=student(), cv=2)
    check(make_pipeline(StandardScaler(), stacked).fit(X, Y), X)
