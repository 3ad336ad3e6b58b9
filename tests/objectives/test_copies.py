"""A copied student trains on like the first: its objective's parts are those of its network."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

from lelp_sklearn import CRD, KD, MLP, SP, CompRess, SimKD, StudentClassifier
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
OBJECTIVES = [SimKD(), SimKD() + 0.1 * SP(), KD() + CRD(memory="bank"), KD() + CompRess()]


def fitted(objective):
    student = StudentClassifier(
        MLP, objective=objective, max_epochs=1, random_state=0, device="cpu"
    )
    return student.fit(ROWS.X, ROWS.y, **TEACHER)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_trains_on_like_the_first(objective, copier):
    first = fitted(objective)
    before = first.predict_proba(ROWS.X)
    second = copier(first)
    for student in (first, second):
        for _ in range(2):
            student.partial_fit(ROWS.X, ROWS.y, **TEACHER)
    assert not np.array_equal(before, first.predict_proba(ROWS.X))
    np.testing.assert_array_equal(first.predict_proba(ROWS.X), second.predict_proba(ROWS.X))
    assert (first.history_[-1]["train_loss"]) == second.history_[-1]["train_loss"]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_a_pickle_holds_tensors_in_skorchs_hands_alone(objective):
    """skorch brings those of a GPU to a machine without one; others would fail to load."""
    outside = []

    class Pickler(pickle.Pickler):
        def reducer_override(self, value):
            if isinstance(value, torch.Tensor | torch.nn.Module):
                outside.append(type(value))
            return NotImplemented

    Pickler(io.BytesIO()).dump(fitted(objective))
    assert not outside
