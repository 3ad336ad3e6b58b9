"""Objectives on relations among rows: RKD, SP, PKT, CompRess and RelationalAlignment."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from lelp_sklearn import (
    CRD,
    KD,
    MLP,
    PKT,
    RKD,
    SP,
    CompRess,
    Linear,
    RelationalAlignment,
    StudentClassifier,
    StudentOutputs,
    TeacherOutputs,
)
from lelp_sklearn.inputs import ArrayInputs
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
TWO_QUEUES = CompRess(kind="2q")
# Each with a weight at which it matters beside KD.
EVERY = [
    (RKD(), 0.5),
    (SP(), 100.0),
    (PKT(), 10.0),
    (CompRess(), 0.2),
    (TWO_QUEUES, 0.2),
    (RelationalAlignment(), 0.5),
    (RelationalAlignment(projection="supcon"), 0.5),
    (CRD(), 0.2),
    (CRD(negatives="class"), 0.2),
    (CRD(memory="bank"), 0.1),
    (CRD(memory="bank", negatives="class"), 0.1),
    (CRD(corruption=0.3), 0.2),
]
IDS = [repr(objective) for objective, _ in EVERY]


@pytest.fixture(scope="module", autouse=True)
def fewer_steps():
    """The supervised projection is trained anew in every fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lelp_sklearn.objectives._reaugkd._STEPS", 50)
        yield


objectives = pytest.mark.parametrize("objective", [o for o, _ in EVERY], ids=IDS)


def fit(objective, module=MLP, **params):
    settings = {"max_epochs": 2, "random_state": 0, "device": "cpu", "lr": 0.01} | params
    return StudentClassifier(module, objective=objective, **settings).fit(ROWS.X, ROWS.y, **TEACHER)


def losses(student, name="train_loss"):
    return [row[name] for row in student.history_]


def fitted(objective, embeddings=ROWS.embeddings, width=5, y=ROWS.y):
    """An objective fitted and built without a student."""
    teacher = TeacherOutputs(embeddings=np.asarray(embeddings))
    objective = clone(objective).fit(teacher, y[: len(embeddings)], np.unique(y), 0)
    objective.build(StudentOutputs(torch.zeros(2, 2), torch.zeros(2, width)))
    return objective


def batch(objective, embeddings=ROWS.embeddings, y=ROWS.y):
    """All rows' targets as one batch."""
    targets = objective.targets(TeacherOutputs(embeddings=np.asarray(embeddings)))
    n = len(embeddings)
    common = {"y": y[:n], "weight": np.ones(n, dtype=np.float32)}
    return {name: torch.as_tensor(values) for name, values in (targets | common).items()}


@objectives
def test_its_loss_falls(objective):
    objective = fitted(objective)
    targets = {name: values[:100] for name, values in batch(objective).items()}
    embedding = torch.randn(100, 5, requires_grad=True)
    view = torch.randn(100, 5) if getattr(objective, "corruption", 0) else None
    outputs = StudentOutputs(torch.zeros(100, 2), embedding, view=view)
    learned = [] if objective.module_ is None else objective.module_.parameters()
    optimizer = torch.optim.Adam([embedding, *learned], lr=0.1)
    values = []
    for _ in range(40):
        loss = objective.loss(outputs, targets, 0.0)
        values.append(loss[0] if isinstance(loss, tuple) else loss)
        optimizer.zero_grad()
        values[-1].backward()
        optimizer.step()
    values = torch.stack(values).detach()
    assert values.isfinite().all()
    assert values[-4:].mean() < 0.8 * values[:4].mean()


@pytest.mark.parametrize(("objective", "weight"), EVERY, ids=IDS)
def test_it_leaves_kd_its_classes(objective, weight):
    assert fit(KD() + weight * objective, max_epochs=6, lr=0.03).score(ROWS.X, ROWS.y) > 0.75


@objectives
def test_a_given_seed_is_the_same_student(objective):
    assert losses(fit(objective)) == losses(fit(objective))


