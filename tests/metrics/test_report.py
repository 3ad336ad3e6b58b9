"""fidelity_report: the figures, the controls and the intervals."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from lelp_sklearn import KD, MLP, DistilledClassifier, StudentClassifier, as_teacher, metrics
from lelp_sklearn.fidelity import fidelity_report
from tests.data import digits, embeddings, linear_teacher

ROWS = digits()
TRAIN, TEST = slice(0, 200), slice(200, 400)
X, y = ROWS.X[TEST], ROWS.y[TEST]


class Answers:
    """A model that reads its probabilities off the rows."""

    def __init__(self, proba, classes=(0, 1, 2), embeddings=None):
        self.proba, self.classes_ = proba, np.array(classes)
        if embeddings is not None:
            self.transform = lambda X: embeddings[X[:, 0].astype(int)]

    def predict_proba(self, X):
        return self.proba[X[:, 0].astype(int)]


@pytest.fixture(scope="module")
def teacher():
    net = MLPClassifier([32], solver="lbfgs", max_iter=50, random_state=0, tol=0.1)
    return as_teacher(net).fit(ROWS.X[TRAIN], ROWS.y[TRAIN])


@pytest.fixture(scope="module")
def distilled(teacher):
    student = StudentClassifier(
        MLP, objective=KD(alpha=0.0), max_epochs=20, random_state=0, device="cpu"
    )
    return DistilledClassifier(teacher, student).fit(ROWS.X[TRAIN], ROWS.y[TRAIN])


@pytest.fixture(scope="module")
def other():
    return LogisticRegression(C=0.05, max_iter=500).fit(ROWS.X[TRAIN], ROWS.y[TRAIN])


def test_figures_are_those_of_the_metrics_on_either_rows(teacher, distilled, other):
    table = fidelity_report(
        *(teacher, distilled, X, y),
        X_train=ROWS.X[TRAIN],
        y_train=ROWS.y[TRAIN],
        independent_teacher=other,
        independent_student=distilled,
        n_bootstrap=20,
    )
    assert table.columns.tolist() == [
        (rows, figure) for rows in ("train", "test") for figure in ("value", "low", "high")
    ]
    for rows, part in (("train", TRAIN), ("test", TEST)):
        value = table[rows, "value"]
        P, Q, R = (m.predict_proba(ROWS.X[part]) for m in (teacher, distilled, other))
        expected = {
            ("student", "accuracy"): distilled.score(ROWS.X[part], ROWS.y[part]),
            ("teacher", "log_loss"): metrics.log_loss(ROWS.y[part], P),
            ("student", "brier_score"): metrics.brier_score(ROWS.y[part], Q),
            ("student", "ece"): metrics.expected_calibration_error(ROWS.y[part], Q),
            ("student to teacher", "top1_agreement"): metrics.top1_agreement(P, Q),
            ("student to teacher", "predictive_kl"): metrics.predictive_kl(P, Q),
            ("student to teacher", "reverse_kl"): metrics.predictive_kl(P, Q, reverse=True),
            ("student to teacher", "jensen_shannon"): metrics.jensen_shannon(P, Q),
            ("student to teacher", "cka"): metrics.cka(
                teacher.transform(ROWS.X[part]), distilled.student_.transform(ROWS.X[part])
            ),
            ("student to independent teacher", "predictive_kl"): metrics.predictive_kl(R, Q),
            ("own less independent student", "predictive_kl"): 0.0,
        }
        for row, figure in expected.items():
            assert value[row] == pytest.approx(figure, abs=1e-9), row
    assert ("student to independent teacher", "cka") not in table.index  # it has no transform
    own = table.xs("own less independent teacher", level="models")["test", "value"]
    to = table["test", "value"]
    np.testing.assert_allclose(
        own, to["student to teacher"][:4] - to["student to independent teacher"]
    )


def test_it_agrees_with_the_other_report(teacher, distilled):
    table = fidelity_report(teacher, distilled, X, y, n_bootstrap=1)["test", "value"]
    rows = distilled.report(X, y).rows
    assert table["student", "log_loss"] == pytest.approx(rows["student"]["log_loss"], rel=1e-5)
    assert table["teacher", "ece"] == pytest.approx(rows["teacher"]["ece"])
    assert table["student to teacher", "top1_agreement"] == rows["student"]["agreement"]


def test_intervals_hold_the_truth_as_often_as_they_say():
    H, labels = embeddings(n=3000)
    P, _ = linear_teacher(H)
    Q = linear_teacher(H + 0.3 * np.random.default_rng(1).standard_normal(H.shape))[0]
    ids = np.arange(3000.0)[:, None]
    truth = metrics.predictive_kl(P, Q)
    held, widths = 0, []
    for seed in range(40):
        rows = np.random.default_rng(seed).integers(3000, size=100)
        table = fidelity_report(
            Answers(P), Answers(Q), ids[rows], labels[rows],
            n_bootstrap=100, confidence=0.9, random_state=seed,
        )  # fmt: skip
        low, high = table.loc[("student to teacher", "predictive_kl"), "test"][["low", "high"]]
        held += low <= truth <= high
        widths.append(high - low)
    assert 28 <= held <= 40
    narrow = fidelity_report(Answers(P), Answers(Q), ids, labels, n_bootstrap=100, random_state=0)[
        "test"
    ]
    row = narrow.loc[("student to teacher", "predictive_kl")]
    assert row["low"] < row["value"] < row["high"]
    assert row["high"] - row["low"] < 0.4 * np.mean(widths)


def test_cka_has_an_interval():
    H, labels = embeddings(n=300)
    P, _ = linear_teacher(H)
    ids = np.arange(300.0)[:, None]
    near = Answers(P, embeddings=H[:, :2])
    row = fidelity_report(Answers(P, embeddings=H), near, ids, labels, random_state=0)["test"].loc[
        ("student to teacher", "cka")
    ]
    assert 0 < row["low"] < row["value"] < row["high"] < 1


def test_seeds_confidence_and_labels_in_any_order():
    H, labels = embeddings()
    P, _ = linear_teacher(H)
    Q, names = P[:, ::-1] ** 0.5, np.array(["a", "b", "c"])
    Q = Q / Q.sum(axis=1, keepdims=True)
    ids = np.arange(120.0)[:, None]
    models = Answers(P, ["a", "b", "c"]), Answers(Q, ["c", "b", "a"])
    first, again = (
        fidelity_report(*models, ids, names[labels], n_bootstrap=50, random_state=3)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert first["test", "value"]["student to teacher", "top1_agreement"] == 1
    wide = fidelity_report(
        *models, ids, names[labels], n_bootstrap=50, confidence=0.99, random_state=3
    )
    row = ("student", "log_loss")
    assert wide["test", "low"][row] < first["test", "low"][row]
    assert wide["test", "high"][row] > first["test", "high"][row]


def test_what_does_not_fit_is_said(teacher, distilled, monkeypatch):
    with pytest.raises(ValueError, match="only one of X_train and y_train"):
        fidelity_report(teacher, distilled, X, y, X_train=X)
    with pytest.raises(ValueError, match="the teacher knows the classes"):
        fidelity_report(Answers(ROWS.proba, ["a", "b"]), distilled, X, y)
    with pytest.raises(ValueError, match="n_bootstrap == 0"):
        fidelity_report(teacher, distilled, X, y, n_bootstrap=0)
    with pytest.raises(ValueError, match="confidence == 95"):
        fidelity_report(teacher, distilled, X, y, confidence=95)
    with pytest.raises(ValueError, match=r"y holds \[5\]"):
        fidelity_report(teacher, distilled, X, np.where(y == 1, 5, y))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="install pandas"):
        fidelity_report(teacher, distilled, X, y)
