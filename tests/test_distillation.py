"""DistilledClassifier and teacher_outputs: a teacher asked, a student trained."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from lelp_sklearn import (
    KD,
    CrossEntropy,
    DistilledClassifier,
    LELPProjector,
    LELPStudentClassifier,
    StudentClassifier,
    teacher_outputs,
)
from tests.data import digits

ROWS = digits(300)


def lelp(**params):
    return LELPStudentClassifier(**{"max_epochs": 3, "device": "cpu", "random_state": 0, **params})


def kd(**params):
    return StudentClassifier(**{"max_epochs": 3, "device": "cpu", "random_state": 0, **params})


def pipeline_teacher():
    return make_pipeline(StandardScaler(), LogisticRegression())


def test_it_is_the_student_on_the_teachers_outputs():
    teacher = pipeline_teacher().fit(ROWS.X, ROWS.y)
    distilled = DistilledClassifier(teacher, lelp()).fit(ROWS.X, ROWS.y)
    by_hand = lelp().fit(
        ROWS.X,
        ROWS.y,
        teacher_proba=teacher.predict_proba(ROWS.X),
        teacher_embeddings=teacher[:-1].transform(ROWS.X),
        teacher_coef=teacher[-1].coef_,
    )
    np.testing.assert_array_equal(distilled.predict_proba(ROWS.X), by_hand.predict_proba(ROWS.X))
    np.testing.assert_array_equal(distilled.predict(ROWS.X), by_hand.predict(ROWS.X))
    np.testing.assert_array_equal(
        distilled.decision_function(ROWS.X), by_hand.decision_function(ROWS.X)
    )


@pytest.mark.parametrize("cv", ["prefit", 3])
def test_the_teachers_own_weights_give_the_null_space(cv):
    teacher = kd(objective=CrossEntropy(), max_epochs=10)
    teacher = teacher.fit(ROWS.X, ROWS.y) if cv == "prefit" else teacher
    student = lelp().set_params(projector=LELPProjector())
    distilled = DistilledClassifier(teacher, student, cv=cv).fit(ROWS.X, ROWS.y)
    coef = distilled.teacher_.teacher_coef_
    difference = coef[1] - coef[0]
    assert coef.shape == (2, 64)
    seen = distilled.student_.projector_.components_ @ difference
    assert np.abs(seen).max() < 1e-6 * np.linalg.norm(difference)
    wide = kd(objective=CrossEntropy(n_subclasses=2)).fit(ROWS.X, ROWS.y)
    assert not hasattr(wide, "teacher_coef_")


def test_predicting_needs_no_teacher():
    distilled = DistilledClassifier(pipeline_teacher().fit(ROWS.X, ROWS.y), lelp())
    distilled.fit(ROWS.X, ROWS.y)
    expected = distilled.predict_proba(ROWS.X)
    distilled.teacher_ = distilled.teacher = None
    np.testing.assert_array_equal(distilled.predict_proba(ROWS.X), expected)


def test_a_fitted_student_teaches():
    teacher = kd(objective=CrossEntropy(), max_epochs=10).fit(ROWS.X, ROWS.y)
    outputs = teacher_outputs(teacher, ROWS.X)
    np.testing.assert_array_equal(outputs.embeddings, teacher.transform(ROWS.X))
    assert DistilledClassifier(teacher, lelp()).fit(ROWS.X, ROWS.y).score(ROWS.X, ROWS.y) > 0.7


def test_classes_are_matched_by_label():
    class Reversed(KNeighborsClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X)[:, ::-1]

    plain = KNeighborsClassifier().fit(ROWS.X, ROWS.y)
    reversed_ = Reversed().fit(ROWS.X, ROWS.y)
    reversed_.classes_ = plain.classes_[::-1]
    np.testing.assert_array_equal(
        teacher_outputs(reversed_, ROWS.X, classes=[0, 1]).proba,
        teacher_outputs(plain, ROWS.X).proba,
    )
    with pytest.raises(ValueError, match=r"teacher knows the classes \[0, 1\].*\[0, 2\]"):
        teacher_outputs(plain, ROWS.X, classes=[0, 2])


def test_a_teacher_without_embeddings_teaches_kd_and_not_lelp():
    class Oracle:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            return ROWS.proba

    assert teacher_outputs(Oracle(), ROWS.X).given == ["proba"]
    DistilledClassifier(Oracle(), kd(objective=KD())).fit(ROWS.X, ROWS.y)
    with pytest.raises(ValueError, match="LELP needs teacher_embeddings; got teacher_proba"):
        DistilledClassifier(Oracle(), lelp()).fit(ROWS.X, ROWS.y)


@pytest.mark.parametrize(
    "teacher",
    [
        RandomForestClassifier(20, random_state=0),
        HistGradientBoostingClassifier(max_iter=10, random_state=0),
        MLPClassifier([16], solver="lbfgs", max_iter=300, random_state=0),
        KNeighborsClassifier(),
        pipeline_teacher(),
    ],
)
@pytest.mark.parametrize("cv", ["prefit", 2])
def test_any_classifier_teaches_lelp(teacher, cv):
    teacher = clone(teacher).fit(ROWS.X, ROWS.y) if cv == "prefit" else teacher
    distilled = DistilledClassifier(teacher, lelp(max_epochs=20), cv=cv).fit(ROWS.X, ROWS.y)
    assert distilled.score(ROWS.X, ROWS.y) > 0.75


def test_out_of_fold_probabilities_are_less_sure_of_themselves():
    # A nearest neighbour repeats each training row's own label; out of fold it cannot.
    rng = np.random.default_rng(0)
    y = np.where(rng.uniform(size=300) < 0.3, 1 - ROWS.y, ROWS.y)
    teacher = KNeighborsClassifier(1)
    seen = DistilledClassifier(clone(teacher).fit(ROWS.X, y), kd(max_epochs=60))
    unseen = DistilledClassifier(teacher, kd(max_epochs=60), cv=5)
    seen.fit(ROWS.X, y)
    unseen.fit(ROWS.X, y)
    copied = seen.score(ROWS.X, y)
    assert copied > unseen.score(ROWS.X, y)
    np.testing.assert_array_equal(unseen.teacher_.predict(ROWS.X), y)


def test_clones_share_a_fitted_teacher_and_not_an_unfitted_one():
    teacher = pipeline_teacher().fit(ROWS.X, ROWS.y)
    assert clone(DistilledClassifier(teacher, lelp())).teacher is teacher
    copy = clone(DistilledClassifier(teacher, lelp(), cv=3))
    assert copy.teacher is not teacher
    assert copy.student is not None


def test_grid_search_over_the_student_of_a_fitted_teacher():
    teacher = LinearDiscriminantAnalysis(n_components=1).fit(ROWS.X, ROWS.y)
    student = lelp().set_params(projector__n_subclasses=1, projector__null_space=False)
    grid = GridSearchCV(
        DistilledClassifier(teacher, student),
        {"student__subclass_weight": [0.1, 1.0], "student__lr": [0.01, 0.1]},
        cv=2,
        error_score="raise",
    ).fit(ROWS.X, ROWS.y)
    assert grid.best_estimator_.teacher_ is teacher


def test_a_pipeline_may_be_the_student_with_and_without_routing():
    import sklearn

    teacher = pipeline_teacher().fit(ROWS.X, ROWS.y)
    distilled = DistilledClassifier(teacher, make_pipeline(StandardScaler(), lelp()))
    plain = clone(distilled).fit(ROWS.X, ROWS.y).predict_proba(ROWS.X)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(distilled).fit(ROWS.X, ROWS.y).predict_proba(ROWS.X)
    np.testing.assert_array_equal(routed, plain)


def test_sample_weight_reaches_teacher_and_student():
    weight = np.where(ROWS.y == 1, 50.0, 0.02)
    distilled = DistilledClassifier(pipeline_teacher(), kd(), cv=3)
    plain = clone(distilled).fit(ROWS.X, ROWS.y).predict_proba(ROWS.X)[:, 1].mean()
    pulled = clone(distilled).fit(ROWS.X, ROWS.y, sample_weight=weight)
    assert pulled.predict_proba(ROWS.X)[:, 1].mean() > plain


@pytest.mark.parametrize(
    ("teacher", "student", "error", "message"),
    [
        (LogisticRegression(), None, NotFittedError, "not fitted and cv='prefit'"),
        (LinearSVC().fit(ROWS.X, ROWS.y), None, TypeError, "LinearSVC has no predict_proba"),
        (
            LogisticRegression().fit(ROWS.X, ROWS.y),
            LogisticRegression(),
            TypeError,
            "LogisticRegression does not learn from a teacher",
        ),
        (
            LogisticRegression().fit(ROWS.X, ROWS.y + 1),
            None,
            ValueError,
            r"teacher knows the classes \[1, 2\], the student is to learn \[0, 1\]",
        ),
    ],
)
def test_wrong_parts_are_named(teacher, student, error, message):
    with pytest.raises(error, match=message):
        DistilledClassifier(teacher, student).fit(ROWS.X, ROWS.y)


def test_sparse_embeddings_are_refused_and_as_teacher_reduces_them():
    texts = ["a fine film", "a dull film", "what a joy", "what a bore"] * 30
    y = np.array([1, 0, 1, 0] * 30)
    encoder = TfidfVectorizer(ngram_range=(1, 3))

    class Sparse(LogisticRegression):
        def transform(self, X):
            return sparse.csr_array(X)

    X = encoder.fit_transform(texts)
    with pytest.raises(TypeError, match="wrap the teacher by as_teacher"):
        teacher_outputs(Sparse().fit(X, y), X)
    teacher = make_pipeline(clone(encoder), LogisticRegression()).fit(texts, y)
    svd = TruncatedSVD(4, random_state=0)
    student = make_pipeline(clone(encoder), svd, lelp(max_epochs=40, lr=0.1))
    student.set_params(lelpstudentclassifier__projector__n_subclasses=2)
    assert DistilledClassifier(teacher, student).fit(texts, y).score(texts, y) > 0.9


def test_teacher_outputs_needs_probabilities():
    with pytest.raises(TypeError, match="LinearSVC has no predict_proba"):
        teacher_outputs(LinearSVC().fit(ROWS.X, ROWS.y), ROWS.X)