@objectives
def test_pickled_it_goes_on_training_as_if_it_had_not_been(objective):
    student = fit(KD() + objective)
    copies = [pickle.loads(pickle.dumps(student)), copy.deepcopy(student), student]
    for each in copies:
        each.partial_fit(ROWS.X[:50], ROWS.y[:50], **{k: v[:50] for k, v in TEACHER.items()})
        part = each.objective_.objectives_[1][1]
        if part.module_ is not None:  # what the loss reads is what the optimizer trains
            assert part.module_ is next(
                m for n, m in each.net_.module_.learned.items() if n != "kd"
            )
    assert losses(copies[0]) == losses(copies[1]) == losses(copies[2])


@objectives
def test_rows_of_a_later_call_need_not_be_those_of_the_first(objective):
    student = fit(objective)
    new = ROWS.embeddings[::-1][:60] + 0.1
    student.partial_fit(ROWS.X[:60], ROWS.y[:60], teacher_embeddings=new)
    assert np.isfinite(losses(student)).all()
    with pytest.raises(ValueError, match="4 columns, and 10 in the first call"):
        student.partial_fit(ROWS.X[:60], ROWS.y[:60], teacher_embeddings=new[:, :4])


@objectives
def test_missing_embeddings_are_named(objective):
    with pytest.raises(ValueError, match="needs teacher_embeddings"):
        StudentClassifier(MLP, objective=objective).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


@objectives
def test_validation_is_repeatable(objective):
    student = fit(objective, validation_fraction=0.3, lr=1e-12, schedule=None)
    valid = losses(student, "valid_loss")
    assert np.isfinite(valid).all()
    if "bank" not in repr(objective) and "2q" not in repr(objective):  # these fill up first
        assert valid[0] == pytest.approx(valid[1], rel=1e-4)


@objectives
@pytest.mark.parametrize("name", ["one row", "identical", "one class", "large"])
def test_odd_batches_are_finite(objective, name):
    objective = fitted(objective)
    rows = {
        "one row": ROWS.embeddings[:1],
        "identical": np.ones((6, 10)),
        "one class": ROWS.embeddings[ROWS.y == 1][:6],
        "large": 1e4 * ROWS.embeddings[:6],
    }[name]
    y = np.ones(len(rows), dtype=np.int64)
    embedding = torch.ones(len(rows), 5) if name == "identical" else torch.randn(len(rows), 5)
    embedding = (1e4 * embedding if name == "large" else embedding).requires_grad_()
    loss = objective.loss(
        StudentOutputs(torch.zeros(len(rows), 2), embedding), batch(objective, rows, y), 0.0
    )
    loss = loss[0] if isinstance(loss, tuple) else loss
    loss.backward()
    assert loss.isfinite()
    assert embedding.grad.isfinite().all()


@objectives
def test_row_weights_count(objective):
    weight = np.where(np.arange(len(ROWS.y)) % 3 == 0, 5.0, 0.5)
    settings = {"max_epochs": 1, "random_state": 0, "device": "cpu"}
    student = StudentClassifier(MLP, objective=objective, **settings)
    plain, weighed = (
        losses(clone(student).fit(ROWS.X, ROWS.y, sample_weight=w, **TEACHER))
        for w in (None, weight)
    )
    assert plain != weighed


@pytest.mark.parametrize(
    "objective", [CompRess(), RelationalAlignment(), CRD()], ids=["1q", "reaugkd", "crd"]
)
def test_learned_parts_train_with_the_student(objective):
    student = fit(objective)
    own = {id(p) for p in student.net_.module_.parameters()}
    learned = dict(student.objective_.module_.named_parameters())
    assert learned
    assert {id(p) for p in learned.values()} <= own
    before = dict(fit(objective, lr=1e-12).objective_.module_.named_parameters())
    for name, value in learned.items():
        assert (value - before[name]).abs().max() > 1e-4


@pytest.mark.parametrize("objective", [RKD(), SP(), PKT(), CompRess(), TWO_QUEUES, CRD()])
def test_a_body_that_cannot_move_is_an_error(objective):
    with pytest.raises(ValueError, match="module=MLP"):
        fit(KD() + objective, module=Linear)


