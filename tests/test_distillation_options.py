"""What DistilledClassifier adds: folds, unlabelled rows, caches, searches, a report."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    KD,
    MLP,
    DistilledClassifier,
    EmbeddingMatching,
    LELPProjector,
    LELPStudentClassifier,
    StudentClassifier,
    TeacherCache,
    TeacherOutputs,
    teacher_outputs,
)
from lelp_sklearn._rows import stack_rows
from lelp_sklearn.report import n_parameters
from lelp_sklearn.teachers._out_of_fold import out_of_fold_proba
from tests.data import digits

ROWS = digits(300)


def lelp(**params):
    return LELPStudentClassifier(**{"max_epochs": 3, "device": "cpu", "random_state": 0, **params})


def kd(**params):
    return StudentClassifier(**{"max_epochs": 3, "device": "cpu", "random_state": 0, **params})


def pipeline_teacher():
    return make_pipeline(StandardScaler(), LogisticRegression())


def test_out_of_fold_targets_do_not_depend_on_the_rows_own_label():
    rng = np.random.default_rng(0)
    order = np.arange(len(ROWS.y))
    folds = [(np.setdiff1d(order, test), test) for test in np.array_split(order, 4)]

    def targets(y):
        classes = np.array([0, 1])
        teacher = KNeighborsClassifier(3)
        return out_of_fold_proba(teacher, ROWS.X, y, classes, folds, None, teacher_outputs)[0]

    for rows in (folds[0][1], folds[3][1]):
        y = ROWS.y.copy()
        y[rows] = rng.permutation(y[rows])
        np.testing.assert_array_equal(targets(y)[rows], targets(ROWS.y)[rows])
        assert not np.array_equal(targets(y), targets(ROWS.y))


def test_repeated_folds_are_averaged_and_rows_left_out_are_none():
    def targets(cv):
        teacher = KNeighborsClassifier(3)
        return out_of_fold_proba(
            teacher, ROWS.X, ROWS.y, np.array([0, 1]), cv, None, teacher_outputs
        )[0]

    twice = targets(RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0))
    np.testing.assert_allclose(twice.sum(axis=1), 1)
    with pytest.warns(UserWarning, match="rows lie in no test fold"):
        once = targets(ShuffleSplit(2, test_size=0.1, random_state=0))
    assert 0.8 < np.isnan(once).mean() < 1


@pytest.mark.parametrize("make", [np.asarray, pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("cv", ["prefit", 2])
def test_unlabelled_rows_learn_from_the_teacher(make, cv):
    few = slice(0, 60)
    teacher = MLPClassifier([16], solver="lbfgs", max_iter=300, random_state=0)
    if cv == "prefit":
        teacher.fit(make(ROWS.X), ROWS.y)
    X, pool = make(ROWS.X[few]), make(ROWS.X[60:])
    distilled = DistilledClassifier(teacher, kd(max_epochs=30), cv=cv)
    distilled.fit(X, ROWS.y[few], X_unlabeled=pool, sample_weight=np.ones(60))
    assert distilled.student_.net_.history[-1]["train_batch_count"] == 3  # of 300 rows
    if cv == "prefit":
        alone = clone(distilled).fit(X, ROWS.y[few])
        assert distilled.score(pool, ROWS.y[60:]) > alone.score(pool, ROWS.y[60:])


def test_rows_in_any_container_are_stacked():
    a, b = ROWS.X[:3], ROWS.X[3:5]
    np.testing.assert_array_equal(stack_rows(a, b), ROWS.X[:5])
    np.testing.assert_array_equal(
        stack_rows(sparse.csr_array(a), sparse.csc_array(b)).toarray(), ROWS.X[:5]
    )
    assert stack_rows(["x"], ["y", "z"]) == ["x", "y", "z"]
    frame, other = pd.DataFrame({"u": [1], "v": [2]}), pd.DataFrame({"v": [4], "u": [3]})
    assert stack_rows(frame, other).to_numpy().tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"differ in the columns \['w'\]"):
        stack_rows(frame, frame.assign(w=1))
    with pytest.raises(TypeError, match="X is a DataFrame and X_unlabeled a ndarray"):
        stack_rows(frame, b)


def test_without_refitting_only_the_folds_teachers_speak():
    distilled = DistilledClassifier(pipeline_teacher(), kd(), cv=3, refit_teacher=False)
    distilled.fit(ROWS.X[:200], ROWS.y[:200], X_unlabeled=ROWS.X[200:])
    assert not hasattr(distilled, "teacher_")
    with pytest.raises(AttributeError, match="refit_teacher=False leaves none"):
        distilled.report(ROWS.X, ROWS.y)
    with pytest.raises(ValueError, match="LELP needs teacher_embeddings"):
        DistilledClassifier(pipeline_teacher(), lelp(), cv=3, refit_teacher=False).fit(
            ROWS.X, ROWS.y
        )


class Counting(ClassifierMixin, BaseEstimator):
    """A prefit teacher that writes down every row it is asked about."""

    def __init__(self, log):
        self.log = log

    @property
    def classes_(self):
        return np.array([0, 1])

    def __sklearn_is_fitted__(self):
        return True

    def outputs(self, X):
        with open(self.log, "a") as log:
            log.writelines(f"{row.tobytes().hex()}\n" for row in X)
        odd = 1 / (1 + np.exp(-X[:, :1]))
        return TeacherOutputs(np.hstack([1 - odd, odd]), X[:, :5])

    def predict_proba(self, X):
        return self.outputs(X).proba

    def transform(self, X):
        return self.outputs(X).embeddings

    def fit(self, X, y):
        raise AssertionError("a prefit teacher is not to be fitted")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_asks_about_each_row_once_and_a_second_search_about_none(tmp_path, n_jobs):
    log = tmp_path / "asked"
    X = np.concatenate([ROWS.X[:100], ROWS.X[:20]])  # twenty rows stand twice
    y = np.concatenate([ROWS.y[:100], ROWS.y[:20]])
    student = lelp(max_epochs=1).set_params(projector__null_space=False)

    def search():
        return GridSearchCV(
            DistilledClassifier(Counting(str(log)), student, cache=tmp_path / "cache"),
            {
                "student__subclass_weight": [0.0, 1.0],
                "student__projector__n_subclasses": [1, 3],
            },
            cv=3,
            n_jobs=n_jobs,
            error_score="raise",
        ).fit(X, y)

    search()
    asked = log.read_text().split()
    assert len(asked) == len(set(asked)) == 100
    search()
    assert log.read_text().split() == asked


def test_clones_share_a_cache_in_memory(tmp_path):
    log = tmp_path / "asked"
    distilled = DistilledClassifier(Counting(str(log)), kd(max_epochs=1), cache=TeacherCache())
    for _ in range(3):
        clone(distilled).fit(ROWS.X, ROWS.y)
    assert len(log.read_text().split()) == 300


def test_a_search_may_be_the_student():
    teacher = pipeline_teacher().fit(ROWS.X, ROWS.y)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), lelp()),
        {"lelpstudentclassifier__subclass_weight": [0.1, 1.0]},
        cv=2,
    )
    distilled = DistilledClassifier(teacher, search).fit(ROWS.X, ROWS.y)
    assert len(distilled.student_.cv_results_["params"]) == 2
    with pytest.raises(ValueError, match="would score unlabelled rows"):
        clone(distilled).fit(ROWS.X[:100], ROWS.y[:100], X_unlabeled=ROWS.X[100:])


def test_a_teacher_that_comes_trained_has_nothing_out_of_fold():
    teacher = FrozenEstimator(pipeline_teacher().fit(ROWS.X, ROWS.y))
    with pytest.warns(UserWarning, match="comes trained and every fold asks the same one"):
        DistilledClassifier(teacher, kd(), cv=2).fit(ROWS.X, ROWS.y)


def test_report_measures_both():
    teacher = make_pipeline(StandardScaler(), MLPClassifier([16], max_iter=500, random_state=0))
    labels = np.array(["even", "odd"])[ROWS.y]
    student = lelp(max_epochs=20, projector=LELPProjector(n_subclasses=6))
    distilled = DistilledClassifier(teacher.fit(ROWS.X, labels), student)
    report = distilled.fit(ROWS.X, labels).report(ROWS.X, labels)
    rows = report.rows
    assert rows["student"]["accuracy"] == distilled.score(ROWS.X, labels)
    assert rows["teacher"]["accuracy"] == teacher.score(ROWS.X, labels)
    agreement = np.mean(distilled.predict(ROWS.X) == teacher.predict(ROWS.X))
    assert rows["student"]["agreement"] == agreement
    assert rows["teacher"]["agreement"] == 1.0
    assert rows["teacher"]["log_loss"] == log_loss(labels, teacher.predict_proba(ROWS.X))
    weights = sum(w.numel() for w in distilled.student_.net_.module_.parameters())
    assert rows["student"]["parameters"] == weights == 64 * 12 + 12
    assert rows["teacher"]["parameters"] >= 64 * 16 + 16 + 16 + 1
    assert rows["student"]["bytes"] == len(pickle.dumps(distilled.student_))
    assert rows["student"]["rows_per_second"] > 0
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines] == ["accuracy", "teacher", "student"]
    assert report.to_frame().loc["student", "accuracy"] == rows["student"]["accuracy"]
    assert "<th>agreement</th>" in report._repr_html_()


def test_what_is_left_behind_is_not_counted():
    teacher = pipeline_teacher().fit(ROWS.X, ROWS.y)
    student = StudentClassifier(MLP, objective=KD() + EmbeddingMatching(), max_epochs=1)
    report = DistilledClassifier(teacher, student).fit(ROWS.X, ROWS.y).report(ROWS.X, ROWS.y)
    assert report.rows["student"]["parameters"] == 64 * 64 + 64 + 64 * 2 + 2


def test_parameters_of_a_distilled_classifier():
    teacher = LogisticRegression().fit(ROWS.X, ROWS.y)
    distilled = DistilledClassifier(teacher, kd(max_epochs=1)).fit(ROWS.X, ROWS.y)
    both = n_parameters(distilled.teacher_) + n_parameters(distilled.student_)
    assert n_parameters(distilled) == both
