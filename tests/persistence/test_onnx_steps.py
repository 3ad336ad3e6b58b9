"""Each step before a student answers in ONNX for rows of any kind, or is refused by name."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from lelp_sklearn import (
    BagOfNgrams,
    CrossEntropy,
    DistilledClassifier,
    OnnxStudent,
    StudentClassifier,
    to_onnx,
)

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
    rows = (table() if rows is None else rows)[list(names)]  # a column less to convert, many times
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
        np.testing.assert_allclose(found.predict_proba(rows), model.predict_proba(rows), atol=1e-5)
    return found


def end_in(model, rows):
    return make_pipeline(StandardScaler(), model).fit(rows, np.arange(N) % 3 > 0)


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
    takes = "unknown" in repr(steps) and "drop" not in repr(steps)  # sklearn warns of both
    answers(model, rows, rows[:1], *([unseen] if takes else []))


@pytest.mark.parametrize(
    "steps",
    [
        [SimpleImputer(), RobustScaler(), PCA(1)],
        [SimpleImputer(strategy="constant", fill_value=-1), MinMaxScaler(clip=True)],
        [SimpleImputer(), PolynomialFeatures(2), Normalizer("max"), VarianceThreshold()],
    ],
    ids=repr,
)
def test_numbers_of_several_types_some_missing(steps):
    names = ["age", "visits", "member"]
    model, rows = fitted(*steps, rows=gaps(), names=names)
    answers(model, rows, rows.assign(age=np.nan), rows.assign(age=1e3, visits=0), rows[3:4])


def test_the_first_column_alone_is_selected():
    rows = table()[["age"]].assign(constant=1.0)
    answers(end(VarianceThreshold(), rows), rows)


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
    with pytest.raises((TypeError, ValueError)) as error:
        to_onnx(model, rows, tmp_path / "model.onnx")
    message = str(error.value)
    culprit = next(
        name
        for name in (type(s).__name__ for s in steps)
        if f"__{name.lower()}, a {name}," in message
    )
    assert f"columntransformer__pipeline__{culprit.lower()}" in message
    assert "before the Pipeline" in message
    assert type(error.value) in (TypeError, ValueError)
    assert not list(tmp_path.iterdir())
    if instead == "IGNORE":
        assert "handle_unknown='ignore'" in message
        instead = [OneHotEncoder(handle_unknown="ignore")]
    answers(*fitted(*instead, rows=rows, names=names))


def test_words_that_a_later_step_weighs_otherwise():
    texts = ["a film", "a dull film", "joy joy"] * (N // 3)
    words = r"[a-z]+"
    steps = [CountVectorizer(token_pattern=words), TfidfTransformer(sublinear_tf=True, norm="l1")]
    with pytest.raises(TypeError, match="tfidftransformer, a TfidfTransformer, that gives other"):
        to_onnx(end(make_pipeline(*steps), texts, BagOfNgrams), texts)
    together = TfidfVectorizer(token_pattern=words, sublinear_tf=True, norm="l1")
    answers(end(together, texts, BagOfNgrams), texts, ["", "unseen"])


def test_steps_that_do_nothing_and_frozen_ones():
    rows = table()
    frozen = FrozenEstimator(StandardScaler().fit(rows[["age"]]))
    columns = make_column_transformer((frozen, ["age"]), ("passthrough", ["member"]))
    answers(end(make_pipeline("passthrough", columns), rows), rows)
    answers(end("passthrough", rows[["age"]]), rows[["age"]])


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda student: VotingClassifier([("a", student)]), "has no predict_proba"),
        (
            lambda student: VotingClassifier([("a", student)], voting="soft"),
            "voting='soft' and flatten_transform=False, or a student",
        ),
        (lambda student: SelfTrainingClassifier(student), "or export the student in it by itself"),
    ],
    ids=["hard", "soft", "self-training"],
)
def test_a_model_no_step_of_which_is_to_blame(wrap, message):
    rows = table()[["age", "visits"]].to_numpy()
    student = StudentClassifier(objective=CrossEntropy(), max_epochs=1, random_state=0)
    model = wrap(student).fit(rows, np.where(np.arange(N) > 50, -1, np.arange(N) % 2))
    with pytest.raises(TypeError, match=message):
        to_onnx(model, rows)
    inner = student.fit(rows, np.arange(N, dtype=np.uint64) % 2 + np.uint64(2**63))
    with pytest.raises(TypeError, match="is beyond int64"):
        to_onnx(inner, rows)


def test_a_distilled_classifier_in_a_pipeline():
    rows = table()[["age", "visits"]].to_numpy()
    student = StudentClassifier(max_epochs=1, random_state=0)
    answers(end_in(DistilledClassifier(LogisticRegression(), student, cv=2), rows), rows)


@pytest.mark.parametrize(
    "convert",
    [
        lambda rows: rows.astype({"job": "category", "code": "category"}),
        lambda rows: rows.convert_dtypes(),
        lambda rows: rows.convert_dtypes(dtype_backend="pyarrow"),
        pl.from_pandas,
        lambda rows: rows.astype({"visits": object, "member": object}),
    ],
    ids=["category", "nullable", "arrow", "polars", "objects"],
)
def test_columns_of_any_dtype_are_read(convert):
    rows = convert(gaps())
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["age", "visits", "member"]),
        (OneHotEncoder(handle_unknown="ignore"), ["job", "code"]),
        sparse_threshold=0,
    )
    found = answers(end(columns, rows), rows)
    np.testing.assert_array_equal(found.predict_proba(gaps()), found.predict_proba(rows))


def test_columns_whose_names_are_numbers():
    rows = pd.DataFrame(table()[["age", "visits"]].to_numpy())
    found = answers(end(StandardScaler(), rows), rows)
    np.testing.assert_array_equal(found.predict(rows[[1, 0]]), found.predict(rows))
    twice = pd.concat([rows, rows], axis=1)
    with pytest.raises(ValueError, match=r"several columns of the names \['0', '1'\]"):
        found.predict(twice)


def test_rows_that_a_served_student_does_not_take():
    model, rows = fitted(OneHotEncoder(), names=["job"])
    found = OnnxStudent(to_onnx(model, rows))
    assert found.predict_proba(rows[:0]).shape == (0, 2)
    assert found.predict(rows[:0]).dtype == bool
    # The estimator refuses it too, and what onnxruntime says is not left alone.
    with pytest.raises(ValueError, match="no answer for these rows, which must be as the sample"):
        found.predict(rows.assign(job="unseen"))
    texts = OnnxStudent(
        to_onnx(end(OneHotEncoder(sparse_output=False), rows[["job"]]), rows[["job"]])
    )
    with pytest.raises(TypeError, match="exported with a data frame"):
        texts.predict([["cook", "smith"]])


def test_what_are_no_rows_is_refused_in_our_words():
    X = table()[["age", "visits"]].to_numpy()
    found = answers(end(StandardScaler(), X), X, X.astype(object))
    huge, several = [[10**400, 1]], [[[1, 2]]]
    for rows in (None, 3, "abc", object(), [["a", "b"]], huge, [[1j, 2]], [[1]], several, {}):
        with pytest.raises(ValueError, match=r"^X (has shape|does not hold real numbers)"):
            found.predict(rows)
