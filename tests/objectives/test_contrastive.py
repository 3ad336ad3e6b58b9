"""CRD: negatives, its bank, and views of tabular rows."""

import numpy as np
import pytest
import torch
from scipy import sparse

from lelp_sklearn import CRD, BagOfNgrams, StudentClassifier, StudentOutputs
from lelp_sklearn.objectives._corruption import corrupted
from tests.data import digits
from tests.objectives.test_relations import batch, fitted

ROWS = digits()


def loss_of(objective, rows=None, y=ROWS.y, width=5, seed=0, view=None):
    rows = slice(None) if rows is None else rows
    targets = {name: values[rows] for name, values in batch(objective, y=y).items()}
    n = len(targets["y"])
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(n, width, generator=generator).requires_grad_()
    outputs = StudentOutputs(torch.zeros(n, 2), embedding, view=view)
    return objective.loss(outputs, targets, 0.0)


def test_class_negatives_of_one_class_are_none():
    rows = np.flatnonzero(ROWS.y == 0)[:20]
    for memory in ("batch", "bank"):
        assert loss_of(fitted(CRD(negatives="class", memory=memory)), rows).item() == 0
        assert loss_of(fitted(CRD(memory=memory)), rows).item() > 0


def test_class_negatives_are_at_most_the_rows_of_the_other_class():
    y = np.zeros(400, dtype=np.int64)
    y[:7] = 1
    objective = fitted(CRD(memory="bank", negatives="class", n_negatives=300), y=y)
    loss_of(objective, y=y)
    bank = objective.module_["bank"]
    drawn = objective._drawn(bank)
    classes = bank.y[drawn]
    assert (classes == 1).sum() == 7
    assert (classes == 0).sum() == 300


def test_row_negatives_are_as_many_as_asked_for():
    objective = fitted(CRD(memory="bank", n_negatives=30))
    loss_of(objective)
    assert len(objective._drawn(objective.module_["bank"])) == 30


def test_a_row_is_no_negative_of_its_own():
    # Of two rows alone in the bank, each has the other.
    objective = fitted(CRD(memory="bank"))
    rows = np.array([3, 8])
    objective.module_["bank"].eval()
    assert loss_of(objective, rows).item() == 0  # nothing has been seen
    objective.module_["bank"].train()
    assert loss_of(objective, rows[:1]).item() == 0  # nothing but itself
    assert loss_of(objective, rows).item() > 0


def test_the_bank_moves_with_momentum():
    embeddings = {}
    for momentum in (0.0, 0.9):
        objective = fitted(CRD(memory="bank", momentum=momentum))
        bank = objective.module_["bank"]
        rows = np.arange(10)
        loss_of(objective, rows, seed=0)
        first = bank.student.clone()
        loss_of(objective, rows, seed=1)
        seen = bank.seen
        assert seen.sum() == 10
        cosine = (first * bank.student).sum(dim=1)[seen]
        embeddings[momentum] = cosine.min().item()
        torch.testing.assert_close(bank.student[seen].norm(dim=1), torch.ones(10))
    assert embeddings[0.9] > 0.9
    assert embeddings[0.0] < 0.9


def test_validation_leaves_the_bank_alone():
    objective = fitted(CRD(memory="bank"))
    loss_of(objective)
    before = objective.module_["bank"].student.clone()
    objective.module_.eval()
    loss_of(objective, seed=1)
    assert torch.equal(before, objective.module_["bank"].student)


@pytest.mark.parametrize("memory", ["batch", "bank"])
def test_a_view_is_one_more_query(memory):
    objective = fitted(CRD(memory=memory, corruption=0.5))
    torch.manual_seed(0)
    plain = loss_of(objective, seed=1)
    view = torch.randn(400, 5, requires_grad=True)
    torch.manual_seed(0)
    both = loss_of(objective, seed=1, view=view)
    assert both.item() != plain.item()
    both.backward()
    assert view.grad.abs().sum() > 0


def test_views_are_made_where_there_is_corruption():
    X = torch.as_tensor(ROWS.X)
    assert CRD().view(X) is None
    assert not torch.equal(CRD(corruption=0.5).view(X), X)


def test_corrupted_features_are_other_rows():
    X = torch.arange(2000.0).reshape(200, 10)
    view = corrupted(X, 0.6, ())
    changed = view != X
    assert changed.float().mean().item() == pytest.approx(0.6, abs=0.05)
    for column in range(10):
        assert torch.isin(view[:, column], X[:, column]).all()
    assert (corrupted(X, 1.0, ()) != X).all()
    assert torch.equal(corrupted(X[:1], 1.0, ()), X[:1])


def test_groups_stay_together():
    code = torch.eye(4)[torch.randint(4, (200,))]
    X = torch.cat([torch.rand(200, 2), code], dim=1)
    view = corrupted(X, 0.5, [[2, 3, 4, 5]])
    assert (view[:, 2:].sum(dim=1) == 1).all()
    assert (view[:, 2:] != code).any()
    assert not (corrupted(X, 0.5, ())[:, 2:].sum(dim=1) == 1).all()


@pytest.mark.parametrize("groups", [[[0, 99]], [[0, 1], [1, 2]], [[-1, 0]]])
def test_bad_groups(groups):
    with pytest.raises(ValueError, match="expected numbers from 0 to 63, each in one group"):
        CRD(corruption=0.5, groups=groups).view(torch.as_tensor(ROWS.X))


def test_views_are_of_dense_numbers():
    with pytest.raises(TypeError, match=r"corruption=0\.5 .* torch.int64 tensor"):
        CRD(corruption=0.5).view(torch.ones(3, 2, dtype=torch.int64))
    student = StudentClassifier(BagOfNgrams, objective=CRD(corruption=0.5), device="cpu")
    with pytest.raises(TypeError, match=r"dense rows of numbers, and the student's are"):
        student.fit(sparse.csr_matrix(ROWS.X), ROWS.y, teacher_embeddings=ROWS.embeddings)
