"""The short way through an epoch does what skorch's own does, and bfloat16 what it says."""

import numpy as np
import pytest
import torch
from skorch.callbacks import BatchScoring, Callback

from lelp_sklearn import KD, MLP, RKD, StudentClassifier
from tests.data import digits
from tests.rounding import float32

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


class Listener(Callback):
    """Has batches told, so that skorch's loop runs."""

    def __init__(self):
        self.losses = []

    def on_batch_end(self, net, training, loss, **kwargs):
        assert net.history[-1, "batches", -1]  # the record it may read
        self.losses.append((training, loss.item()))


def fit(**params):
    params = {"max_epochs": 3, "batch_size": 64, "random_state": 0, "device": "cpu", **params}
    return StudentClassifier(MLP, **params).fit(ROWS.X, ROWS.y, **TEACHER)


@pytest.mark.parametrize("objective", [KD(), KD() + 0.1 * RKD()], ids=repr)
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD, torch.optim.LBFGS])
def test_the_same_weights_and_history_as_by_skorchs_loop(objective, optimizer):
    listener = Listener()
    same = {"objective": objective, "optimizer": optimizer, "validation_fraction": 0.2}
    same["module__dropout"] = 0.2
    short, long = fit(**same), fit(**same, callbacks=[listener])
    assert len(listener.losses) == 3 * (5 + 2)
    np.testing.assert_array_equal(short.predict_proba(ROWS.X), long.predict_proba(ROWS.X))
    for ours, theirs in zip(short.history_, long.history_, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"dur"}:
            assert ours[name] == pytest.approx(theirs[name], rel=float32(400))


def test_a_listener_leaves_dropout_on():
    # No validation changes the mode in between.
    plain, heard, dry = (
        fit(max_epochs=2, **params).predict_proba(ROWS.X)
        for params in (
            {"module__dropout": 0.5},
            {"module__dropout": 0.5, "callbacks": [Listener()]},
            {},
        )
    )
    np.testing.assert_array_equal(heard, plain)
    assert not np.allclose(dry, plain)


def test_a_score_of_batches_is_still_scored():
    def sure(net, X, y):
        return float(net.predict_proba(X).max(axis=1).mean())

    scored = fit(callbacks=[BatchScoring(sure, name="sure", on_train=True)])
    assert all(0.5 <= row["sure"] <= 1 for row in scored.history_)


def test_bfloat16_in_training_alone():
    inside = []

    class Body(MLP):
        def forward(self, X):
            embedding = super().forward(X)
            inside.append((self.training, embedding.dtype))
            return embedding

    settings = {"max_epochs": 15, "random_state": 0, "device": "cpu"}
    half = StudentClassifier(Body, bf16=True, validation_fraction=0.2, **settings)
    half.fit(ROWS.X, ROWS.y, **TEACHER)
    assert (True, torch.bfloat16) in inside
    assert (False, torch.float32) in inside
    assert not {(True, torch.float32), (False, torch.bfloat16)} & set(inside)
    assert {p.dtype for p in half.net_.module_.parameters()} == {torch.float32}
    assert half.predict_proba(ROWS.X).dtype == np.float32
    assert half.score(ROWS.X, ROWS.y) > 0.75
    whole = fit(max_epochs=1)
    assert not np.array_equal(
        whole.predict_proba(ROWS.X), fit(max_epochs=1, bf16=True).predict_proba(ROWS.X)
    )