def test_a_linear_student_can_still_be_aligned():
    student = fit(RelationalAlignment(), module=Linear, max_epochs=10)
    assert losses(student)[-1] < 0.9 * losses(student)[0]


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (RKD(), {"distance_weight": 0.0, "angle_weight": 0.0, "n_anchors": 16, "n_vertices": 5}),
        (SP(), {"center": False}),
        (PKT(), {"center": False}),
        (CompRess(), {"kind": "2q", "bank_size": 40, "temperature": 0.5, "n_components": 3}),
        (
            RelationalAlignment(),
            {"projection": "supcon", "n_components": 3, "temperature": 0.5},
        ),
        (RelationalAlignment(n_components=3), {"projection": None}),
        (
            CRD(),
            {
                "memory": "bank",
                "negatives": "class",
                "temperature": 0.5,
                "dim": 7,
                "corruption": 0.5,
            },
        ),
        (CRD(memory="bank"), {"bank_size": 50, "n_negatives": 9, "momentum": 0.0}),
        (CRD(corruption=0.5), {"groups": [[0, 1, 2, 3], list(range(8, 40))]}),
    ],
)
def test_every_parameter_matters(base, changes):
    default = losses(fit(base))
    for name, value in changes.items():
        assert losses(fit(clone(base).set_params(**{name: value}))) != default, name


