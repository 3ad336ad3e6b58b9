"""A fit that is killed and run again comes to the same weights, bit for bit."""

import multiprocessing
import os
import pickle
import random
import signal
import time
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse
from skorch.callbacks import LRScheduler
from torch import nn

from lelp_sklearn import (
    CRD,
    KD,
    MLP,
    BagOfNgrams,
    CompRess,
    CrossEntropy,
    LELPStudentClassifier,
    Stage,
    Stages,
    StudentClassifier,
    WeightedSum,
)
from lelp_sklearn.students._callbacks import BestWeights
from lelp_sklearn.students._checkpoint import Checkpoint
from lelp_sklearn.students._net import DistillationNet
from lelp_sklearn.students._state_file import read_state, write_state
from tests.data import digits

ROWS = digits(150)
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


class Killed(BaseException):
    """What a kill is simulated by; nothing catches it."""


class Normalized(nn.Module):
    """A body with buffers and with chance."""

    def __init__(self, n_features, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3)
        )

    def forward(self, X):
        return self.layers(X)


def student(cls=StudentClassifier, **params):
    defaults = {"module": MLP, "module__hidden": 8, "module__dropout": 0.2, "batch_size": 32}
    if params.get("module", MLP) is not MLP:
        defaults = {"batch_size": 32}
    return cls(**{**defaults, "max_epochs": 6, "device": "cpu", "random_state": 0, **params})


def fit(s, checkpoint=None, X=ROWS.X, **fit_params):
    return s.fit(X, ROWS.y, **TEACHER, checkpoint=checkpoint, **fit_params)


