"""A grid may look for fidelity."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import KD, MLP, StudentClassifier, metrics
from lelp_sklearn.metrics import fidelity_scorer
from tests.data import digits

ROWS = digits(200)
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
THREE = np.arange(200) % 3


@pytest.fixture(autouse=True)
def _routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(scope="module")
def student():
    model = StudentClassifier(MLP, objective=KD(), max_epochs=2, device="cpu", random_state=0)
    return model.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


@pytest.mark.parametrize("metric", ["top1_agreement", "predictive_kl", "jensen_shannon"])
def test_scores_are_those_of_the_metric_and_larger_is_better(student, metric):
    score = fidelity_scorer(metric)(student, ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    value = getattr(metrics, metric)(ROWS.proba, student.predict_proba(ROWS.X))
    assert score == pytest.approx(value if metric == "top1_agreement" else -value, abs=1e-6)


@pytest.mark.parametrize("metric", ["expected_calibration_error", "brier_score", "log_loss"])
@pytest.mark.parametrize("y", [ROWS.y, THREE, np.array(["a", "b", "c"])[THREE]])
def test_scores_against_labels(metric, y):
    model = LogisticRegression(max_iter=500).fit(ROWS.X, y)
    value = getattr(metrics, metric)(y, model.predict_proba(ROWS.X))
    assert fidelity_scorer(metric)(model, ROWS.X, y) == pytest.approx(-value)


def test_parameters_reach_the_metric(student):
    kl = fidelity_scorer("predictive_kl", reverse=True)
    score = kl(student, ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    proba = student.predict_proba(ROWS.X)
    assert score == pytest.approx(-metrics.predictive_kl(proba, ROWS.proba), abs=1e-6)
    few = fidelity_scorer("log_loss", classes=[0, 1])
    assert np.isfinite(few(student, ROWS.X[:1], ROWS.y[:1]))


def test_cka_asks_the_student_to_transform(student):
    score = fidelity_scorer("cka")(student, ROWS.X, ROWS.y, teacher_embeddings=ROWS.embeddings)
    assert score == pytest.approx(metrics.cka(ROWS.embeddings, student.transform(ROWS.X)))


def test_weights(student):
    scorer = fidelity_scorer("predictive_kl").set_score_request(
        teacher_proba=True, sample_weight=True
    )
    rows = np.arange(200) < 50
    weighed = scorer(
        student, ROWS.X, ROWS.y, teacher_proba=ROWS.proba, sample_weight=rows.astype(float)
    )
    alone = scorer(student, ROWS.X[rows], ROWS.y[rows], teacher_proba=ROWS.proba[rows])
    assert weighed == pytest.approx(alone, rel=1e-6)


def test_a_grid_looks_for_fidelity_and_slices_the_teacher():
    wrong = 1 - ROWS.proba  # the labels and the teacher pull apart
    student = StudentClassifier(objective=KD(), lr=0.1, max_epochs=10, device="cpu", random_state=0)
    scoring = {"accuracy": "accuracy", **{m: fidelity_scorer(m) for m in ("predictive_kl", "cka")}}
    pipe = make_pipeline(StandardScaler(), student)
    grid = {"studentclassifier__objective__alpha": [0.0, 1.0]}
    found = {}
    for refit in ("predictive_kl", "accuracy"):
        search = GridSearchCV(pipe, grid, scoring=scoring, refit=refit, cv=2, n_jobs=1)
        # KD asks for no embeddings; those are the scorer's alone.
        search.estimator[-1].set_fit_request(teacher_proba=True, teacher_embeddings=False)
        search.fit(ROWS.X, ROWS.y, **{**TEACHER, "teacher_proba": wrong})
        (found[refit],) = search.best_params_.values()
    assert found == {"predictive_kl": 0.0, "accuracy": 1.0}


def test_cross_validation_hands_on_the_teacher():
    student = StudentClassifier(objective=KD(), max_epochs=6, lr=0.05, device="cpu", random_state=0)
    params = {"teacher_proba": ROWS.proba}
    scorer = fidelity_scorer("top1_agreement")
    found = cross_validate(student, ROWS.X, ROWS.y, cv=2, scoring=scorer, params=params)
    assert (found["test_score"] > 0.6).all()


def test_what_is_missing_is_said(student):
    with pytest.raises(ValueError, match="metric='kl' is not among"):
        fidelity_scorer("kl")
    with pytest.raises(TypeError, match="got no teacher_proba: enable metadata routing"):
        fidelity_scorer("predictive_kl")(student, ROWS.X, ROWS.y)
    with pytest.raises(TypeError, match="cka got no teacher_embeddings"):
        fidelity_scorer("cka")(student, ROWS.X, ROWS.y)


def test_made_without_routing_pickled_and_shown():
    with config_context(enable_metadata_routing=False):
        scorer = fidelity_scorer("predictive_kl")
    copy = pickle.loads(pickle.dumps(scorer))
    assert "predictive_kl" in repr(copy)
    assert copy.get_metadata_routing().score.requests == {"teacher_proba": True}
