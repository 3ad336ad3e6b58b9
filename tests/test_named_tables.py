"""A teacher's tables: columns are matched to classes by name, rows to X by index, or refused."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    CompositeTeacher,
    DistilledClassifier,
    FidelityDisplay,
    LELPProjector,
    StudentClassifier,
    TeacherEnsemble,
    as_teacher,
    fidelity_report,
    teacher_outputs,
)
from lelp_sklearn._compat import safe_indexing
from lelp_sklearn.metrics import expected_calibration_error, fidelity_scorer, top1_agreement
from lelp_sklearn.outputs import check_teacher_coef

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


def test_numbers_of_other_rows_are_no_default_index():
    rows = pd.DataFrame(X, index=RNG.permutation(200)[:90])
    frame = pd.DataFrame(PROBA).set_axis(range(1000, 1090))
    with pytest.raises(ValueError, match="the index of teacher_proba holds other labels"):
        predicted([0, 1, 2], frame, rows)


def test_an_index_of_several_levels():
    index = pd.MultiIndex.from_product([range(9), range(10)])
    levels, plain = pd.DataFrame(PROBA, index=index), pd.DataFrame(X)
    fitted = student().fit(plain.set_index(index), CODES, teacher_proba=levels)
    assert fitted.predict(X).shape == (90,)
    for values, rows in ((levels, plain), (levels.iloc[::-1], plain.set_index(index))):
        with pytest.raises(ValueError, match="the index of teacher_proba holds"):
            predicted([0, 1, 2], values, rows)


def test_contradictions_are_seen_in_folds():
    for rows in (pd.DataFrame(X), pd.DataFrame(X, index=[f"row {i}" for i in range(90)])):
        frame = pd.DataFrame(PROBA, index=rows.index).iloc[::-1]
        for estimator, prefix in (
            (student(), ""),
            (make_pipeline(StandardScaler(), student()), "s"),
        ):
            name = "studentclassifier__teacher_proba" if prefix else "teacher_proba"
            y = pd.Series(CODES, index=rows.index)  # which has an index after a scaler, too
            with pytest.raises(ValueError, match="the index of teacher_proba holds"):
                cross_validate(estimator, rows, y, params={name: frame}, error_score="raise")


def test_labels_of_part_of_a_frame_whose_X_was_made_afresh():
    part = RNG.permutation(200)[:90]
    rows, y = pd.DataFrame(X), pd.Series(CODES, index=part)
    cross_validate(student(), rows, y, params={"teacher_proba": PROBA}, error_score="raise")
    model = DistilledClassifier(GaussianNB(), student(), cv=2)
    model.fit(rows, y, pd.Series(1.0, index=part))


@pytest.mark.parametrize("name", ["y", "sample_weight", "groups"])
def test_a_distilled_classifier_looks_at_each_index(name):
    rows = pd.DataFrame(X)
    given = {"y": CODES, name: pd.Series(CODES).iloc[::-1]}
    model = DistilledClassifier(GaussianNB(), student(), cv=2)
    with pytest.raises(ValueError, match=f"the index of {name} holds the same labels"):
        model.fit(rows, **given)


def test_a_report_looks_at_the_index_of_y():
    teacher, rows = GaussianNB().fit(X, CODES), pd.DataFrame(X)
    for make in (fidelity_report, FidelityDisplay.from_estimators):
        with pytest.raises(ValueError, match="the index of y holds the same labels"):
            make(teacher, teacher, rows, pd.Series(CODES).iloc[::-1])


def test_rows_of_weights_named_by_the_classes():
    labels = np.array(["ham", "spam", "toast"])
    coef = LogisticRegression(max_iter=500).fit(X, CODES).coef_
    frame = pd.DataFrame(coef, index=labels).iloc[ORDER]
    np.testing.assert_array_equal(check_teacher_coef(frame, labels), coef)
    np.testing.assert_array_equal(check_teacher_coef(pd.DataFrame(coef), labels), coef)
    with pytest.raises(ValueError, match=r"teacher_coef has the rows .*eggs"):
        check_teacher_coef(frame.rename(index={"ham": "eggs"}), labels)


def test_a_teacher_that_answers_in_tables():
    class Tables(LogisticRegression):
        def predict_proba(self, X):
            said = super().predict_proba(X)
            return pd.DataFrame(said, columns=self.classes_).iloc[:, ORDER]

    y = np.array(["ham", "spam", "toast"])[CODES]
    plain, tables = LogisticRegression(max_iter=500).fit(X, y), Tables(max_iter=500).fit(X, y)
    for ask in (
        lambda teacher: teacher_outputs(teacher, X).proba,
        lambda teacher: as_teacher(teacher).predict_proba(X),
        lambda teacher: TeacherEnsemble([("a", teacher)], prefit=True).fit(X).predict_proba(X),
    ):
        np.testing.assert_array_equal(ask(tables), ask(plain))


def test_metrics_match_two_tables():
    frame = pd.DataFrame(PROBA, columns=["ham", "spam", "toast"])
    assert top1_agreement(frame, frame.iloc[:, ORDER]) == 1
    assert top1_agreement(pd.DataFrame(PROBA), frame) == 1
    assert top1_agreement(PROBA, frame) == 1
    for pair in ((PROBA, frame.iloc[:, ORDER]), (frame.iloc[:, ORDER], PROBA)):
        with pytest.raises(ValueError, match="has no names: give both"):
            top1_agreement(*pair)
    with pytest.raises(ValueError, match="student_proba has the columns"):
        top1_agreement(frame, frame.rename(columns={"ham": "eggs"}))
    with pytest.raises(ValueError, match="the index of student_proba"):
        top1_agreement(frame, frame.iloc[::-1])


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


def test_a_scorer_matches_names_in_folds_that_lack_a_class():
    labels = np.array(["ham", "spam", "toast"])
    y, frame = labels[CODES], pd.DataFrame(PROBA, columns=labels)
    order = np.argsort(CODES, kind="stable")  # whole classes are held out
    scores = []
    with config_context(enable_metadata_routing=True):
        for proba in (PROBA[order], frame.iloc[order, ORDER]):
            fitted = student().fit(X[order], y[order], teacher_proba=PROBA[order])
            score = fidelity_scorer("predictive_kl")
            parts = np.array_split(np.arange(90), 3)
            scores.append(
                [
                    score(
                        fitted,
                        X[order][rows],
                        y[order][rows],
                        teacher_proba=safe_indexing(proba, rows),
                    )
                    for rows in parts
                ]
            )
    assert scores[0] == scores[1]
