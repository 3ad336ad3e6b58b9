"""SklearnTeacher: each kind's embedding, its last layer, and fitting or not."""

import pickle

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from lelp_sklearn import (
    DistilledClassifier,
    LELPProjector,
    LELPStudentClassifier,
    StudentClassifier,
    as_teacher,
    teacher_outputs,
)
from lelp_sklearn.teachers import SklearnTeacher

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
TWO = SPECIES > 0


def mlp(**params):
    return MLPClassifier([8, 5], solver="lbfgs", max_iter=2000, random_state=0, **params)


def logits_of(proba):
    return np.log(proba) - np.log(proba).mean(axis=1, keepdims=True)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_mlp_head_gives_back_the_probabilities(activation):
    net = mlp(activation=activation, alpha=1.0).fit(IRIS, NAMES)
    teacher = SklearnTeacher(net)
    H = teacher.transform(IRIS)
    assert H.shape == (150, 5)
    logits = H @ teacher.teacher_coef_.T + net.intercepts_[-1]
    np.testing.assert_allclose(softmax(logits, axis=1), teacher.predict_proba(IRIS), atol=1e-12)
    np.testing.assert_array_equal(teacher.predict_proba(IRIS), net.predict_proba(IRIS))


@pytest.mark.parametrize("rows", [slice(None), TWO], ids=["three classes", "two"])
@pytest.mark.parametrize("scaled", [True, False])
def test_linear_model_head_gives_the_log_odds(rows, scaled):
    X, y = IRIS[rows], NAMES[rows]
    linear = LogisticRegression(max_iter=1000)
    model = make_pipeline(StandardScaler(), linear) if scaled else linear
    teacher = SklearnTeacher(model).fit(X, y)
    fitted = teacher.estimator_[-1] if scaled else teacher.estimator_
    logits = teacher.transform(X) @ teacher.teacher_coef_.T + fitted.intercept_
    proba = teacher.predict_proba(X)
    if len(teacher.classes_) == 2:
        np.testing.assert_allclose(logits[:, 0], np.log(proba[:, 1] / proba[:, 0]), atol=1e-8)
    else:
        np.testing.assert_allclose(
            logits - logits.mean(axis=1, keepdims=True), logits_of(proba), atol=1e-8
        )


def test_pipeline_that_ends_in_a_network_gives_its_hidden_layer():
    model = make_pipeline(StandardScaler(), mlp()).fit(IRIS, NAMES)
    teacher = SklearnTeacher(model)
    expected = SklearnTeacher(model[-1]).transform(model[:-1].transform(IRIS))
    np.testing.assert_array_equal(teacher.transform(IRIS), expected)


