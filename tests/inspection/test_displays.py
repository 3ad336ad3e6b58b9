"""Displays draw what they are given, and where they are told to."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    KD,
    LELP,
    DistilledClassifier,
    FidelityDisplay,
    HistoryDisplay,
    LELPProjector,
    StudentClassifier,
    SubclassDisplay,
)
from tests.data import digits, embeddings


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_history_draws_each_curve_it_has():
    rows = digits(200)
    student = StudentClassifier(objective=KD(), max_epochs=3, device="cpu", validation_fraction=0.2)
    student.fit(rows.X, rows.y, teacher_proba=rows.proba)
    display = HistoryDisplay.from_estimator(student)
    train, valid = display.ax_.get_lines()
    np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(valid.get_ydata(), [row["valid_loss"] for row in student.history_])
    student.set_params(validation_fraction=0.0).fit(rows.X, rows.y, teacher_proba=rows.proba)
    _, ax = plt.subplots()
    display = HistoryDisplay.from_estimator(student, ax=ax)
    assert display.ax_ is ax
    assert len(ax.get_lines()) == 1


def test_subclasses_draws_every_row_once_and_shares_that_sum_to_one():
    H, y = embeddings()
    projector = LELPProjector(n_subclasses={0: 1, 1: 3, 2: 2}, null_space=False).fit(H, y)
    display = SubclassDisplay.from_projector(projector, H, y)
    assert len(display.axes_) == 3
    drawn = [sum(len(c.get_offsets()) for c in ax.collections) for ax in display.axes_]
    assert drawn == [40, 40, 40]
    np.testing.assert_allclose([s.sum() for s in display.shares], 1)
    _, axes = plt.subplots(1, 3)
    assert display.plot(axes=axes).axes_[2] is axes[2]
    with pytest.raises(ValueError, match="has 0 rows in y"):
        SubclassDisplay.from_projector(projector, H, np.zeros_like(y))


def test_fidelity_draws_filled_bins_of_either_model():
    rows = digits(200)
    net = StudentClassifier(objective=KD(), max_epochs=3, device="cpu", random_state=0)
    student = net.fit(rows.X, rows.y, teacher_proba=rows.proba)
    teacher = LogisticRegression(C=0.1, max_iter=500).fit(rows.X, rows.y)
    display = FidelityDisplay.from_estimators(teacher, student, rows.X, rows.y, n_bins=8)
    P, Q = teacher.predict_proba(rows.X), student.predict_proba(rows.X)
    _, ax = plt.subplots()
    again = FidelityDisplay.from_predictions(P, Q, rows.y, n_bins=8, ax=ax)
    assert again.ax_ is ax
    assert again.figure_ is ax.figure
    for name, bins in (("teacher", P), ("student", Q), ("agreement", P)):
        found = getattr(display, name)
        for ours, theirs in zip(found, getattr(again, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_allclose(
            np.nansum(found.confidence * found.weight), bins.max(axis=1).sum(), rtol=1e-6
        )
    labels = [line.get_label() for line in ax.get_lines()]
    assert labels == ["calibrated", "teacher's accuracy", "student's accuracy", "agreement"]
    line = ax.get_lines()[3]
    filled = display.agreement.weight > 0
    np.testing.assert_array_equal(line.get_ydata(), display.agreement.share[filled])
    equal = FidelityDisplay.from_predictions(P, Q, rows.y, n_bins=8, strategy="quantile")
    assert equal.teacher.weight.tolist() == [25] * 8


def test_displays_find_the_student_in_whatever_ends_in_one():
    rows = digits(100)
    teacher = LogisticRegression(max_iter=500).fit(rows.X, rows.y)
    objective = LELP(projector=LELPProjector(n_subclasses=2)) + KD()
    student = StudentClassifier(objective=objective, max_epochs=2, device="cpu", random_state=0)
    scaled = make_pipeline(StandardScaler(with_mean=False), student)
    models = [
        DistilledClassifier(teacher, student),
        DistilledClassifier(teacher, scaled),
        DistilledClassifier(teacher, GridSearchCV(student, {"lr": [0.1]}, cv=2)),
        GridSearchCV(DistilledClassifier(teacher, student), {"student__lr": [0.1]}, cv=2),
    ]
    for model in models:
        model.fit(rows.X, rows.y)
        assert [row["epoch"] for row in HistoryDisplay.from_estimator(model).history] == [1, 2]
        asked = SubclassDisplay.from_estimator(model, rows.X, rows.y)
        given = SubclassDisplay.from_projector(model, rows.X, rows.y)
        np.testing.assert_array_equal(asked.subclasses[0], given.subclasses[0])
        drawn = FidelityDisplay.from_estimators(None, model, rows.X, rows.y)
        other = FidelityDisplay.from_estimators(teacher, model, rows.X, rows.y)
        np.testing.assert_array_equal(drawn.teacher.share, other.teacher.share)
        plt.close("all")
    names = ("teacher_proba", "teacher_embeddings")
    arrays = dict(zip(names, (rows.proba, rows.embeddings), strict=True))
    scaled.fit(rows.X, rows.y, **{f"studentclassifier__{n}": v for n, v in arrays.items()})
    assert len(HistoryDisplay.from_estimator(scaled).history) == 2
    with pytest.raises(ValueError, match="holds no teacher_ to ask: pass teacher_embeddings"):
        SubclassDisplay.from_estimator(scaled, rows.X, rows.y)
    SubclassDisplay.from_estimator(scaled, rows.X, rows.y, teacher_embeddings=rows.embeddings)
    with pytest.raises(ValueError, match="teacher is None, and Pipeline holds no teacher_"):
        FidelityDisplay.from_estimators(None, scaled, rows.X, rows.y)


def test_what_cannot_be_drawn_is_named():
    rows = digits(100)
    model = LogisticRegression(max_iter=500).fit(rows.X, rows.y)
    with pytest.raises(TypeError, match="LogisticRegression has no history_"):
        HistoryDisplay.from_estimator(model)
    with pytest.raises(TypeError, match="LogisticRegression has no fitted projector"):
        SubclassDisplay.from_projector(model, rows.X, rows.y)
