"""Fitting a student: what it takes, what it learns from, what it refuses."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from torch import nn

from lelp_sklearn import (
    KD,
    LELP,
    MLP,
    ClusterSplitter,
    CrossEntropy,
    LELPProjector,
    LELPStudentClassifier,
    OracleSplitter,
    StudentClassifier,
    UniformSplitter,
)
from lelp_sklearn.inputs import SparseInputs
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


def student(cls=LELPStudentClassifier, *args, **params):
    return cls(*args, **{"max_epochs": 3, "random_state": 0, "device": "cpu", **params})


class Body(nn.Module):
    """A user's body: knows neither classes nor subclasses."""

    def __init__(self, n_features, width=5):
        super().__init__()
        self.layer = nn.Linear(n_features, width)

    def forward(self, X):
        return self.layer(X).tanh()


@pytest.mark.parametrize("module", [None, MLP, Body, nn.Sequential(nn.LazyLinear(7), nn.ReLU())])
def test_any_body_gets_a_head_of_the_right_size(module):
    s = student(module=module, projector=LELPProjector(n_subclasses={0: 2, 1: 3}))
    s.fit(ROWS.X, ROWS.y, **TEACHER)
    assert s.net_.module_.head.out_features == 5
    assert s.predict_subclass_proba(ROWS.X).shape == (400, 5)
    assert s.transform(ROWS.X).shape == (400, s.net_.module_.head.in_features)
    assert s.get_feature_names_out()[0] == "lelpstudentclassifier0"


def test_module_parameters_reach_the_body():
    s = student(StudentClassifier, MLP, module__hidden=(9, 4), module__dropout=0.5)
    s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    layers = list(s.net_.module_.body.layers)
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Dropout"] * 2
    assert [layers[0].out_features, layers[3].out_features] == [9, 4]


def test_an_instance_is_copied_and_starts_from_its_weights():
    body = Body(64)
    before = body.layer.weight.clone()
    s = student(StudentClassifier, body, lr=1e-12).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    torch.testing.assert_close(s.net_.module_.body.layer.weight, before)
    assert s.net_.module_.body is not body
    with pytest.raises(ValueError, match=r"module is an instance, .*\['width'\] cannot reach it"):
        student(StudentClassifier, body, module__width=3).fit(
            ROWS.X, ROWS.y, teacher_proba=ROWS.proba
        )


def test_a_body_must_give_one_embedding_a_row():
    with pytest.raises(ValueError, match=r"maps 2 rows to \(128,\)"):
        student(StudentClassifier, nn.Flatten(0)).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


def test_predictions_agree_with_one_another():
    s = student().fit(ROWS.X, ROWS.y, **TEACHER)
    proba = s.predict_proba(ROWS.X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.exp(s.predict_log_proba(ROWS.X)), proba, rtol=1e-6)
    by_class = s.predict_subclass_proba(ROWS.X).reshape(400, 2, -1).sum(axis=2)
    np.testing.assert_allclose(by_class, proba, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(s.predict(ROWS.X), proba.argmax(axis=1))
    odds = np.log(proba[:, 1] / proba[:, 0])
    np.testing.assert_allclose(s.decision_function(ROWS.X), odds, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["even", "odd"]),
        np.array([-3.0, 7.0]),
        np.array([False, True]),
        np.array([10, 3], dtype=np.int32),
        np.array(["b", "a"], dtype=object),
    ],
)
def test_labels_of_any_type_come_back(labels):
    y = labels[ROWS.y]
    columns = np.argsort(labels)  # classes_ are sorted, and so are the teacher's columns
    s = student(max_epochs=20).fit(
        ROWS.X, y, teacher_proba=ROWS.proba[:, columns], teacher_embeddings=ROWS.embeddings
    )
    np.testing.assert_array_equal(s.classes_, np.unique(labels))
    assert s.predict(ROWS.X).dtype == y.dtype
    assert s.score(ROWS.X, y) > 0.75


def test_more_classes_take_the_same_path():
    y = np.arange(400) % 3
    proba = np.eye(3)[y] * 0.9 + 0.1 / 3
    s = student().fit(ROWS.X, y, teacher_proba=proba, teacher_embeddings=ROWS.embeddings)
    assert s.predict_proba(ROWS.X).shape == (400, 3)
    assert s.decision_function(ROWS.X).shape == (400, 3)