@pytest.mark.parametrize(
    ("model", "width", "has_coef"),
    [
        (GaussianNB(), 4, False),
        (SVC(kernel="linear"), 4, False),
        (LinearDiscriminantAnalysis(), 2, False),
        (SGDClassifier(loss="log_loss", random_state=0), 4, True),
        (GridSearchCV(mlp(), {"alpha": [0.1]}, cv=2), 5, True),
        (FrozenEstimator(mlp().fit(IRIS, NAMES)), 5, True),
        (CalibratedClassifierCV(LinearSVC(random_state=0), cv=2), 4, False),
        (CalibratedClassifierCV(mlp(), cv=2), 10, False),
        (CalibratedClassifierCV(mlp(), cv=2, ensemble=False), 5, False),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else str(value),
)
def test_kinds(model, width, has_coef):
    teacher = SklearnTeacher(model).fit(IRIS, NAMES)
    H = teacher.transform(IRIS)
    assert H.shape == (150, width)
    assert np.isfinite(H).all()
    np.testing.assert_allclose(teacher.transform(IRIS[7:9]), H[7:9], atol=1e-12)
    assert hasattr(teacher, "teacher_coef_") == has_coef


def test_sparse_embeddings_are_reduced():
    adjectives = ["fine", "dull", "long", "new", "old"]
    texts = [f"{a} {b} film" for a in adjectives for b in ["war", "love"]]
    y = [text.startswith(("fine", "new")) for text in texts]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    small = SklearnTeacher(model, n_components=3, random_state=0).fit(texts, y)
    assert small.transform(texts).shape == (10, 3)
    assert not hasattr(small, "teacher_coef_")
    wide = SklearnTeacher(model).fit(texts, y)
    assert wide.transform(texts).shape == (10, 8)
    assert wide.teacher_coef_.shape == (1, 8)


def test_answers_at_once_around_a_fitted_estimator_and_fits_a_clone():
    model = LogisticRegression(max_iter=1000).fit(IRIS, NAMES)
    before = model.coef_.copy()
    teacher = SklearnTeacher(model)
    np.testing.assert_array_equal(teacher.predict_proba(IRIS), model.predict_proba(IRIS))
    np.testing.assert_array_equal(teacher.predict(IRIS), model.predict(IRIS))
    teacher.fit(IRIS[TWO], NAMES[TWO])
    assert teacher.classes_.tolist() == ["versicolor", "virginica"]
    np.testing.assert_array_equal(model.coef_, before)
    with pytest.raises(NotFittedError, match="nor is its estimator LogisticRegression"):
        clone(teacher).predict_proba(IRIS)


def test_frozen_estimator_stays_in_clones_and_folds():
    model = mlp().fit(IRIS, NAMES)
    teacher = clone(SklearnTeacher(FrozenEstimator(model))).fit(IRIS[:2], NAMES[:2])
    assert teacher.estimator_.estimator is model


def test_sample_weight_reaches_the_last_step():
    weight = np.where(SPECIES == 0, 10.0, 1.0)
    linear = LogisticRegression(max_iter=1000)
    alone = linear.fit(IRIS, NAMES, sample_weight=weight).coef_.copy()
    nested = SklearnTeacher(make_pipeline(make_pipeline(clone(linear))))
    np.testing.assert_allclose(nested.fit(IRIS, NAMES, sample_weight=weight).teacher_coef_, alone)


def test_pickled_teacher_is_the_same():
    teacher = SklearnTeacher(mlp()).fit(IRIS, NAMES)
    again = pickle.loads(pickle.dumps(teacher))
    np.testing.assert_array_equal(again.transform(IRIS), teacher.transform(IRIS))


def test_out_of_fold_and_distilled():
    teacher = SklearnTeacher(make_pipeline(StandardScaler(), LogisticRegression()))
    proba = cross_val_predict(teacher, IRIS, NAMES, method="predict_proba", cv=3)
    assert proba.shape == (150, 3)
    student = StudentClassifier(max_epochs=2, random_state=0)
    distilled = DistilledClassifier(teacher, student, cv=2).fit(IRIS, NAMES)
    assert teacher_outputs(distilled.teacher_, IRIS).embeddings.shape == (150, 4)


def test_wrong_columns_are_refused():
    teacher = SklearnTeacher(mlp()).fit(IRIS, NAMES)
    with pytest.raises(ValueError, match="3 features"):
        teacher.transform(IRIS[:, :3])


class StandInTabPFN(ClassifierMixin, BaseEstimator):
    """TabPFNClassifier's methods, by its signatures: embeddings of two estimators."""

    def fit(self, X, y):
        self.model_ = LogisticRegression(max_iter=500).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def get_embeddings(self, X, data_source="train"):
        assert data_source == "test"
        return np.stack([X[:, :3] + 1, X[:, :3] - 2])


def test_tabpfn_is_embedded_by_the_mean_over_its_estimators():
    teacher = as_teacher(StandInTabPFN().fit(IRIS, NAMES))
    np.testing.assert_allclose(teacher.transform(IRIS), IRIS[:, :3] - 0.5, atol=1e-6)
    projector = LELPProjector(n_subclasses=2, null_space=False)
    lelp = LELPStudentClassifier(projector=projector, max_epochs=2, random_state=0)
    distilled = DistilledClassifier(StandInTabPFN(), lelp, cv=2).fit(IRIS, NAMES)
    assert distilled.student_.projector_.n_features_in_ == 3
