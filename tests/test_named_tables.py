"""A teacher's tables: columns are matched to classes by name, rows to X by index, or refused."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import CompositeTeacher, LELPProjector, StudentClassifier
from lelp_sklearn.metrics import expected_calibration_error

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
CODES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
PROBA = LogisticRegression(max_iter=500).fit(X, CODES).predict_proba(X)

LABELS = {
    "words": (["ham", "spam", "toast"], ["ham", "spam", "toast"]),
    "words and a prefix": (["ham", "spam", "toast"], ["p_ham", "p_spam", "p_toast"]),
    "numbers": ([1, 2, 5], [1, 2, 5]),
    "numbers as words": ([1, 2, 5], ["1", "2", "5"]),
    "floats": ([1, 2, 5], [1.0, 2.0, 5.0]),
    "numpy": ([1, 2, 5], [np.int64(1), np.int64(2), np.int64(5)]),
    "first labels of a range": ([0, 1, 2], [0, 1, 2]),
}
ORDER = [2, 0, 1]


def student(**params):
    return StudentClassifier(max_epochs=2, random_state=0, **params)


def predicted(labels, proba, X=X, **params):
    return student().fit(X, np.array(labels)[CODES], teacher_proba=proba, **params).predict_proba(X)


@pytest.mark.parametrize(("labels", "names"), LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_columns_are_matched_by_name(labels, names, kind):
    if kind == "polars":
        names = list(map(str, names))
    frame = pd.DataFrame(PROBA, columns=names).iloc[:, ORDER]
    if kind == "polars":
        frame = pl.DataFrame(frame.to_dict("list"))
    np.testing.assert_array_equal(predicted(labels, frame), predicted(labels, PROBA))


def test_bool_labels():
    y = CODES > 0
    proba = np.column_stack([PROBA[:, 0], 1 - PROBA[:, 0]])
    wanted = student().fit(X, y, teacher_proba=proba).predict_proba(X)
    for names in ([True, False], ["True", "False"], [1, 0], ["true", "false"]):
        frame = pd.DataFrame(proba[:, ::-1], columns=names)
        made = student().fit(X, y, teacher_proba=frame).predict_proba(X)
        np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize(
    "names", [["ham", "spam", "eggs"], ["ham", "spam", "p_toast"], ["a", "b", "c"], [7, 8, 9]]
)
def test_other_names_are_refused(names):
    frame = pd.DataFrame(PROBA, columns=names)
    with pytest.raises(ValueError, match=r"teacher_proba has the columns .*ham.* to_numpy\(\)"):
        predicted(["ham", "spam", "toast"], frame)


def test_names_that_say_nothing_are_taken_by_position():
    labels = ["ham", "spam", "toast"]
    wanted = predicted(labels, PROBA)
    for frame in (
        pd.DataFrame(PROBA),
        pd.DataFrame(PROBA, columns=["p0", "p1", "p2"]),
        pl.DataFrame(PROBA),
    ):
        np.testing.assert_array_equal(predicted(labels, frame), wanted)


def test_an_index_that_contradicts_that_of_X_is_refused():
    labels = [0, 1, 2]
    index = [f"row {i}" for i in range(90)]
    rows = pd.DataFrame(X, index=index)
    frame = pd.DataFrame(PROBA, index=index)
    wanted = predicted(labels, PROBA)
    np.testing.assert_array_equal(predicted(labels, frame, rows), wanted)
    np.testing.assert_array_equal(predicted(labels, pd.DataFrame(PROBA), rows), wanted)
    for name, values in (
        ("teacher_proba", frame.iloc[::-1]),
        ("teacher_proba", frame.rename(index=lambda row: f"{row}!")),
    ):
        with pytest.raises(ValueError, match=f"the index of {name} holds .*row 0 is 'row"):
            predicted(labels, values, rows)
    y = pd.Series(CODES, index=index)
    with pytest.raises(ValueError, match="the index of y holds the same labels in another order"):
        student().fit(rows, y.iloc[::-1], teacher_proba=PROBA)
    weight, embeddings = pd.Series(np.ones(90), index=index).iloc[::-1], rows.iloc[::-1]
    with pytest.raises(ValueError, match="the index of sample_weight holds the same labels"):
        student().fit(rows, y, weight, teacher_proba=PROBA)
    with pytest.raises(ValueError, match="the index of teacher_embeddings holds the same labels"):
        student().fit(rows, y, teacher_proba=PROBA, teacher_embeddings=embeddings)


def test_a_shuffled_X_with_answers_made_afresh():
    order = RNG.permutation(90)
    rows = pd.DataFrame(X).iloc[order]
    frame = pd.DataFrame(PROBA[order], columns=[2, 1, 0]).iloc[:, ::-1]
    frame.columns = [0, 1, 2]
    fitted = student().fit(rows, CODES[order], teacher_proba=frame)
    assert fitted.predict_proba(rows).shape == (90, 3)


def test_searches_and_pipelines_slice_tables():
    labels = np.array(["ham", "spam", "toast"])[CODES]
    frame = pd.DataFrame(PROBA, columns=["ham", "spam", "toast"])
    pipe = make_pipeline(StandardScaler(), student())

    def score(proba, rows):
        search = GridSearchCV(pipe, {"studentclassifier__lr": [0.05]}, cv=3, error_score="raise")
        return search.fit(rows, labels, studentclassifier__teacher_proba=proba).best_score_

    order = RNG.permutation(90)
    shuffled = pd.DataFrame(X, index=order)
    assert score(frame.iloc[:, ORDER], X) == score(PROBA, X)
    assert score(frame.iloc[:, ORDER], shuffled) == score(PROBA, X)


def test_rows_of_nan_in_a_named_table():
    labels = ["ham", "spam", "toast"]
    proba = PROBA.copy()
    proba[::3] = np.nan
    frame = pd.DataFrame(proba, columns=labels).iloc[:, ORDER]
    wanted = predicted(labels, proba)
    np.testing.assert_array_equal(predicted(labels, frame), wanted)
    np.testing.assert_array_equal(predicted(labels, pl.DataFrame(frame.to_dict("list"))), wanted)


def test_other_boundaries_match_names_too():
    labels = np.array(["ham", "spam", "toast"])
    frame = pd.DataFrame(PROBA, columns=labels).iloc[:, ORDER]
    y = labels[CODES]
    teacher = CompositeTeacher(frame, X).fit(X, y)
    np.testing.assert_allclose(teacher.predict_proba(X), PROBA)
    teacher = CompositeTeacher(lambda rows: frame.iloc[: len(rows)], X, classes=labels).fit(X, y)
    np.testing.assert_allclose(teacher.predict_proba(X), PROBA)
    with pytest.raises(ValueError, match="proba has the columns"):
        CompositeTeacher(frame.rename(columns={"ham": "eggs"}), X).fit(X, y)
    made = LELPProjector(n_subclasses=2, null_space=True, random_state=0)
    by_name = made.fit(X, y, teacher_proba=frame).components_.copy()
    np.testing.assert_allclose(by_name, made.fit(X, y, teacher_proba=PROBA).components_)
    assert expected_calibration_error(y, frame) == expected_calibration_error(y, PROBA)


def test_partial_fit_matches_names():
    labels = np.array(["ham", "spam", "toast"])
    frame = pd.DataFrame(PROBA, columns=labels).iloc[:, ORDER]
    one = student().partial_fit(X, labels[CODES], labels, teacher_proba=frame)
    other = student().partial_fit(X, labels[CODES], labels, teacher_proba=PROBA)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
