"""Scaffolding: the guide, its budget, and what it does to a student."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from lelp_sklearn import KD, MLP, DiSK, StudentClassifier
from lelp_sklearn.objectives._base import soften
from lelp_sklearn.outputs import TeacherOutputs
from tests.data import digits

ROWS = digits()
PROBA = soften(ROWS.proba, 0.1)  # of a teacher that is sure, as few rows are hard without
TEACHER = {"teacher_proba": PROBA, "teacher_embeddings": ROWS.embeddings}


def fit(objective=None, rows=slice(None), **params):
    settings = {"max_epochs": 10, "random_state": 0, "device": "cpu", "lr": 0.02} | params
    student = StudentClassifier(objective=objective or DiSK(), **settings)
    arrays = {name: values[rows] for name, values in TEACHER.items()}
    return student.fit(ROWS.X[rows], ROWS.y[rows], **arrays)


def last(student, name):
    return student.history_[-1][f"train_{name}"]


def guide(student):
    """Help of every row."""
    objective = student.objective_
    embeddings = objective.scaler_.transform(ROWS.embeddings).astype("float32")
    with torch.no_grad():
        return objective.module_(torch.as_tensor(embeddings)).sigmoid().numpy()[:, 0]


def test_hard_rows_are_censored():
    student = fit(max_epochs=30)
    help_ = guide(student)
    wrong = student.predict(ROWS.X) != PROBA.argmax(axis=1)
    assert help_[wrong].mean() > 3 * help_[~wrong].mean()
    assert student.score(ROWS.X, ROWS.y) > 0.8
    censoring = [row["train_censoring"] for row in student.history_]
    assert all(0 < g < 1 for g in censoring)
    assert last(student, "loss") < student.history_[0]["train_loss"]


def test_without_a_budget_it_is_plain_distillation():
    help_less = fit(DiSK(budget=0.0, budget_weight=1e4), max_epochs=30)
    assert last(help_less, "censoring") < 0.01
    plain = fit(KD(), max_epochs=30)
    # Other batches, as the guide has its share of the random numbers.
    difference = help_less.predict_proba(ROWS.X) - plain.predict_proba(ROWS.X)
    assert np.abs(difference).mean() < 0.05


def test_a_larger_budget_is_used_more():
    # With one class the guide always gains: its budget is its only brake.
    small, large = (fit(DiSK(top_k=1, budget=b), max_epochs=30) for b in (0.01, 0.1))
    assert last(small, "budget_use") < 0.03
    assert 2 * last(small, "budget_use") < last(large, "budget_use") < 0.2
    free = fit(DiSK(top_k=1, budget=0.01, budget_weight=0.0), max_epochs=30)
    assert last(free, "budget_use") > 4 * last(small, "budget_use")


def test_a_budget_may_change_in_training():
    falling = fit(DiSK(budget=(1.0, 0.0), budget_weight=50.0), max_epochs=30)
    assert last(falling, "budget_use") < 0.02
    by_function = fit(
        DiSK(budget=lambda progress: 1.0 - progress, budget_weight=50.0), max_epochs=30
    )
    assert last(by_function, "budget_use") == pytest.approx(last(falling, "budget_use"))
    with pytest.raises(ValueError, match="budget="):
        fit(DiSK(budget=(1.0, 2.0, 3.0)))


def test_top_k_of_more_than_the_classes_is_all_of_them():
    both, many = fit(DiSK(top_k=2)), fit(DiSK(top_k=50))
    np.testing.assert_array_equal(both.predict_proba(ROWS.X), many.predict_proba(ROWS.X))
    # One class alone always gains from help.
    assert last(fit(DiSK(top_k=1)), "censoring") > 2 * last(both, "censoring")


def test_helped_classes_are_the_likeliest_and_the_label():
    objective = DiSK(top_k=2)
    p = torch.tensor([[0.5, 0.3, 0.1, 0.1], [0.1, 0.1, 0.3, 0.5]])
    helped = objective._helped(p, torch.tensor([0, 0]))
    assert helped.tolist() == [[True, True, False, False], [True, False, True, True]]


def test_temperature_and_alpha():
    plain = fit(DiSK(alpha=0.0)).predict_proba(ROWS.X)
    assert np.abs(fit(DiSK(temperature=4.0, alpha=0.0)).predict_proba(ROWS.X) - plain).max() > 0.02
    assert np.abs(fit(DiSK(alpha=0.8)).predict_proba(ROWS.X) - plain).max() > 0.02
    # With labels alone the guide has nothing to say.
    labels = [fit(DiSK(alpha=1.0, budget=b)).predict_proba(ROWS.X) for b in (0.0, 1.0)]
    np.testing.assert_array_equal(*labels)


def test_neither_gradient_reaches_the_other():
    objective = fit().objective_
    targets = {
        "class": torch.tensor([[0.9, 0.1], [0.2, 0.8]]),
        "embedding": torch.randn(2, 10, generator=torch.manual_seed(0)),
        "y": torch.tensor([0, 1]),
        "labeled": torch.ones(2),
        "weight": torch.tensor([1.0, 3.0]),
    }
    objective.module_.train()
    grads = []
    for budget_weight in (0.0, 100.0):
        objective.set_params(budget_weight=budget_weight, budget=0.0)
        logits = torch.tensor([[0.0, 2.0], [0.5, 0.0]], requires_grad=True)
        objective.module_.zero_grad()
        outputs = type("Outputs", (), {"logits": logits})
        loss, terms = objective.loss(outputs, targets, 0.0)
        loss.backward()
        grads.append((logits.grad, objective.module_[2].bias.grad.clone()))
    assert torch.equal(grads[0][0], grads[1][0])
    assert grads[1][1] > grads[0][1]  # a costly guide falls
    assert terms["budget_use"] > 0


def test_held_out_rows_get_no_help():
    objective = fit().objective_
    rows = slice(0, 50)
    targets = objective.targets(TeacherOutputs(PROBA[rows], ROWS.embeddings[rows]))
    targets = {name: torch.as_tensor(values) for name, values in targets.items()}
    targets |= {
        "y": torch.as_tensor(ROWS.y[rows]),
        "weight": torch.ones(50),
        "labeled": torch.ones(50),
    }
    outputs = type("Outputs", (), {"logits": torch.tensor([[0.0, 2.0]]).expand(50, 2)})
    objective.module_.eval()
    plain = fit(KD(), max_epochs=1).objective_.loss(outputs, targets, 1.0)
    assert objective.loss(outputs, targets, 1.0)[0] == plain
    objective.module_.train()
    assert objective.loss(outputs, targets, 1.0)[0] != plain
    assert "valid_censoring" in fit(validation_fraction=0.2, max_epochs=1).history_[0]


def test_the_guide_is_part_of_the_network():
    student = fit(DiSK(guide_hidden=7))
    own = student.objective_.module_
    assert own[0].weight.shape == (7, ROWS.embeddings.shape[1])
    assert {id(p) for p in own.parameters()} <= {id(p) for p in student.net_.module_.parameters()}
    start = fit(DiSK(guide_hidden=7), max_epochs=1, lr=1e-12).objective_.module_
    assert torch.sigmoid(start[2].bias).item() < 0.05
    assert not torch.equal(start[0].weight, own[0].weight)


def test_scales_of_embeddings_are_nothing():
    student = fit()
    scaled = dict(TEACHER, teacher_embeddings=1000 * ROWS.embeddings + 5)
    other = clone(student).fit(ROWS.X, ROWS.y, **scaled)
    np.testing.assert_allclose(
        student.predict_proba(ROWS.X), other.predict_proba(ROWS.X), atol=1e-3
    )


def test_more_rows_clones_pickles_and_sums():
    student = fit()
    student.partial_fit(
        ROWS.X[:50], ROWS.y[:50], **{name: values[:50] for name, values in TEACHER.items()}
    )
    assert len(student.history_) == 11
    copy = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(copy.predict(ROWS.X), student.predict(ROWS.X))
    searched = StudentClassifier(objective=DiSK()).set_params(objective__budget=0.3, module=MLP)
    assert clone(searched).objective.budget == 0.3
    total = fit(DiSK() + 0.5 * KD())
    assert "train_disk_censoring" in total.history_[0]


def test_errors():
    student = StudentClassifier(objective=DiSK(), device="cpu")
    with pytest.raises(ValueError, match="DiSK needs teacher_embeddings; got teacher_proba"):
        student.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    with pytest.raises(ValueError, match="'top_k'"):
        fit(DiSK(top_k=0))