def test_one_subclass_a_class_is_plain_distillation():
    one = student(projector=UniformSplitter(n_subclasses=1)).fit(ROWS.X, ROWS.y, **TEACHER)
    kd = student(StudentClassifier).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    # But for the order of float32 sums, over all steps of training.
    np.testing.assert_allclose(one.predict_proba(ROWS.X), kd.predict_proba(ROWS.X), atol=1e-4)


def test_lelp_student_is_the_student_with_the_lelp_objective():
    settings = {"temperature": 2.0, "alpha": 0.3, "subclass_weight": 0.2}
    projector = LELPProjector(n_subclasses=3)
    a = student(projector=projector, **settings).fit(ROWS.X, ROWS.y, **TEACHER)
    b = student(StudentClassifier, objective=LELP(projector=projector, **settings))
    b.fit(ROWS.X, ROWS.y, **TEACHER)
    np.testing.assert_array_equal(a.predict_proba(ROWS.X), b.predict_proba(ROWS.X))
    for name, value in {"temperature": 1.0, "alpha": 0.0, "subclass_weight": 1.0}.items():
        other = clone(a).set_params(**{name: value}).fit(ROWS.X, ROWS.y, **TEACHER)
        assert not np.array_equal(a.predict_proba(ROWS.X), other.predict_proba(ROWS.X))


def test_projector_is_fitted_on_labels_and_without_sums_in_the_student():
    projector = LELPProjector(random_state=None)
    s = student(projector=projector).fit(ROWS.X, ROWS.y, **TEACHER)
    np.testing.assert_allclose(s.projector_.means_[0], ROWS.embeddings[ROWS.y == 0].mean(axis=0))
    assert not hasattr(s.projector_, "moments_")
    assert s.projector_.random_state is not None
    assert s.projector is projector


def test_the_default_projector_is_k_means():
    s = student().fit(ROWS.X, ROWS.y, **TEACHER)
    assert isinstance(s.projector_, ClusterSplitter)
    assert s.projector is None
    assert s.subclass_weight_ == (0.3, 0.0)
    assert min(s.objective_.n_subclasses_) > 1


def test_oracle_projector_reads_fine_labels():
    fine = np.arange(400)[:, None] % 10
    s = student(projector=OracleSplitter()).fit(
        ROWS.X, fine[:, 0] % 2, teacher_proba=ROWS.proba, teacher_embeddings=fine
    )
    assert s.objective_.n_subclasses_ == (5, 5)


def test_unlabelled_rows_teach_through_the_teacher_alone():
    labeled = np.arange(400) < 40
    y = np.where(labeled, ROWS.y, -1)
    s = student(max_epochs=20).fit(ROWS.X, y, labeled=labeled, **TEACHER)
    assert s.classes_.tolist() == [0, 1]
    few = student(max_epochs=20).fit(
        ROWS.X[:40], y[:40], **{name: rows[:40] for name, rows in TEACHER.items()}
    )
    assert s.score(ROWS.X, ROWS.y) > few.score(ROWS.X, ROWS.y)
    placeholders = np.array(
        [label if known else None for label, known in zip(y, labeled, strict=True)]
    )
    again = student(max_epochs=20).fit(ROWS.X, placeholders, labeled=labeled, **TEACHER)
    np.testing.assert_array_equal(again.predict_proba(ROWS.X), s.predict_proba(ROWS.X))


def test_alpha_reads_labels_where_they_are_known():
    labeled = np.arange(400) < 200
    wrong = np.where(labeled, ROWS.y, 1 - ROWS.y)
    fits = [
        student(StudentClassifier, objective=KD(alpha=0.5)).fit(
            ROWS.X, y, labeled=labeled, teacher_proba=ROWS.proba
        )
        for y in (ROWS.y, wrong)
    ]
    np.testing.assert_array_equal(fits[0].predict_proba(ROWS.X), fits[1].predict_proba(ROWS.X))
    flipped = student(StudentClassifier, objective=KD(alpha=0.5)).fit(
        ROWS.X, 1 - ROWS.y, labeled=labeled, teacher_proba=ROWS.proba
    )
    assert not np.allclose(fits[0].predict_proba(ROWS.X), flipped.predict_proba(ROWS.X))


