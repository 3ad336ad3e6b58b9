"""Each step before a student answers in ONNX for rows of any kind, or is refused by name."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from lelp_sklearn import BagOfNgrams, CrossEntropy, OnnxStudent, StudentClassifier, to_onnx

pytest.importorskip("skl2onnx", reason="the extra onnx is not installed")

N = 60


def table():
    rng = np.random.default_rng(0)
    jobs = np.array(["cook", "smith", "baker"])[np.arange(N) % 3]
    jobs[:2] = "rare"
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, N),
            "visits": rng.integers(0, 9, N),
            "member": rng.random(N) > 0.5,
            "job": jobs,
            "code": np.array([3, 5, 8])[np.arange(N) % 3],
        }
    )


def gaps():
    return table().assign(age=table()["age"].where(np.arange(N) % 7 > 0))


def fitted(*steps, rows=None, names=("age",)):
    """A pipeline of these steps on some columns, and a student."""
    rows = table() if rows is None else rows
    columns = make_column_transformer((make_pipeline(*steps), list(names)), sparse_threshold=0)
    return end(columns, rows), rows


def end(step, rows, module=None):
    student = StudentClassifier(
        module, objective=CrossEntropy(), lr=0.1, max_epochs=5, random_state=0
    )
    return make_pipeline(step, student).fit(rows, np.arange(N) % 3 > 0)


def answers(model, sample, *others):
    """Whether the exported model answers these rows as the model does."""
    found = OnnxStudent(to_onnx(model, sample))
    for rows in (sample, *others):
        np.testing.assert_allclose(
            found.predict_proba(rows), model.predict_proba(rows), atol=1e-5
        )
    return found


CATEGORIES = ["job", "code", "member"]


@pytest.mark.parametrize(
    "steps",
    [
        [OneHotEncoder(handle_unknown="ignore")],
        [OneHotEncoder(handle_unknown="ignore", drop="first")],
        [OneHotEncoder(drop="if_binary", sparse_output=False)],
        [OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)],
    ],
    ids=repr,
)
def test_categories_of_several_types(steps):
    model, rows = fitted(*steps, names=CATEGORIES)
    unseen = rows.assign(job="unseen", code=99)
    takes = "unknown" in repr(steps)
    answers(model, rows, rows[:1], *([unseen] if takes else []))


@pytest.mark.parametrize(
    "steps",
    [
        [SimpleImputer(), RobustScaler(), PCA(1)],
        [SimpleImputer(strategy="constant", fill_value=-1), MinMaxScaler(clip=True)],
        [QuantileTransformer(n_quantiles=9), SimpleImputer()],
        [SimpleImputer(), PolynomialFeatures(2), Normalizer("max")],
    ],
    ids=repr,
)
def test_numbers_of_several_types_some_missing(steps):
    names = ["age", "visits", "member"]
    model, rows = fitted(*steps, rows=gaps(), names=names)
    answers(model, rows, rows.assign(age=np.nan), rows.assign(age=1e3, visits=0), rows[3:4])


def test_integers_are_imputed_as_the_floats_that_they_become():
    model, rows = fitted(SimpleImputer(), StandardScaler(), names=["visits", "code"])
    found = answers(model, rows, rows.assign(visits=rows["visits"].where(rows["code"] > 3)))
    with pytest.raises(ValueError, match=r"visits holds 0\.5, and the model takes int64"):
        found.predict(rows.assign(visits=0.5))


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_rows_of_zeros_have_no_length(norm):
    rows = table()[["age", "visits"]].to_numpy()
    answers(end(Normalizer(norm), rows), rows, 0 * rows)


# What is refused, and whether the remedy in the message helps.
REFUSED = [
    ([OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=1)], ["job"], "IGNORE"),
    ([OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=1)], ["code"], "IGNORE"),
    ([OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2)], ["job"], "IGNORE"),
    ([SimpleImputer(add_indicator=True)], ["age"], [SimpleImputer()]),
    ([KNNImputer(weights="distance")], ["age"], [SimpleImputer()]),
    ([PowerTransformer(), SimpleImputer()], ["age"], [StandardScaler(), SimpleImputer()]),
    (
        [QuantileTransformer(n_quantiles=9, output_distribution="normal"), SimpleImputer()],
        ["age"],
        [QuantileTransformer(n_quantiles=9, output_distribution="uniform"), SimpleImputer()],
    ),
    (
        [SimpleImputer(), SplineTransformer()],
        ["age"],
        [SimpleImputer(), PolynomialFeatures(degree=2)],
    ),
    ([SimpleImputer(strategy="most_frequent"), OneHotEncoder()], ["job"], [OneHotEncoder()]),
    ([FunctionTransformer(np.square), SimpleImputer()], ["age"], [SimpleImputer()]),
]


@pytest.mark.parametrize(("steps", "names", "instead"), REFUSED, ids=repr)
def test_a_step_that_onnx_cannot_follow_is_named_with_a_remedy_that_helps(
    steps, names, instead, tmp_path
):
    model, rows = fitted(*steps, rows=gaps(), names=names)
    named = type(steps[0] if len(steps) == 1 or "Imputer" not in repr(steps[0]) else steps[0])
    with pytest.raises((TypeError, ValueError)) as error:
        to_onnx(model, rows, tmp_path / "model.onnx")
    message = str(error.value)
    culprit = next(
        name
        for name in (type(s).__name__ for s in steps)
        if f"__{name.lower()}, a {name}," in message
    )
    assert f"columntransformer__pipeline__{culprit.lower()}" in message
    assert named or culprit
    assert "before the Pipeline" in message
    assert "raise an issue" not in message.partition("(")[0]
    assert type(error.value) in (TypeError, ValueError)
    assert not list(tmp_path.iterdir())
    if instead == "IGNORE":
        assert "handle_unknown='ignore'" in message
        instead = [OneHotEncoder(handle_unknown="ignore")]
    answers(*fitted(*instead, rows=rows, names=names))