def kill_at_step(monkeypatch, n, kill=Killed):
    """Have training stop in the n-th batch."""
    steps, step = [], DistillationNet.train_step_single

    def dying(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == n:
            raise kill
        return step(self, *args, **kwargs)

    monkeypatch.setattr(DistillationNet, "train_step_single", dying)


def check_same(a, b):
    states = a.net_.module_.state_dict(), b.net_.module_.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, values in states[0].items():
        assert torch.equal(values, states[1][name]), name
    histories = [[{**row, "dur": 0} for row in s.history_] for s in (a, b)]
    assert histories[0] == histories[1]


CASES = {
    "lelp": lambda: student(LELPStudentClassifier),
    "batch normalisation": lambda: student(module=Normalized),
    "early stopping": lambda: student(
        validation_fraction=0.3, patience=3, lr=0.01, schedule=None, max_epochs=12
    ),
    "held-out rows": lambda: student(validation_fraction=0.3, max_epochs=8),
    "SGD": lambda: student(
        optimizer=torch.optim.SGD, optimizer__momentum=0.9, schedule="cosine", max_grad_norm=0.5
    ),
    "sparse gradients": lambda: student(module=BagOfNgrams),
    "no seed": lambda: student(random_state=None),
    "stages": lambda: student(
        objective=Stages(
            [
                ("kd", Stage(KD(), max_epochs=2)),
                ("split", Stage(CrossEntropy(n_subclasses=3), lr=0.02, split_noise=0.1)),
                ("head", Stage(KD(), max_epochs=2, frozen=["body"])),
            ]
        ),
        max_epochs=3,
    ),
    "learned weights": lambda: student(
        objective=WeightedSum([("kd", KD()), ("bank", CompRess())], weights="uncertainty")
    ),
    "memory bank": lambda: student(objective=CRD(memory="bank", corruption=0.3)),
    "skorch's schedule": lambda: student(
        schedule=None, callbacks=[("steps", LRScheduler("StepLR", step_size=2, gamma=0.3))]
    ),
}


@pytest.mark.parametrize("step", [3, 14, 27])
@pytest.mark.parametrize("case", CASES)
def test_a_killed_fit_goes_on_to_the_same_weights(case, step, tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    X = sparse.csr_matrix(ROWS.X) if case == "sparse gradients" else ROWS.X
    with monkeypatch.context() as patch:
        kill_at_step(patch, step)
        with pytest.raises(Killed):
            fit(CASES[case](), path, X)
    if case == "no seed" and path.exists():
        drawn = SimpleNamespace(randint=lambda *args: seed)
        seed = read_state(path)["seed"]
        resumed = fit(CASES[case](), path, X)
        monkeypatch.setattr("lelp_sklearn.students._base.check_random_state", lambda _: drawn)
    elif case != "no seed":
        resumed = fit(CASES[case](), path, X)
    else:
        return  # nothing was written yet
    check_same(resumed, fit(CASES[case](), None, X))
    assert not path.exists()


def test_it_goes_on_and_does_not_begin_again(tmp_path, monkeypatch):
    """5 batches an epoch: the kill in batch 23 leaves four whole epochs, of which all count."""
    with monkeypatch.context() as patch:
        kill_at_step(patch, 23)
        with pytest.raises(Killed):
            fit(student(), tmp_path / "run")
    assert os.listdir(tmp_path) == ["run"]
    counted, step = [], DistillationNet.train_step_single

    def counting(self, *args, **kwargs):
        counted.append(1)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(DistillationNet, "train_step_single", counting)
    fit(student(), tmp_path / "run")
    assert len(counted) == 2 * 5


@pytest.mark.parametrize(
    ("every", "writings"), [(1, 6), (4, 1), (timedelta(hours=1), 0), (timedelta(0), 6)]
)
def test_checkpoint_every_so_many_epochs_or_seconds(every, writings, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "lelp_sklearn.students._checkpoint.write_state", lambda *args: written.append(args)
    )
    fit(student(), tmp_path / "run", checkpoint_every=every)
    assert len(written) == writings


@pytest.mark.parametrize("every", [0, -1, 1.5, timedelta(-1)])
def test_checkpoint_every_is_checked(every, tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every"):
        fit(student(), tmp_path / "run", checkpoint_every=every)


@pytest.mark.parametrize(
    ("params", "arrays", "message"),
    [
        ({"lr": 0.02}, {}, r"differs in lr \(0.01 there and 0.02 here\)\. To start anew"),
        ({"max_epochs": 7}, {}, r"max_epochs \(6 there and 7 here\)"),
        ({"objective": KD(alpha=0.1)}, {}, r"objective__alpha \(0.5 there and 0.1 here\)"),
        ({"callbacks": [BestWeights()]}, {}, "callbacks"),
        ({}, {"X": ROWS.X + 1}, r"X \(another ndarray of shape \(150, 64\)\)"),
        ({}, {"X": ROWS.X[:, :9]}, r"X \(ndarray of shape \(150, 64\) there and .*\(150, 9\) here"),
        ({}, {"y": 1 - ROWS.y}, r"differs in y \(another array"),
        ({}, {"teacher_proba": ROWS.proba[:, ::-1]}, "differs in teacher_proba"),
        ({}, {"teacher_embeddings": None}, r"teacher_embeddings \(.* there and not given here\)"),
        ({}, {"sample_weight": np.arange(150) + 1}, "differs in sample_weight"),
        ({}, {"labeled": np.arange(150) > 3}, "differs in labeled"),
    ],
)
def test_another_fit_is_refused_and_named(params, arrays, message, tmp_path, monkeypatch):
    objective = {"objective": KD()}
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_at_step(patch, 12)
        with pytest.raises(Killed):
            fit(student(**objective), path)
    before = path.read_bytes()
    other = student(**{**objective, **params})
    with pytest.raises(ValueError, match=message):
        other.fit(**{"X": ROWS.X, "y": ROWS.y, **TEACHER, **arrays}, checkpoint=path)
    assert not hasattr(other, "net_")
    assert path.read_bytes() == before
    # What has no say in the result may differ.
    fit(student(**objective, on_oom="halve", n_threads=None), path)


def test_a_bad_path_and_a_bad_file_are_named(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        fit(student(), tmp_path / "none" / "run")
    (tmp_path / "run").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        fit(student(), tmp_path / "run")
    write_state(tmp_path / "run", {"format": 0})
    with pytest.raises(ValueError, match="not a checkpoint that this version reads"):
        fit(student(), tmp_path / "run")


def test_a_warm_start_goes_on_too(tmp_path, monkeypatch):
    first = pickle.dumps(fit(student(warm_start=True)))
    with monkeypatch.context() as patch:
        kill_at_step(patch, 14)
        with pytest.raises(Killed):
            fit(pickle.loads(first), tmp_path / "run")
    resumed = fit(pickle.loads(first), tmp_path / "run")
    assert len(resumed.history_) == 12
    check_same(resumed, fit(pickle.loads(first)))


def test_a_student_does_not_keep_its_checkpoint(tmp_path):
    with_it, without = fit(student(), tmp_path / "run"), fit(student())
    assert abs(len(pickle.dumps(with_it)) - len(pickle.dumps(without))) < 100
    assert not any(isinstance(c, Checkpoint) for _, c in with_it.net_.callbacks_)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path, state = tmp_path / "file", {"a": torch.arange(3), "b": [1.5, None, ("x", True)], 3: {}}
    write_state(path, state)
    assert torch.equal(read_state(path).pop("a"), state["a"])
    assert {k: v for k, v in read_state(path).items() if k != "a"} == {
        "b": [1.5, None, ("x", True)],
        3: {},
    }
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda *args: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            write_state(path, {})
    assert 3 in read_state(path)
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(TypeError, match="a function cannot be kept"):
        write_state(path, {"f": len.__class__ and (lambda: 0)})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_kill_9(tmp_path):
    path, chance = tmp_path / "run", random.Random(0)
    params = {"max_epochs": 60, "validation_fraction": 0.2}
    fork = multiprocessing.get_context("fork")
    for _ in range(3):
        worker = fork.Process(target=lambda: fit(student(**params), path))
        worker.start()
        time.sleep(chance.uniform(0.05, 0.3))
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    check_same(fit(student(**params), path), fit(student(**params)))


def test_ctrl_c_keeps_the_file_and_the_best_weights(tmp_path, monkeypatch):
    params = {"validation_fraction": 0.3, "lr": 1.0, "schedule": None, "max_epochs": 9}
    seen = []
    monkeypatch.setattr(
        BestWeights,
        "restore",
        lambda self, net, restore=BestWeights.restore: (
            seen.append(self.epoch_),
            restore(self, net),
        ),
    )
    with monkeypatch.context() as patch:
        kill_at_step(patch, 30, KeyboardInterrupt)
        with pytest.warns(UserWarning, match=r"interrupted in epoch 8; .* weights of epoch \d, wh"):
            s = fit(student(**params), tmp_path / "run")
    losses = [row["valid_loss"] for row in s.history_]
    assert len(losses) == 7
    assert seen == [int(np.argmin(losses)) + 1]
    assert seen != [7]
    # The weights are those of that epoch.
    outputs = torch.from_numpy(s.predict_proba(ROWS.X))
    check_same(fit(student(**params), tmp_path / "run"), fit(student(**params)))
    with monkeypatch.context() as patch:
        kill_at_step(patch, 4 * seen[0] + 1, KeyboardInterrupt)
        with pytest.warns(UserWarning, match="interrupted"):
            until_then = fit(student(**params))
    assert torch.equal(outputs, torch.from_numpy(until_then.predict_proba(ROWS.X)))