def test_without_a_teacher_it_trains_on_labels_and_says_so():
    with pytest.warns(UserWarning, match="trains on the labels alone. Pass teacher_proba and"):
        s = student().fit(ROWS.X, ROWS.y)
    labels = student(StudentClassifier, objective=CrossEntropy()).fit(ROWS.X, ROWS.y)
    np.testing.assert_array_equal(s.predict_proba(ROWS.X), labels.predict_proba(ROWS.X))


def test_a_teacher_that_is_not_used_is_not_dropped_in_silence():
    with pytest.warns(UserWarning, match="teacher_proba is not used"):
        student(StudentClassifier, objective=CrossEntropy()).fit(
            ROWS.X, ROWS.y, teacher_proba=ROWS.proba
        )


def test_labels_alone_leave_unlabelled_rows_out():
    labeled = np.arange(400) < 100
    objective = CrossEntropy(n_subclasses=2)
    a = student(StudentClassifier, objective=objective).fit(ROWS.X, ROWS.y, labeled=labeled)
    b = student(StudentClassifier, objective=objective).fit(ROWS.X[:100], ROWS.y[:100])
    np.testing.assert_array_equal(a.predict_proba(ROWS.X), b.predict_proba(ROWS.X))
    assert a.net_.module_.head.out_features == 4


def test_weight_zero_is_a_row_left_out():
    weight = np.ones(400)
    weight[300:] = 0
    a = student().fit(ROWS.X, ROWS.y, weight, **TEACHER)
    b = student().fit(
        ROWS.X[:300], ROWS.y[:300], **{name: rows[:300] for name, rows in TEACHER.items()}
    )
    np.testing.assert_array_equal(a.predict_proba(ROWS.X), b.predict_proba(ROWS.X))


@pytest.mark.parametrize(
    "pull",
    [
        {"sample_weight": np.where(ROWS.y == 1, 100.0, 0.01)},
        {"class_weight": {0: 0.01, 1: 100.0}},
    ],
)
def test_weights_pull_towards_their_rows(pull):
    # Two coin-tossing classes: only the weights can tell the student what to say.
    X = np.zeros((400, 3))
    class_weight = pull.pop("class_weight", None)
    s = student(StudentClassifier, objective=CrossEntropy(), class_weight=class_weight, lr=0.3)
    assert s.fit(X, ROWS.y, **pull).predict_proba(X[:1])[0, 1] > 0.8


def test_balanced_classes_count_alike():
    y = (np.arange(400) % 10 == 0).astype(int)
    s = student(
        StudentClassifier,
        objective=CrossEntropy(),
        class_weight="balanced",
        batch_size=400,  # of less, the last batches' share counts most
        lr=0.1,
        max_epochs=60,
    )
    p = s.fit(np.zeros((400, 1)), y).predict_proba([[0.0]])[0, 1]
    assert p == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_data_frames(make):
    X = make(ROWS.X, **({"columns": [f"p{i}" for i in range(64)]} if make is pd.DataFrame else {}))
    s = student().fit(X, ROWS.y, teacher_proba=make(ROWS.proba), teacher_embeddings=ROWS.embeddings)
    plain = student().fit(ROWS.X, ROWS.y, **TEACHER)
    np.testing.assert_array_equal(s.predict_proba(X), plain.predict_proba(ROWS.X))
    assert len(s.feature_names_in_) == 64


def test_probabilities_a_rounding_error_below_zero_are_zero():
    proba = np.eye(2)[ROWS.y]
    shaky = proba + np.where(proba == 0, -1e-9, 1e-9)
    fits = [
        student(StudentClassifier).fit(ROWS.X, ROWS.y, teacher_proba=p.astype(np.float64))
        for p in (np.maximum(shaky, 0), shaky)
    ]
    np.testing.assert_array_equal(fits[0].predict_proba(ROWS.X), fits[1].predict_proba(ROWS.X))


def test_a_body_that_cannot_read_its_inputs_is_named():
    student = StudentClassifier(MLP, inputs=SparseInputs(), objective=CrossEntropy())
    with pytest.raises(TypeError, match=r"the body MLP failed on two rows that are a Bags"):
        student.fit(ROWS.X, ROWS.y)
