"""scikit-learn's temperature scaling serves for teachers, students and both together."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelEncoder

from lelp_sklearn import (
    MLP,
    CrossEntropy,
    DistilledClassifier,
    LELPStudentClassifier,
    StudentClassifier,
    as_teacher,
    check_teacher,
    teacher_outputs,
)
from lelp_sklearn.metrics import log_loss
from tests.data import digits

ROWS = digits()
THREE = np.array(["one", "two", "zero"])[np.arange(400) % 3]
FIT, HELD = slice(0, 150), slice(150, 400)

if "temperature" not in CalibratedClassifierCV._parameter_constraints["method"][0].options:
    pytest.skip("temperature scaling is in scikit-learn from 1.8 on", allow_module_level=True)


def scaled(model, y=ROWS.y):
    frozen = CalibratedClassifierCV(FrozenEstimator(model), method="temperature")
    return frozen.fit(ROWS.X[HELD], y[HELD])


def sure_net():
    net = MLPClassifier([32], solver="lbfgs", alpha=0, random_state=0)
    return net.fit(ROWS.X[FIT], ROWS.y[FIT])


def assert_one_temperature_mends(model, y):
    mended = scaled(model, y)
    before, after = (m.predict_proba(ROWS.X[HELD]) for m in (model, mended))
    np.testing.assert_array_equal(mended.predict(ROWS.X[HELD]), model.predict(ROWS.X[HELD]))
    assert log_loss(y[HELD], after) <= log_loss(y[HELD], before) + 1e-6
    # One temperature: log-odds are all scaled by one factor.
    inner = (before.min(axis=1) > 1e-3) & (np.ptp(before, axis=1) > 0.1)
    odds = [np.log(p[inner, 0] / p[inner, 1]) for p in (before, after)]
    far = np.abs(odds[0]) > 0.1
    ratio = odds[1][far] / odds[0][far]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-3)
    return mended


@pytest.mark.parametrize("n_classes", [2, 3])
def test_students(n_classes):
    y = ROWS.y if n_classes == 2 else LabelEncoder().fit_transform(THREE)
    student = StudentClassifier(
        MLP, objective=CrossEntropy(), max_epochs=30, lr=0.02, device="cpu", random_state=0
    )
    assert_one_temperature_mends(student.fit(ROWS.X[FIT], y[FIT]), y)


def test_a_student_with_subclasses_and_what_it_was_distilled_by():
    teacher = as_teacher(sure_net())
    student = LELPStudentClassifier(max_epochs=10, lr=0.05, device="cpu", random_state=0)
    distilled = DistilledClassifier(teacher, student).fit(ROWS.X[FIT], ROWS.y[FIT])
    assert_one_temperature_mends(distilled.student_, ROWS.y)
    assert_one_temperature_mends(distilled, ROWS.y)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_scaled_teacher_teaches_with_its_embeddings(wrapped):
    net = sure_net()
    teacher = scaled(as_teacher(net) if wrapped else net)
    before = log_loss(ROWS.y[HELD], net.predict_proba(ROWS.X[HELD]))
    assert log_loss(ROWS.y[HELD], teacher.predict_proba(ROWS.X[HELD])) < before
    check_teacher(as_teacher(teacher))
    outputs = teacher_outputs(as_teacher(teacher), ROWS.X[HELD])
    np.testing.assert_array_equal(outputs.embeddings, as_teacher(net).transform(ROWS.X[HELD]))
    np.testing.assert_array_equal(outputs.proba, teacher.predict_proba(ROWS.X[HELD]))
    student = LELPStudentClassifier(max_epochs=2, device="cpu", random_state=0)
    distilled = DistilledClassifier(teacher, student).fit(ROWS.X[FIT], ROWS.y[FIT])
    assert distilled.predict_proba(ROWS.X[:5]).shape == (5, 2)


def test_a_scaled_student_teaches():
    body = StudentClassifier(MLP, objective=CrossEntropy(), max_epochs=5, device="cpu")
    assistant = body.fit(ROWS.X[FIT], ROWS.y[FIT])
    teacher = as_teacher(scaled(assistant))
    np.testing.assert_array_equal(teacher.transform(ROWS.X[:5]), assistant.transform(ROWS.X[:5]))
