"""What a student asks of an objective, a user's too: a head that is trained, right shapes."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB
from torch import nn

from lelp_sklearn import (
    AMAD,
    CKA,
    CRD,
    KD,
    MLP,
    PKT,
    RKD,
    SP,
    VID,
    CompRess,
    CrossEntropy,
    DistilledClassifier,
    EmbeddingApproximation,
    EmbeddingMatching,
    HiddenLayers,
    Objective,
    RelationalAlignment,
    SimKD,
    Stage,
    Stages,
    StudentClassifier,
    SubclassSpread,
    TokenRelations,
    WeightedSum,
)

X, Y = load_iris(return_X_y=True)
PROBA = GaussianNB().fit(X, Y).predict_proba(X)
ARRAYS = {"teacher_proba": PROBA, "teacher_embeddings": X}

TERMS = [
    EmbeddingMatching(), EmbeddingApproximation(), RKD(), SP(), PKT(), CompRess(), VID(), CKA(),
    CRD(), RelationalAlignment(), SubclassSpread(), HiddenLayers(), AMAD(), TokenRelations(),
]  # fmt: skip
UNTRAINED = [
    *TERMS,
    RKD() + 0.5 * CKA(),
    0.0 * KD() + RKD(),
    WeightedSum([("kd", KD()), ("rkd", RKD())], weights=[(0.0, 0.0), 1.0]),
    WeightedSum([("kd", KD()), ("rkd", RKD())], weights=[lambda progress: 0.0, 1.0]),
    Stages([("a", Stage(RKD())), ("b", Stage(CKA()))]),
    Stages([("a", Stage(RKD())), ("b", Stage(KD(), frozen=["head"]))]),
]
TRAINED = [
    KD() + RKD(),
    WeightedSum([("kd", KD()), ("rkd", RKD())], weights=[(0.0, 1.0), 1.0]),
    WeightedSum([("kd", KD()), ("rkd", RKD())], weights="uncertainty"),
    Stages([("a", Stage(RKD())), ("b", Stage(KD()))]),
    Stages([("a", Stage(KD())), ("b", Stage(RKD(), frozen=["head"]))]),
    SimKD(),
]


def student(objective, **params):
    return StudentClassifier(MLP, objective=objective, max_epochs=2, random_state=0, **params)


@pytest.mark.parametrize("objective", UNTRAINED, ids=str)
def test_an_untrained_head_is_refused_before_the_teacher_is_asked(objective):
    class Teacher(GaussianNB):
        def fit(self, X, y):
            raise AssertionError("asked")

    for model in (student(objective), DistilledClassifier(Teacher(), student(objective), cv=2)):
        arrays = ARRAYS if isinstance(model, StudentClassifier) else {}
        with pytest.raises(ValueError, match=r"head untrained.*\+ KD\(\).*Stages"):
            model.fit(X, Y, **arrays)


@pytest.mark.parametrize("objective", TRAINED, ids=str)
def test_a_head_that_some_term_or_stage_trains_is_not(objective):
    fitted = student(objective).fit(X, Y, **ARRAYS)
    assert np.isfinite(fitted.predict_proba(X)).all()


class Own(Objective):
    """A user's objective, right but for what a test changes in it."""

    needs = ("proba",)

    def __init__(self, made=None, loss_of=None):
        self.made = made
        self.loss_of = loss_of

    def targets(self, teacher):
        targets = {"class": teacher.proba.astype("float32")}
        return self.made(targets) if self.made else targets

    def loss(self, outputs, targets, progress):
        rows = (outputs.logits.softmax(dim=1) - targets["class"]).square().sum(dim=1)
        return self.loss_of(outputs, rows) if self.loss_of else (targets["weight"] * rows).mean()


@pytest.mark.parametrize("wrap", [lambda o: o, lambda o: KD() + o], ids=["alone", "in a sum"])
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda t: t | {"y": t["class"]}, "targets of Own gave 'y'.*give them other names"),
        (lambda t: t | {"labeled": t["class"][:, 0], "weight": t["class"][:, 0]},
         "gave 'labeled', 'weight'"),
        (lambda t: {"class": np.tile(t["class"], (2, 1))}, r"'class' of Own has shape \(300, 3\)"),
        (lambda t: {"class": t["class"][:7]}, "one row for each of the 150"),
        (lambda t: {"class": np.float32(1)}, r"'class' of Own has shape \(\)"),
        (lambda t: {"class": t["class"].astype(str)}, "is of dtype <U"),
        (lambda t: {"class": t["class"].astype(object)}, "is of dtype object"),
        (lambda t: t["class"], "gave a ndarray: expected a dictionary"),
        (lambda t: None, "gave a NoneType"),
        (lambda t: {0: t["class"]}, "expected a dictionary of arrays by name"),
    ],
)  # fmt: skip
def test_targets_are_checked(made, message, wrap):
    with pytest.raises((TypeError, ValueError), match=message):
        student(wrap(Own(made))).fit(X, Y, **ARRAYS)


