"""Objectives that match the teacher's embeddings: EmbeddingMatching, VID and CKA."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from lelp_sklearn import CKA, KD, MLP, VID, EmbeddingMatching, StudentClassifier
from lelp_sklearn.objectives._regressors import make_projector
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
PROJECTORS = ["linear", "orthogonal", "mlp", "ensemble"]
EVERY = [
    *(EmbeddingMatching(projector=projector) for projector in PROJECTORS),
    EmbeddingMatching(kind="cosine"),
    EmbeddingMatching(kind="log_sum"),
    VID(),
    CKA(),
    CKA(unbiased=True),
]


def fit(objective, teacher=TEACHER, **params):
    settings = {"max_epochs": 10, "random_state": 0, "device": "cpu", "lr": 0.02} | params
    student = StudentClassifier(settings.pop("module", MLP), objective=objective, **settings)
    return student.fit(ROWS.X, ROWS.y, **teacher)


def embedding(objective, **params):
    return fit(objective, **params).transform(ROWS.X)


def last(student, name="train_loss"):
    return student.history_[-1][name]


@pytest.mark.parametrize("objective", EVERY, ids=str)
def test_trains_beside_the_classes(objective):
    student = fit(KD() + objective)
    losses = [row[f"train_{type(objective).__name__.lower()}"] for row in student.history_]
    assert np.mean(losses[-3:]) < losses[0] - 0.03
    assert student.score(ROWS.X, ROWS.y) > 0.75
    module = student.objective_.objectives_[1][1].module_
    if module is not None:
        own = {id(p) for p in student.net_.module_.parameters()}
        assert {id(p) for p in module.parameters()} <= own
    copy = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(copy.transform(ROWS.X), student.transform(ROWS.X))


@pytest.mark.parametrize("objective", EVERY, ids=str)
def test_learned_parts_change(objective):
    before = fit(objective, lr=1e-12, max_epochs=1).net_.module_.learned
    if before is None:
        assert isinstance(objective, CKA)
        return
    after = fit(objective, max_epochs=1).net_.module_.learned
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert not any(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


@pytest.mark.parametrize("objective", [EmbeddingMatching(), VID(), CKA()], ids=str)
def test_the_teachers_columns_have_no_scale(objective):
    scaled = ROWS.embeddings * 10 ** np.linspace(-2, 2, 10) + 50
    same = embedding(objective, teacher={**TEACHER, "teacher_embeddings": scaled})
    np.testing.assert_allclose(same, embedding(objective), atol=0.02)


def test_statistics_are_those_of_the_first_rows():
    student = fit(EmbeddingMatching())
    mean = student.objective_.scaler_.mean_.copy()
    student.partial_fit(ROWS.X, ROWS.y, teacher_embeddings=ROWS.embeddings + 100)
    np.testing.assert_array_equal(student.objective_.scaler_.mean_, mean)
    assert last(student) > 100
    with pytest.raises(ValueError, match="10 features"):
        student.partial_fit(ROWS.X, ROWS.y, teacher_embeddings=ROWS.embeddings[:, :4])


def test_matching_alone_learns_the_embedding_and_no_classes():
    student = fit(EmbeddingMatching(), max_epochs=40)
    assert last(student) < 0.5
    head = student.net_.module_.head.weight
    start = fit(EmbeddingMatching(), lr=1e-12, max_epochs=1).net_.module_.head.weight
    torch.testing.assert_close(head, start, rtol=0.05, atol=0.01)  # weight decay only


def test_the_loss_by_hand():
    student = fit(EmbeddingMatching(), max_epochs=1, lr=1e-12, schedule=None, batch_size=400)
    t = (ROWS.embeddings - ROWS.embeddings.mean(0)) / ROWS.embeddings.std(0)
    with torch.no_grad():
        r = student.objective_.module_(torch.from_numpy(student.transform(ROWS.X))).numpy()
    assert last(student) == pytest.approx(np.square(r - t).mean(), rel=1e-4)


def test_every_kind_and_projector_is_another_objective():
    found = [embedding(EmbeddingMatching(projector=p), max_epochs=2) for p in PROJECTORS]
    found += [embedding(EmbeddingMatching(kind=k), max_epochs=2) for k in ("cosine", "log_sum")]
    found += [embedding(VID(projector=p), max_epochs=2) for p in ("linear", "mlp")]
    found += [embedding(VID(init_variance=9.0), max_epochs=2)]
    found += [embedding(CKA(unbiased=u), max_epochs=2) for u in (False, True)]
    for i, a in enumerate(found):
        assert all(np.abs(a - b).max() > 1e-3 for b in found[:i])


def test_no_projector_needs_the_teachers_width():
    with pytest.raises(ValueError, match="module__hidden=10"):
        fit(EmbeddingMatching(projector=None))
    student = fit(EmbeddingMatching(projector=None), module__hidden=10)
    assert not list(student.net_.module_.learned.parameters())
    assert last(student) < student.history_[0]["train_loss"]


def test_a_cosine_needs_two_columns():
    with pytest.raises(ValueError, match="has one column"):
        fit(EmbeddingMatching(kind="cosine"), {"teacher_embeddings": ROWS.embeddings[:, :1]})


@pytest.mark.parametrize("widths", [(6, 10), (10, 6), (5, 5)])
def test_an_orthogonal_projector_stays_one(widths):
    torch.manual_seed(0)
    projector = make_projector("orthogonal", *widths)
    optimizer = torch.optim.SGD(projector.parameters(), lr=0.5)
    start = projector.weight.detach()
    rows, target = torch.randn(20, widths[0]), torch.randn(20, widths[1])
    for _ in range(5):
        optimizer.zero_grad()
        (projector(rows) - target).square().mean().backward()
        optimizer.step()
    W = projector.weight.detach()
    product = W @ W.T if widths[0] > widths[1] else W.T @ W
    torch.testing.assert_close(product, torch.eye(min(widths)), atol=1e-5, rtol=0)
    assert 1e-3 < (W - start).abs().max() < 1  # it moves, and does not jump


def test_an_ensemble_is_a_mean():
    projector = make_projector("ensemble", 4, 3)
    rows = torch.randn(5, 4)
    by_hand = sum(part(rows) for part in projector) / 3
    torch.testing.assert_close(projector(rows), by_hand)
    assert not torch.allclose(projector[0](rows), projector[1](rows))


def test_variances_start_where_they_should_and_tell_columns_apart():
    embeddings = ROWS.embeddings.copy()
    embeddings[:, 0] = np.random.default_rng(0).standard_normal(400)  # nothing to predict
    teacher = {**TEACHER, "teacher_embeddings": embeddings}
    for variance in (0.01, 1.0, 5.0):
        start = fit(VID(init_variance=variance), lr=1e-12, max_epochs=1)
        assert last(start, "train_variance") == pytest.approx(variance, rel=1e-4)
    learned = fit(VID(), teacher=teacher, max_epochs=60).objective_.module_.variance.detach()
    assert learned[0] > 1.3 * learned[1:].max()
    assert learned[1:].max() < 0.9


@pytest.mark.parametrize("objective", [EmbeddingMatching(), VID(), CKA()], ids=str)
def test_a_linear_student_is_told_that_it_has_nothing_to_learn(objective):
    with pytest.raises(ValueError, match="nothing to train"):
        fit(KD() + objective, module=None)


@pytest.mark.parametrize("objective", EVERY, ids=str)
def test_row_weights_count(objective):
    weight = np.where(np.arange(400) < 200, 1.0, 1e-6)
    light = embedding(objective, teacher={**TEACHER, "sample_weight": weight}, max_epochs=3)
    differs = np.abs(light - embedding(objective, max_epochs=3)).max() > 1e-2
    assert differs != (isinstance(objective, CKA) and objective.unbiased)


@pytest.mark.parametrize("objective", [EmbeddingMatching(), VID(), CKA()], ids=str)
def test_embeddings_are_needed(objective):
    with pytest.raises(ValueError, match="needs teacher_embeddings"):
        fit(objective, teacher={"teacher_proba": ROWS.proba})
    for name in objective.get_params():
        with pytest.raises(ValueError, match=name):
            fit(clone(objective).set_params(**{name: "strange"}))


def test_parameters_are_searchable():
    student = StudentClassifier(objective=KD() + VID())
    student.set_params(objective__vid__init_variance=2.0)
    assert clone(student).objective.objectives[1][1].init_variance == 2.0


@pytest.mark.parametrize("objective", EVERY, ids=str)
def test_batches_of_one_and_of_one_class(objective):
    student = StudentClassifier(MLP, objective=KD() + objective, random_state=0)
    for rows in (np.arange(100), np.flatnonzero(ROWS.y == 1)[:20], [3]):
        teacher = {name: values[rows] for name, values in TEACHER.items()}
        student.partial_fit(ROWS.X[rows], ROWS.y[rows], classes=[0, 1], **teacher)
        assert np.isfinite(last(student))
    assert np.isfinite(student.predict_proba(ROWS.X)).all()


@pytest.mark.parametrize(("dim", "hidden"), [(3, 6), (200, 256), (384, 384)])
def test_width_of_the_network_of_vid(dim, hidden):
    teacher = TeacherOutputs(embeddings=np.random.default_rng(0).standard_normal((5, dim)))
    objective = VID().fit(teacher, np.zeros(5, int), np.arange(2), 0)
    module = objective.build(StudentOutputs(torch.zeros(2, 2), torch.zeros(2, 7)))
    assert [tuple(layer.weight.shape) for layer in (module.mean[0], module.mean[2])] == [
        (hidden, 7),
        (dim, hidden),
    ]