@pytest.mark.parametrize(
    ("objective", "params"),
    [
        (RKD, {"n_anchors": 2}),
        (RKD, {"distance_weight": -1.0}),
        (SP, {"center": "yes"}),
        (CompRess, {"kind": "3q"}),
        (CompRess, {"temperature": 0.0}),
        (RelationalAlignment, {"projection": "umap"}),
        (CRD, {"momentum": 1.0}),
        (CRD, {"corruption": 1.5}),
        (CRD, {"negatives": "rows"}),
    ],
)
def test_bad_parameters(objective, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        fit(objective(**params))


def test_grids_name_the_parameters():
    student = StudentClassifier(objective=KD() + RKD())
    student.set_params(objective__rkd__n_anchors=20)
    assert student.objective.objectives[1][1].n_anchors == 20


@pytest.mark.parametrize("objective", [RKD(), SP(), PKT(), CompRess(kind="2q", bank_size=400)])
def test_a_student_like_the_teacher_has_no_loss(objective):
    objective = fitted(objective, width=10)
    targets = batch(objective)
    # Twice, turned and shifted: only relations matter. One call fills the bank of "2q".
    like = 2 * targets["embedding"].flip(1) + 3
    outputs = StudentOutputs(torch.zeros(400, 2), like.requires_grad_())
    loss = objective.loss(outputs, targets, 0.0)
    assert (loss[0] if isinstance(loss, tuple) else loss).item() < 1e-5


def test_rkd_logs_its_terms():
    row = fit(KD() + RKD(distance_weight=3.0, angle_weight=0.5)).history_[0]
    total = 3 * row["train_rkd_distance"] + 0.5 * row["train_rkd_angle"]
    assert row["train_rkd"] == pytest.approx(total, rel=1e-5)


def test_rkd_with_all_vertices():
    objective = fitted(RKD(n_vertices=None, n_anchors=30))
    embedding = torch.randn(400, 5, requires_grad=True)
    outputs = StudentOutputs(torch.zeros(400, 2), embedding)
    objective.loss(outputs, batch(objective), 0.0)[0].backward()
    assert (embedding.grad.abs().sum(dim=1) > 0).sum() == 30


def test_a_large_mean_hides_relations_unless_centred():
    far = ROWS.embeddings + 1000.0
    teachers = [fitted(SP(), rows) for rows in (ROWS.embeddings, far)]
    outputs = StudentOutputs(torch.zeros(400, 2), torch.randn(400, 5, requires_grad=True))
    near, moved = (
        o.loss(outputs, batch(o, rows), 0.0).item()
        for o, rows in zip(teachers, (ROWS.embeddings, far), strict=True)
    )
    assert near == pytest.approx(moved, rel=1e-3)


def test_compress_masks_a_row_by_itself():
    # Hot, the row itself would take all of the teacher's soft-max.
    objective = fitted(CompRess(bank_size=400))
    targets = batch(objective)
    assert sorted(targets["slot"].tolist()) == list(range(400))
    bank = torch.as_tensor(objective.bank_)
    torch.testing.assert_close(bank[targets["slot"]], targets["embedding"])


def test_banks_know_rows_by_their_values():
    objective = fitted(CompRess(bank_size=100))
    slot = batch(objective)["slot"]
    assert (slot >= 0).sum() == 100
    order = np.random.default_rng(0).permutation(400)
    assert torch.equal(batch(objective, ROWS.embeddings[order])["slot"], slot[order])
    assert (batch(objective, ROWS.embeddings + 1)["slot"] == -1).all()
    twice = fitted(CompRess(), np.repeat(ROWS.embeddings[:20], 2, axis=0))
    assert len(twice.bank_) == 20


def test_unseen_entries_of_the_students_bank_do_not_count():
    objective = fitted(CompRess(kind="2q"))
    targets = {name: values[:30] for name, values in batch(objective).items()}
    outputs = StudentOutputs(torch.zeros(30, 2), torch.randn(30, 5, requires_grad=True))
    objective.loss(outputs, targets, 0.0)
    bank = objective.module_
    assert bank.seen.sum() == (targets["slot"] >= 0).sum()
    bank.student[~bank.seen] = torch.nan  # would spoil the loss if they counted
    bank.student.nan_to_num_(0.0)
    bank.eval()
    assert objective.loss(outputs, targets, 0.0).isfinite()


def test_fewer_components_are_the_principal_ones():
    objective = fitted(CompRess(n_components=3))
    centred = ROWS.embeddings - ROWS.embeddings.mean(axis=0)
    directions = np.linalg.svd(centred)[2][:3]
    np.testing.assert_allclose(np.abs(directions @ objective.components_), np.eye(3), atol=1e-3)


def test_the_shared_space_is_at_hand():
    raw = ArrayInputs(standardize=False)
    student = fit(RelationalAlignment(n_components=4), max_epochs=30, inputs=raw)
    objective = student.objective_
    z = objective.project(ROWS.embeddings)
    embedding = torch.as_tensor(student.transform(ROWS.X))
    with torch.no_grad():
        s = objective.query(embedding).numpy()
    assert z.shape == s.shape == (400, 4)
    for rows in (z, s):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    nearest = (s @ z.T).argsort(axis=1)[:, -10:]
    assert (ROWS.proba.argmax(axis=1)[nearest].mean(axis=1).round() == ROWS.y).mean() > 0.7


@pytest.mark.parametrize("params", [{}, {"projection": None}, {"projection": "supcon"}])
def test_a_teacher_of_one_column_is_aligned_with(params):
    # At length 1 it would be -1 or 1: cosines without a slope, and a student at chance.
    line = 100 * ROWS.proba[:, :1]
    settings = {"max_epochs": 8, "random_state": 0, "device": "cpu", "lr": 0.02}
    objective = KD() + RelationalAlignment(**params)
    student = StudentClassifier(MLP, objective=objective, **settings)
    student.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba, teacher_embeddings=line)
    alignment = student.objective_.objectives_[1][1]
    with torch.no_grad():
        s = alignment.query(torch.as_tensor(student.transform(ROWS.X))).numpy()
    nearest = (s @ alignment.project(line).T).argsort(axis=1)[:, -10:]
    votes = ROWS.proba.argmax(axis=1)[nearest].mean(axis=1).round()
    assert (votes == ROWS.y).mean() > 0.75


def test_one_component_is_a_line_too():
    objective = fitted(RelationalAlignment(n_components=1))
    z = objective.project(ROWS.embeddings)
    first = np.linalg.svd(ROWS.embeddings - ROWS.embeddings.mean(axis=0), full_matrices=False)[0]
    angle = np.arctan(z[:, 0] / z[:, 1])
    np.testing.assert_allclose(abs(np.tan(angle)), abs(first[:, 0]) * 20, atol=0.01)  # of std 1
    constant = fitted(RelationalAlignment(), np.ones((400, 1)))
    np.testing.assert_array_equal(constant.project(np.ones((5, 1))), [[0, 1]] * 5)


def test_supervised_contrast_draws_classes_apart():
    def between(objective):
        z = fitted(objective).project(ROWS.embeddings)
        same = ROWS.y[:, None] == ROWS.y
        similar = z @ z.T
        return similar[same].mean() - similar[~same].mean()

    pca = between(RelationalAlignment(n_components=4))
    assert between(RelationalAlignment(n_components=4, projection="supcon")) > pca + 0.3