class OfLabels(Objective):
    """Targets from the labels of fit, which no teacher gives."""

    def fit(self, teacher, y, classes, random_state, student_inputs=None):
        self.codes_ = y
        return super().fit(teacher, y, classes, random_state)

    def targets(self, teacher):
        return {"codes": self.codes_}

    def loss(self, outputs, targets, progress):
        return nn.functional.cross_entropy(outputs.logits, targets["codes"])


def test_targets_without_a_teacher():
    for objective in (OfLabels(), OfLabels() + CrossEntropy()):
        assert student(objective).fit(X, Y).predict(X).shape == (150,)


def test_tensors_are_targets_too():
    made = student(Own(lambda t: {"class": torch.from_numpy(t["class"])})).fit(X, Y, **ARRAYS)
    plain = student(Own()).fit(X, Y, **ARRAYS)
    np.testing.assert_array_equal(made.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    ("loss_of", "message"),
    [
        (lambda outputs, rows: rows, r"the loss of Own has shape \(128,\): expected a scalar"),
        (lambda outputs, rows: 1.0, "the loss of Own is a float"),
        (lambda outputs, rows: None, "the loss of Own is a NoneType"),
        (lambda outputs, rows: rows.mean().detach(), "depends on nothing that is trained"),
        (lambda outputs, rows: (rows.mean(), 1, 2), "tuple of 3"),
        (lambda outputs, rows: (rows.mean(), rows), "expected a scalar tensor, or a pair"),
        (lambda outputs, rows: (rows.mean(), {"a": rows}), r"the term 'a' of Own has shape"),
        (lambda outputs, rows: (rows.mean(), {"a": 1.0}), "the term 'a' of Own is a float"),
        (
            lambda outputs, rows: outputs.embedding.mean(),
            r"depend on the logits.*\+ KD\(\)",
        ),
    ],
)
def test_a_loss_is_checked_in_its_first_batch(loss_of, message):
    model = student(Own(loss_of=loss_of))
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(X, Y, **ARRAYS)
    assert not hasattr(model, "classes_")


def test_a_stage_of_ones_own_that_leaves_the_head_to_another():
    hint = Own(loss_of=lambda outputs, rows: outputs.embedding.square().mean())
    student(Stages([("a", Stage(hint)), ("b", Stage(KD()))])).fit(X, Y, **ARRAYS)
    with pytest.raises(ValueError, match="does not depend on the logits"):
        student(Stages([("a", Stage(hint)), ("b", Stage(hint))])).fit(X, Y, **ARRAYS)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"needs": ("probs",)}, "Own.needs names 'probs', which is none of a teacher's outputs"),
        ({"needs": "proba"}, r"Own.needs is 'proba': expected a tuple"),
        ({"sees": ("layers",)}, "Own.sees names 'layers', which is none of a body's outputs"),
        ({"fit": lambda self, *args: None}, "fit of Own returned a NoneType"),
        (
            {"head": lambda self, width: nn.Linear(width, 7)},
            r"head of (Own|WeightedSum) maps .* \(2, 7\)",
        ),
        (
            {"head": lambda self, width: nn.Linear(1, 3)},
            "head of (Own|WeightedSum) failed on embeddings",
        ),
        ({"head": lambda self, width: 3}, "head of (Own|WeightedSum) made a int"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda o: o, lambda o: KD() + o], ids=["alone", "in a sum"])
def test_what_a_class_declares_is_checked(attributes, message, wrap):
    kind = type("Own", (Own,), attributes)
    with pytest.raises((TypeError, ValueError), match=message):
        student(wrap(kind())).fit(X, Y, **ARRAYS)


@pytest.mark.parametrize("counts", [(1, 1), (1, 1, 0), None, (1, 1, 1.5)])
def test_the_number_of_logits_is_checked(counts):
    class Wrong(Own):
        def fit(self, teacher, y, classes, random_state, student_inputs=None):
            super().fit(teacher, y, classes, random_state)
            self.n_subclasses_ = counts
            return self

    with pytest.raises((TypeError, ValueError), match="n_subclasses_"):
        student(Wrong()).fit(X, Y, **ARRAYS)
