"""SimKD: the teacher's classifier on the student's projected embedding."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from lelp_sklearn import KD, LELP, MLP, CrossEntropy, LELPProjector, SimKD, StudentClassifier
from lelp_sklearn.objectives._simkd import reused_classifier
from tests.data import digits

ROWS = digits()


def linear_teacher(n_classes, scale=1.0):
    """A teacher whose classes, digits modulo their number, are linear in its embeddings."""
    wanted = 4.0 * np.eye(n_classes)[load_digits(return_X_y=True)[1][:400] % n_classes]
    coef = scale * np.linalg.lstsq(ROWS.embeddings, wanted)[0].T
    return softmax(ROWS.embeddings @ coef.T - 0.5 * np.arange(n_classes), axis=1), coef


PROBA, COEF = linear_teacher(2)
Y = PROBA.argmax(axis=1)
TEACHER = {"teacher_proba": PROBA, "teacher_embeddings": ROWS.embeddings}


def fit(objective, y=Y, teacher=TEACHER, **params):
    settings = {"max_epochs": 10, "random_state": 0, "device": "cpu", "lr": 0.02} | params
    student = StudentClassifier(settings.pop("module", MLP), objective=objective, **settings)
    return student.fit(ROWS.X, y, **teacher)


def classified(objective, H):
    """What the reused classifier says of the teacher's own embeddings."""
    logits = objective.scaler_.transform(H) @ objective.coef_.T + objective.intercept_
    return softmax(logits, axis=1)


def test_trains_and_predicts_without_the_teacher():
    student = fit(SimKD(), max_epochs=40)
    losses = [row["train_loss"] for row in student.history_]
    assert losses[-1] < 0.5 * losses[0]
    assert student.score(ROWS.X, Y) > 0.7  # the teacher sees noise that the inputs lack
    assert student.transform(ROWS.X).shape == (400, 64)
    copy = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(copy.predict_proba(ROWS.X), student.predict_proba(ROWS.X))


def test_labels_are_not_looked_at():
    wrong = fit(SimKD(), y=np.roll(Y, 1), validation_fraction=0.0)
    np.testing.assert_array_equal(wrong.predict_proba(ROWS.X), fit(SimKD()).predict_proba(ROWS.X))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("given", [False, True])
def test_the_classifier_is_the_teachers(n_classes, given):
    proba, coef = linear_teacher(n_classes)
    teacher = {"teacher_proba": proba, "teacher_embeddings": ROWS.embeddings}
    if given:
        teacher["teacher_coef"] = coef
    objective = fit(SimKD(), y=proba.argmax(axis=1), teacher=teacher, max_epochs=1).objective_
    assert objective.agreement_ > 0.98
    atol = 2e-3 if given else 0.05  # the ridge holds fitted weights back
    np.testing.assert_allclose(classified(objective, ROWS.embeddings), proba, atol=atol)


def test_a_single_row_of_weights_is_the_second_classs():
    single = {**TEACHER, "teacher_coef": COEF[1:] - COEF[:1]}
    both = {**TEACHER, "teacher_coef": COEF}
    said = [
        classified(fit(SimKD(), teacher=t, max_epochs=1).objective_, ROWS.embeddings)
        for t in (single, both)
    ]
    np.testing.assert_allclose(*said, atol=1e-4)


def test_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"shape \(2, 9\)"):
        fit(SimKD(), teacher={**TEACHER, "teacher_coef": COEF[:, :9]})
    proba, coef = linear_teacher(3)
    teacher = {**TEACHER, "teacher_proba": proba, "teacher_coef": coef[:1]}
    with pytest.raises(ValueError, match="1 rows, the student sees 3 classes"):
        fit(SimKD(), y=proba.argmax(axis=1), teacher=teacher)


def test_a_perfect_projection_gives_the_teachers_probabilities():
    student = fit(SimKD(projector=None), module__hidden=10, max_epochs=1)
    Z = torch.from_numpy(student.objective_.scaler_.transform(ROWS.embeddings).astype("float32"))
    with torch.no_grad():
        proba = student.net_.module_.head(Z).softmax(1).numpy()
    np.testing.assert_allclose(proba, classified(student.objective_, ROWS.embeddings), atol=1e-5)


