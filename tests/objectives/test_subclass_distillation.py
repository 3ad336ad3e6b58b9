"""Subclass Distillation: a teacher with subclasses of its own, and its student."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from lelp_sklearn import (
    KD,
    MLP,
    CrossEntropy,
    DistilledClassifier,
    StudentClassifier,
    SubclassDistillation,
    SubclassSpread,
    SubclassTeacher,
    TeacherCache,
    as_teacher,
    check_teacher,
    teacher_outputs,
)
from lelp_sklearn.outputs import TeacherOutputs
from tests.data import digits

ROWS = digits()
LOGITS = np.column_stack([3 * ROWS.embeddings[:, :8], np.zeros((len(ROWS.y), 2))])
SETTINGS = {"max_epochs": 10, "random_state": 0, "device": "cpu", "lr": 0.02}


def proba_of(logits, counts=(5, 5)):
    blocks = np.split(logits, np.cumsum(counts)[:-1], axis=1)
    return softmax(np.stack([logsumexp(block, axis=1) for block in blocks], axis=1), axis=1)


def fit(objective, logits=LOGITS, proba=None, **params):
    student = StudentClassifier(objective=objective, **(SETTINGS | params))
    proba = proba_of(logits) if proba is None else proba
    y = proba.argmax(axis=1)
    return student.fit(ROWS.X, y, teacher_proba=proba, teacher_embeddings=logits)


def teacher(**params):
    return SubclassTeacher(MLP, **(SETTINGS | {"max_epochs": 20} | params))


@pytest.fixture(scope="module")
def fitted():
    return teacher().fit(ROWS.X, ROWS.y)


def test_targets_are_the_softened_logits():
    for temperature in (1.0, 4.0):
        objective = fit(SubclassDistillation(temperature=temperature), max_epochs=1).objective_
        outputs = teacher_outputs_of(LOGITS)
        expected = softmax(LOGITS / temperature, axis=1)
        np.testing.assert_allclose(objective.targets(outputs)["subclass"], expected, atol=1e-6)


def teacher_outputs_of(logits):
    return TeacherOutputs(proba_of(logits), logits)


def test_out_of_fold_probabilities_are_shared_out_by_the_logits():
    objective = fit(SubclassDistillation(temperature=1.0), max_epochs=1).objective_
    proba = np.tile([0.3, 0.7], (len(LOGITS), 1))
    found = objective.targets(TeacherOutputs(proba, LOGITS))["subclass"]
    np.testing.assert_allclose(found[:, :5].sum(axis=1), 0.3, atol=1e-6)
    np.testing.assert_allclose(found[:, :5] / 0.3, softmax(LOGITS[:, :5], axis=1), atol=1e-6)


def test_one_subclass_a_class_is_plain_distillation():
    logits = np.log(ROWS.proba)
    for temperature, alpha in ((4.0, 0.5), (1.0, 0.0)):
        one = fit(SubclassDistillation(temperature=temperature, alpha=alpha), logits, ROWS.proba)
        plain = fit(KD(temperature=temperature, alpha=alpha), logits, ROWS.proba)
        np.testing.assert_allclose(
            one.predict_proba(ROWS.X), plain.predict_proba(ROWS.X), atol=1e-4
        )


def test_temperature_and_alpha_count():
    plain, *others = (
        fit(SubclassDistillation(**params)).predict_proba(ROWS.X)
        for params in ({}, {"temperature": 1.0}, {"alpha": 0.0})
    )
    for other in others:
        assert np.abs(other - plain).max() > 0.02


def test_it_trains(fitted):
    logits = fitted.transform(ROWS.X)
    student = fit(SubclassDistillation(alpha=0.0), logits, module=MLP, max_epochs=40)
    losses = [row["train_loss"] for row in student.history_]
    assert losses[-1] < 0.7 * losses[0]
    found = student.predict_subclass_proba(ROWS.X).argmax(axis=1)
    assert (found == logits.argmax(axis=1)).mean() > 0.8


def test_classes_may_have_different_numbers():
    counts = (3, 7)
    objective = SubclassDistillation(n_subclasses={0: 3, 1: 7})
    student = fit(objective, proba=proba_of(LOGITS, counts))
    assert student.objective_.n_subclasses_ == counts


@pytest.mark.parametrize(
    ("logits", "params", "words"),
    [
        (LOGITS[:, :9], {}, r"9 columns; expected subclass logits, \[4, 4\]"),
        (LOGITS[:, :1], {}, r"1 columns; expected subclass logits, \[0, 0\]"),
        (LOGITS, {"n_subclasses": 3}, r"10 columns; expected subclass logits, \[3, 3\]"),
        (np.random.default_rng(0).standard_normal((400, 10)), {}, "embeddings of another kind"),
    ],
)
def test_embeddings_that_are_no_logits(logits, params, words):
    with pytest.raises(ValueError, match=words):
        fit(SubclassDistillation(**params), logits, ROWS.proba)


def test_a_teacher_uses_its_subclasses(fitted):
    assert fitted.score(ROWS.X, ROWS.y) > 0.85
    history = fitted.history_
    spread, plain = history[-1], teacher(spread_weight=0.0).fit(ROWS.X, ROWS.y).history_[-1]
    assert spread["train_subclassspread"] < plain["train_subclassspread"] - 0.1
    total = spread["train_crossentropy"] + 0.3 * spread["train_subclassspread"]
    assert total == pytest.approx(spread["train_loss"], rel=1e-4)
    used = np.bincount(fitted.transform(ROWS.X).argmax(axis=1), minlength=10)
    assert (used > 0).sum() > 6


def test_a_teachers_parameters_count():
    few = teacher(n_subclasses={0: 2, 1: 4}, max_epochs=2).fit(ROWS.X, ROWS.y)
    assert few.transform(ROWS.X).shape == (400, 6)
    assert few.get_feature_names_out().shape == (6,)
    warm, cold = (
        teacher(spread_temperature=t, max_epochs=2).fit(ROWS.X, ROWS.y) for t in (1.0, 0.3)
    )
    assert warm.history_[0] != cold.history_[0]
    assert cold.history_[-1]["train_subclassspread"] < warm.history_[-1]["train_subclassspread"]
    with pytest.raises(ValueError, match="'spread_weight'"):
        teacher(spread_weight=-1).fit(ROWS.X, ROWS.y)


def test_a_teachers_answers(fitted):
    logits = fitted.transform(ROWS.X)
    np.testing.assert_allclose(fitted.predict_proba(ROWS.X), proba_of(logits), atol=1e-5)
    assert not hasattr(fitted, "teacher_coef_")
    check_teacher(fitted)
    assert as_teacher(fitted) is fitted
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.transform(ROWS.X), logits)
    assert clone(fitted).get_params()["n_subclasses"] == 5


def test_teacher_and_student_in_one_fit(fitted):
    student = StudentClassifier(objective=SubclassDistillation(), **SETTINGS)
    cache = TeacherCache()
    distilled = DistilledClassifier(fitted, student, cache=cache).fit(ROWS.X, ROWS.y)
    assert distilled.student_.predict_subclass_proba(ROWS.X).shape == (400, 10)
    assert distilled.score(ROWS.X, ROWS.y) > 0.75
    again = DistilledClassifier(teacher(max_epochs=3), student, cv=2).fit(ROWS.X, ROWS.y)
    assert again.score(ROWS.X, ROWS.y) > 0.7


def test_subclasses_on_frozen_embeddings():
    base = StudentClassifier(MLP, objective=CrossEntropy(), **SETTINGS).fit(ROWS.X, ROWS.y)
    cheap = make_pipeline(FrozenEstimator(base), SubclassTeacher(**SETTINGS)).fit(ROWS.X, ROWS.y)
    assert abs(cheap.score(ROWS.X, ROWS.y) - base.score(ROWS.X, ROWS.y)) < 0.1
    outputs = teacher_outputs(as_teacher(cheap), ROWS.X)
    assert outputs.embeddings.shape == (400, 10)
    student = StudentClassifier(objective=SubclassDistillation(), **SETTINGS)
    assert DistilledClassifier(cheap, student).fit(ROWS.X, ROWS.y).score(ROWS.X, ROWS.y) > 0.7
    DistilledClassifier(cheap, student, cv=2).fit(ROWS.X, ROWS.y)


def test_spread_beside_another_objective():
    student = StudentClassifier(
        objective=KD() + 2 * SubclassSpread(n_subclasses=4, temperature=0.5), **SETTINGS
    ).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert student.predict_subclass_proba(ROWS.X).shape[1] == 8
    spreads = [row["train_subclassspread"] for row in student.history_]
    assert spreads[-1] < spreads[0] < 0
    assert student.score(ROWS.X, ROWS.y) > 0.8
    with pytest.raises(ValueError, match="must agree"):
        StudentClassifier(objective=CrossEntropy(n_subclasses=3) + SubclassSpread()).fit(
            ROWS.X, ROWS.y
        )


def test_weights_reach_the_spread(fitted):
    objective = SubclassSpread().fit(None, ROWS.y, np.array([0, 1]), 0)
    outputs = type("Outputs", (), {"logits": torch.as_tensor(LOGITS[:3])})
    spread = [
        objective.loss(outputs, {"weight": torch.tensor(w, dtype=torch.float64)}, 0.0).item()
        for w in ([1.0, 1.0, 1.0], [5.0, 1.0, 1.0])
    ]
    assert spread[0] < spread[1] < 0


def test_partial_fit_and_grids():
    student = fit(SubclassDistillation(), max_epochs=1)
    student.partial_fit(
        ROWS.X[:50],
        ROWS.y[:50],
        teacher_proba=proba_of(LOGITS)[:50],
        teacher_embeddings=LOGITS[:50],
    )
    assert len(student.history_) == 2
    assert clone(student).set_params(objective__alpha=0.2).objective.alpha == 0.2
    with pytest.raises(ValueError, match="needs teacher_embeddings"):
        StudentClassifier(objective=SubclassDistillation()).fit(
            ROWS.X, ROWS.y, teacher_proba=ROWS.proba
        )


def test_a_failed_fit_leaves_the_teacher_as_it_was():
    teacher = SubclassTeacher(max_epochs=1, device="cpu").fit(ROWS.X, ROWS.y)
    before = dict(vars(teacher))
    with pytest.raises(ValueError, match="NaN"):
        teacher.fit(ROWS.X[:, :9] * np.nan, ROWS.y)
    assert vars(teacher) == before
