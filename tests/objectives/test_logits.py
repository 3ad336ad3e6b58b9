"""Objectives on class logits: KD's options, DKD and DIST."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from lelp_sklearn import DIST, DKD, KD, CrossEntropy, StudentClassifier
from tests.data import digits

ROWS = digits()


def three():
    """The same rows in three classes, with a teacher that doubts."""
    y = load_digits(return_X_y=True)[1][:400] % 3
    logits = 2 * np.eye(3)[y] + np.random.default_rng(0).standard_normal((400, 3))
    proba = np.exp(logits)
    return y, proba / proba.sum(axis=1, keepdims=True)


Y, PROBA = three()
LOGITS = np.log(PROBA)


def fit(objective, y=Y, proba=PROBA, **fit_params):
    settings = {"max_epochs": 8, "random_state": 0, "device": "cpu", "lr": 0.05}
    student = StudentClassifier(objective=objective, **settings)
    return student.fit(ROWS.X, y, teacher_proba=proba, **fit_params)


def fit_two(objective, **fit_params):
    return fit(objective, ROWS.y, ROWS.proba, **fit_params)


def said(student):
    return student.predict_log_proba(ROWS.X)


def differ(a, b):
    return np.abs(said(fit(a)) - said(fit(b))).max() > 1e-3


@pytest.mark.parametrize(
    "objective",
    [
        CrossEntropy() + DKD(),
        CrossEntropy() + 2 * DIST(),
        KD(alpha=0.5, standardize=True, temperature=2.0),
        KD(alpha=0.5, standardize=True, kind="mse"),
    ],
)
def test_trains(objective):
    student = fit(objective)
    losses = [row["train_loss"] for row in student.history_]
    assert losses[-1] < losses[0]
    assert student.score(ROWS.X, Y) > 0.7
    copy = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(said(copy), said(student))


@pytest.mark.parametrize("objective", [KD(standardize=True), DKD(), DIST()])
def test_parameters(objective):
    for name, value in objective.get_params().items():
        if isinstance(value, float):
            assert differ(objective, clone(objective).set_params(**{name: 0.5 + value}))
    student = StudentClassifier(objective=objective).set_params(objective__temperature=2.5)
    assert student.objective.temperature == 2.5
    with pytest.raises(ValueError, match="temperature"):
        fit(clone(objective).set_params(temperature=0.0))


def test_standardised_kd_forgets_the_size_of_the_teachers_logits():
    flat = np.exp(0.1 * LOGITS)
    flat /= flat.sum(axis=1, keepdims=True)
    standard = KD(standardize=True, temperature=2.0)
    np.testing.assert_allclose(said(fit(standard)), said(fit(standard, proba=flat)), atol=1e-3)
    assert np.abs(said(fit(KD())) - said(fit(KD(), proba=flat))).max() > 0.1
    for kind in ("kl", "mse"):
        assert differ(KD(kind=kind), KD(kind=kind, standardize=True))


def test_exact_zeros_are_standardised():
    sure = np.eye(3)[PROBA.argmax(axis=1)]
    assert fit(KD(standardize=True), proba=sure).score(ROWS.X, Y) > 0.75


@pytest.mark.parametrize(
    ("objective", "what_is_left", "match"),
    [
        (DKD(alpha=2.0), 2 * KD(alpha=0.0, temperature=4.0), r"is 2.0 \* KD\(alpha=0"),
        (DIST(), DIST(beta=0.0), "drops its term along rows"),
        (KD(standardize=True, temperature=2.0), KD(temperature=2.0), "left out"),
    ],
)
def test_two_classes_are_told_what_is_left(objective, what_is_left, match):
    with pytest.warns(UserWarning, match=match) as seen:
        student = fit_two(objective)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    np.testing.assert_array_equal(said(student), said(fit_two(what_is_left)))


def test_two_classes_are_not_told_what_they_know():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_two(DKD(beta=0.0))
        fit_two(DIST(beta=0.0))


@pytest.mark.parametrize("objective", [DKD(alpha=0.0), DIST(gamma=0.0)])
def test_two_classes_that_leave_nothing_are_an_error(objective):
    with pytest.raises(ValueError, match="with two classes has no"):
        fit_two(objective)
    fit(objective)


def test_dist_with_two_classes_still_ranks():
    student = fit_two(DIST(beta=0.0) + CrossEntropy())
    assert student.score(ROWS.X, ROWS.y) > 0.8
    assert "train_dist_inter" not in student.history_[0]


def test_dist_terms_are_in_the_history():
    row = fit(DIST(beta=0.5, gamma=2.0)).history_[-1]
    expected = 0.5 * row["train_inter"] + 2 * row["train_intra"]
    assert row["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_dkd_of_an_unlabelled_row_is_about_the_teachers_class():
    labeled = np.arange(400) < 200
    own = np.where(labeled, Y, PROBA.argmax(axis=1))
    half = fit(DKD(), labeled=labeled)
    np.testing.assert_allclose(said(half), said(fit(DKD(), y=own)), atol=1e-5)


@pytest.mark.parametrize("objective", [DKD(), DIST(), KD(standardize=True)])
def test_row_weights_count(objective):
    weight = np.where(np.arange(400) < 200, 1.0, 1e-6)
    light = fit(objective, sample_weight=weight)
    assert np.abs(said(light) - said(fit(objective))).max() > 1e-2


@pytest.mark.parametrize("objective", [DKD(), DIST()])
def test_probabilities_are_needed(objective):
    student = StudentClassifier(objective=objective)
    with pytest.raises(ValueError, match="needs teacher_proba"):
        student.fit(ROWS.X, Y, teacher_embeddings=ROWS.embeddings)


def test_partial_fit_goes_on():
    student = StudentClassifier(objective=DKD() + DIST(), random_state=0, lr=0.05)
    for rows in (slice(200), slice(200, 400), slice(399, 400)):
        student.partial_fit(ROWS.X[rows], Y[rows], classes=range(3), teacher_proba=PROBA[rows])
    assert len(student.history_) == 3