def test_the_classifier_is_frozen_and_the_projector_is_trained():
    student = fit(SimKD() + KD())
    head = student.net_.module_.head
    objective = student.objective_.objectives_[0][1]
    np.testing.assert_allclose(head.weight, objective.coef_, rtol=1e-6)
    np.testing.assert_allclose(head.bias, objective.intercept_, rtol=1e-6)
    trained = {id(p) for p in student.net_.module_.parameters()}
    assert {id(p) for p in head.projector.parameters()} <= trained
    assert not any(p is head.weight for p in student.net_.module_.parameters())
    terms = student.history_
    assert terms[-1]["train_simkd"] < terms[0]["train_simkd"]
    assert terms[-1]["train_kd"] < terms[0]["train_kd"]


def test_parameters():
    widths = {}
    for hidden in (None, 7):
        head = fit(SimKD(hidden=hidden), max_epochs=1).net_.module_.head
        widths[hidden] = head.projector[0].out_features
    assert widths == {None: 20, 7: 7}
    linear = fit(SimKD(projector="linear"), max_epochs=1).net_.module_.head.projector
    assert isinstance(linear, torch.nn.Linear)
    with pytest.raises(ValueError, match="hidden"):
        fit(SimKD(hidden=0))
    student = StudentClassifier(objective=SimKD()).set_params(objective__hidden=3)
    assert clone(student).objective.hidden == 3


def test_a_linear_student_trains_the_projector():
    assert 0.4 < Y.mean() < 0.6
    assert fit(SimKD(), module=None, max_epochs=30).score(ROWS.X, Y) > 0.7


def test_row_weights_count():
    weight = np.where(np.arange(400) < 200, 1.0, 1e-6)
    light = fit(SimKD(), teacher={**TEACHER, "sample_weight": weight})
    assert np.abs(light.transform(ROWS.X) - fit(SimKD()).transform(ROWS.X)).max() > 1e-2


def test_what_it_needs():
    for name in TEACHER:
        with pytest.raises(ValueError, match=f"needs {name}"):
            fit(SimKD(), teacher={k: v for k, v in TEACHER.items() if k != name})


def test_a_wide_head_beside_its_own_is_an_error():
    lelp = LELP(projector=LELPProjector(n_subclasses=3, random_state=0, null_space=False))
    with pytest.raises(ValueError, match="leave one of them out"):
        fit(SimKD() + lelp)
    with pytest.raises(ValueError, match="leave one of them out"):
        fit(CrossEntropy(n_subclasses=2) + SimKD())


def test_partial_fit_goes_on():
    student = fit(SimKD())
    student.partial_fit(ROWS.X[:1], Y[:1], **{k: v[:1] for k, v in TEACHER.items()})
    assert len(student.history_) == 11


def test_the_fitted_classifier_is_a_logistic_regression():
    # Against scikit-learn's on rows repeated for both classes, weighted by their probabilities.
    from sklearn.linear_model import LogisticRegression

    Z = (ROWS.embeddings - ROWS.embeddings.mean(0)) / ROWS.embeddings.std(0)
    coef, intercept = reused_classifier(Z, ROWS.proba)
    both = np.vstack([Z, Z])
    labels, weight = np.repeat([0, 1], 400), ROWS.proba.T.ravel()
    # Ours penalises both rows of weights, +w/2 and -w/2: half of what one row w costs.
    model = LogisticRegression(C=2 / (1e-4 * 400), tol=1e-8).fit(both, labels, weight)
    ours = coef[1] - coef[0]
    np.testing.assert_allclose(ours, model.coef_[0], atol=0.02)
    assert intercept[1] - intercept[0] == pytest.approx(model.intercept_[0], abs=0.02)


def test_probabilities_of_zero_and_one_can_be_reused():
    proba, coef = linear_teacher(3, scale=30.0)
    sure = np.eye(3)[proba.argmax(axis=1)]
    Z = ROWS.embeddings
    for given in (None, coef):
        W, b = reused_classifier(Z, sure, given)
        assert np.isfinite(W).all()
        assert log_loss(sure.argmax(1), softmax(Z @ W.T + b, axis=1)) < 0.1
