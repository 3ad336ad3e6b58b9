"""The same bits by whatever process and threads, and torch's switches as they were before."""

import multiprocessing
import os

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from lelp_sklearn import MLP, LELPStudentClassifier
from tests.data import digits

ROWS = digits(200)


def fitted(**params):
    student = LELPStudentClassifier(
        MLP, module__dropout=0.2, max_epochs=3, device="cpu", random_state=0, **params
    )
    return student.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba, teacher_embeddings=ROWS.embeddings)


def weights(_=None, **params):
    state = fitted(**params).net_.module_.state_dict().values()
    return np.concatenate([w.numpy().ravel() for w in state])


def test_threads_change_no_bit():
    np.testing.assert_array_equal(weights(n_threads=1), weights(n_threads=2))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_processes_change_no_bit():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for other in pool.map(weights, range(2)):
            np.testing.assert_array_equal(other, weights())


class Switches(Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append((torch.are_deterministic_algorithms_enabled(), benchmark()))


class Fails(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("its own")


def benchmark():
    return torch.backends.cudnn.benchmark


def test_deterministic_sets_torchs_switches_inside_fit_alone(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    switches = Switches()
    fitted(callbacks=[switches])
    assert switches.seen == [(False, True)] * 3
    switches = Switches()
    fitted(callbacks=[switches], deterministic=True)
    assert switches.seen == [(True, False)] * 3
    assert (torch.are_deterministic_algorithms_enabled(), benchmark()) == (False, True)
    with pytest.raises(RuntimeError, match="its own"):
        fitted(callbacks=[Fails()], deterministic=True)
    assert (torch.are_deterministic_algorithms_enabled(), benchmark()) == (False, True)


def test_deterministic_gives_back_what_was_set_before():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        fitted(deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
