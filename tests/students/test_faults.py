"""NaN, too little memory, Ctrl-C and failed fits: what the student says, and what it is after."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn

from lelp_sklearn import (
    CRD,
    KD,
    MLP,
    RKD,
    BagOfNgrams,
    CrossEntropy,
    LELPStudentClassifier,
    Objective,
    StaticText,
    StudentClassifier,
)
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.students import _faults
from lelp_sklearn.students._faults import NonFiniteError, StepGuard
from lelp_sklearn.students._net import DistillationNet
from tests.data import digits
from tests.rounding import float32

ROWS = digits(150)
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


def student(cls=StudentClassifier, **params):
    defaults = {"max_epochs": 4, "batch_size": 50, "device": "cpu", "random_state": 0}
    return cls(**{**defaults, **params})


def weights(s):
    return {name: w.detach().clone() for name, w in s.net_.module_.state_dict().items()}


def check_equal(a, b, **tolerance):
    assert a.keys() == b.keys()
    for name in a:
        if tolerance:
            torch.testing.assert_close(a[name], b[name], **tolerance)
        else:
            assert torch.equal(a[name], b[name]), name


class Breaks(Objective):
    """Labels, and a fault in the n-th batch."""

    needs = ()

    def __init__(self, step=6, fault="nan loss"):
        self.step, self.fault = step, fault

    def loss(self, outputs, targets, progress):
        loss = nn.functional.cross_entropy(outputs.logits, targets["y"])
        if not torch.is_grad_enabled():
            return loss
        self.steps_ = getattr(self, "steps_", 0) + 1
        if self.steps_ != self.step:
            return loss
        if self.fault == "infinite gradient":  # sqrt has none at 0
            return loss + (outputs.logits * 0).sum().sqrt()
        return loss * {"nan loss": math.nan, "infinite loss": math.inf}[self.fault]


class Good(Breaks):
    """The same without its fault."""

    def loss(self, outputs, targets, progress):
        return nn.functional.cross_entropy(outputs.logits, targets["y"])


def weights_after(steps, **params):
    """Of a training that is left after so many steps."""

    class Stop(Callback):
        def __init__(self):
            self.steps = 0

        def on_batch_begin(self, net, training=None, **kwargs):
            self.steps += training
            if self.steps > steps:
                raise KeyboardInterrupt

    s = student(objective=Good(), callbacks=[Stop()], **params)
    with pytest.warns(UserWarning, match="interrupted"):
        s.fit(ROWS.X, ROWS.y)
    return weights(s)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan loss", "the loss is nan in epoch 2, batch 3"),
        ("infinite loss", "the loss is inf in epoch 2, batch 3"),
        ("infinite gradient", "the gradient of .* at a finite loss in epoch 2, batch 3"),
    ],
)
def test_a_fault_stops_with_its_place_and_the_last_good_weights(fault, message):
    s = student(module=MLP, objective=Breaks(6, fault))
    with pytest.raises(FloatingPointError, match=message) as info:
        s.fit(ROWS.X, ROWS.y)
    assert (info.value.epoch, info.value.batch) == (2, 3)
    check_equal(weights(s), weights_after(5, module=MLP))
    assert len(s.history_) == 1
    assert np.isfinite(s.predict_proba(ROWS.X)).all()


def test_a_fault_in_the_very_first_batch():
    s = student(objective=Breaks(1))
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1"):
        s.fit(ROWS.X, ROWS.y)
    assert s.history_ == []
    assert s.predict(ROWS.X).shape == (150,)


@pytest.mark.parametrize("fault", ["nan loss", "infinite gradient"])
def test_a_gpus_way_looks_once_an_epoch_and_loses_no_step(fault, monkeypatch):
    """The fused kernels leave out the faulty step and those after it, on a CPU as well."""
    read = []
    monkeypatch.setattr(
        "lelp_sklearn.students._net.StepGuard", lambda net: read.append(1) or StepGuard(net, True)
    )
    s = student(module=MLP, objective=Breaks(5, fault))
    with pytest.raises(FloatingPointError, match=r"not finite in epoch 2, batch 2\."):
        s.fit(ROWS.X, ROWS.y)
    check_equal(weights(s), weights_after(4, module=MLP))
    read.clear()
    whole = student(module=MLP, objective=Good()).fit(ROWS.X, ROWS.y)
    assert read == [1]
    monkeypatch.undo()
    check_equal(weights(whole), weights(student(module=MLP, objective=Good()).fit(ROWS.X, ROWS.y)))


def test_sparse_gradients_are_watched_in_both_ways(monkeypatch):
    X = sparse.csr_matrix(ROWS.X)
    for deferred in (False, True):
        monkeypatch.setattr(
            "lelp_sklearn.students._net.StepGuard",
            lambda net, deferred=deferred: StepGuard(net, deferred),
        )
        s = student(module=BagOfNgrams, objective=Breaks(5, "infinite gradient"))
        with pytest.raises(FloatingPointError, match=r"epoch 2, batch 2\."):
            s.fit(X, ROWS.y)
        assert np.isfinite(s.predict_proba(X)).all()


def test_the_optimizer_is_let_go(monkeypatch):
    monkeypatch.setattr(
        "lelp_sklearn.students._net.StepGuard", lambda net: StepGuard(net, deferred=True)
    )
    s = student(warm_start=True, objective=KD()).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert not hasattr(s.net_.optimizer_, "found_inf")
    assert s.net_.guard is None


class Spoiled(nn.Module):
    """Batch normalisation, whose running mean a batch of infinities would spoil."""

    def __init__(self, n_features):
        super().__init__()
        self.linear, self.norm = nn.Linear(n_features, 4), nn.BatchNorm1d(4)
        self.steps = 0

    def forward(self, X):
        self.steps += self.training
        return self.norm(self.linear(X) * (math.inf if self.training and self.steps == 5 else 1))


def test_buffers_are_taken_back_too():
    s = student(module=Spoiled, objective=Good())
    with pytest.raises(FloatingPointError, match="epoch 2, batch 2"):
        s.fit(ROWS.X, ROWS.y)
    assert all(w.isfinite().all() for w in weights(s).values())
    assert np.isfinite(s.predict_proba(ROWS.X)).all()


def test_the_row_to_blame_is_that_of_the_users_X():
    X = ROWS.X.copy()
    X[70, 3] = 1e30
    weight = np.ones(150)
    weight[:10] = 0
    raw = ArrayInputs(standardize=False)
    s = student(objective=KD(kind="mse"), inputs=raw)
    message = r"Likely cause: row 70 of X, which has 1e\+30 in column 3, .* Scale the columns"
    with pytest.raises(FloatingPointError, match=message) as info:
        s.fit(X, ROWS.y, weight, teacher_proba=ROWS.proba)
    assert info.value.row == 70
    labeled = np.arange(150) % 7 != 1
    with pytest.raises(FloatingPointError, match="row 70 of X"):
        student(objective=Breaks(2), inputs=raw).fit(X, ROWS.y, weight, labeled=labeled)


def test_a_learning_rate_to_blame():
    params = {
        "module": MLP,
        "objective": KD(kind="mse"),
        "optimizer": torch.optim.SGD,
        "lr": 1e4,
        "schedule": None,
        "max_epochs": 20,
    }
    message = r"the learning rate, lr=10000.* Lower it, or set max_grad_norm=1.0\."
    with pytest.raises(FloatingPointError, match=message):
        student(**params).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    calm = student(**params, max_grad_norm=1e-6)
    calm.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert calm.history_[-1]["train_loss"] < 100


def test_a_temperature_to_blame():
    s = student(objective=KD(temperature=1e-40))
    with pytest.raises(FloatingPointError, match=r"Likely cause: temperature=1e-40"):
        s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


class NoTargets(Breaks):
    needs = ("proba",)

    def targets(self, teacher):
        return {"odds": np.log(teacher.proba[:, 0] > 0.5, dtype=np.float32)}

    def loss(self, outputs, targets, progress):
        return (outputs.logits[:, 0] - targets["odds"]).square().mean()


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_target_to_blame():
    s = student(objective=NoTargets())
    with pytest.raises(FloatingPointError, match=r"the target 'odds' of row \d+ is not finite"):
        s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


@pytest.mark.parametrize("sparse_rows", [False, True])
def test_max_grad_norm_is_the_norm_of_all_gradients(sparse_rows, monkeypatch):
    norms = []

    def spy(net, max_norm, clip=_faults.clip_gradients):
        clip(net, max_norm)
        gradients = [p.grad for p in net.module_.parameters() if p.grad is not None]
        dense = [g.to_dense() if g.is_sparse else g for g in gradients]
        norms.append(torch.cat([g.flatten() for g in dense]).norm().item())

    monkeypatch.setattr("lelp_sklearn.students._net.clip_gradients", spy)
    X = sparse.csr_matrix(ROWS.X) if sparse_rows else ROWS.X
    student(module=BagOfNgrams if sparse_rows else MLP, max_grad_norm=0.05).fit(
        X, ROWS.y, teacher_proba=ROWS.proba
    )
    assert len(norms) == 12
    assert max(norms) == pytest.approx(0.05, rel=1e-3)


def test_max_grad_norm_is_torchs_clipping():
    params = {"module": MLP, "optimizer": torch.optim.SGD, "lr": 0.5}
    own = student(**params, max_grad_norm=0.05)
    theirs = student(**params, callbacks=[GradientNormClipping(0.05)])
    for s in (own, theirs):
        s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    far = float32(12 * 50 * 64)  # steps, rows, columns
    check_equal(weights(own), weights(theirs), rtol=far, atol=far)
    free = student(**params).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert not torch.equal(weights(own)["head.bias"], weights(free)["head.bias"])


class Greedy(nn.Module):
    """Has no memory for more rows with a graph than ``room``."""

    room = 10**9

    def __init__(self, n_features, norm=False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features, 8), nn.Tanh())
        self.norm = nn.BatchNorm1d(8) if norm else nn.Identity()

    def forward(self, X):
        if self.training and torch.is_grad_enabled() and len(X) > Greedy.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return self.norm(self.layers(X))


@pytest.mark.parametrize(
    "objective",
    [
        KD(),
        KD() + 20 * RKD(),
        KD() + CRD(),
        KD(alpha=0.3) + 0.1 * CRD(memory="bank"),
    ],
)
def test_a_halved_batch_has_the_gradients_of_the_whole(objective, monkeypatch):
    labeled = np.arange(150) % 3 > 0
    weight = np.random.default_rng(0).uniform(0.1, 3, 150)
    arrays = {**TEACHER, "labeled": labeled, "sample_weight": weight}
    params = {
        "module": Greedy,
        "objective": objective,
        "optimizer": torch.optim.SGD,
        "lr": 0.1,
        "on_oom": "halve",
        "validation_fraction": 0.2,
    }
    whole = student(**params).fit(ROWS.X, ROWS.y, **arrays)
    monkeypatch.setattr(Greedy, "room", 13)
    with pytest.warns(UserWarning, match="out of memory") as warned:
        halved = student(**params).fit(ROWS.X, ROWS.y, **arrays)
    said = [str(w.message) for w in warned if "out of memory" in str(w.message)]
    assert len(said) == 2  # once for each halving, not for each batch
    assert "batches of batch_size=50 are taken in 4 parts" in said[-1]
    far = float32(4 * 120 * 64)  # epochs, rows, columns: the parts are summed in another order
    check_equal(weights(halved), weights(whole), rtol=far, atol=far)
    losses = [s.history_[-1]["valid_loss"] for s in (halved, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=far)


def test_halving_ends_at_single_rows_and_names_the_knobs(monkeypatch):
    monkeypatch.setattr(Greedy, "room", 0)
    s = student(module=Greedy, on_oom="halve")
    with (
        pytest.warns(UserWarning, match="out of memory"),
        pytest.raises(torch.cuda.OutOfMemoryError, match="Lower batch_size=50; a smaller module"),
    ):
        s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert not hasattr(s, "net_")
    s = student(module=Greedy)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="or set on_oom='halve'"):
        s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


def test_halving_counts_a_batch_once_in_running_means(monkeypatch):
    monkeypatch.setattr(Greedy, "room", 25)
    s = student(module=Greedy, module__norm=True, on_oom="halve", max_epochs=1)
    with pytest.warns(UserWarning, match="2 parts"):
        s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert s.net_.module_.body.norm.num_batches_tracked == 6  # two parts of three batches


class Fails(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("a callback's own")


@pytest.mark.parametrize(
    ("params", "X", "error"),
    [
        ({"callbacks": [Fails()]}, ROWS.X[:, :9], "a callback's own"),
        ({}, ROWS.X[:, :9] * np.nan, "NaN"),
        ({"module": nn.Linear(3, 3)}, ROWS.X[:, :9], "failed on two rows"),
        ({"device": "cuda:99"}, ROWS.X[:, :9], "cannot be used"),
    ],
)
def test_a_failed_fit_leaves_the_student_as_it_was(params, X, error):
    s = student(LELPStudentClassifier).fit(ROWS.X, ROWS.y, **TEACHER)
    before, answer = dict(vars(s)), s.predict_proba(ROWS.X)
    own = {name: getattr(s, name) for name in params}
    s.set_params(**params)
    with pytest.raises((RuntimeError, ValueError, TypeError), match=error):
        s.fit(X, 1 - ROWS.y, **TEACHER)
    s.set_params(**own)
    assert vars(s) == before
    np.testing.assert_array_equal(s.predict_proba(ROWS.X), answer)


def test_ctrl_c_outside_training_leaves_the_student_as_it_was(monkeypatch):
    s = student(LELPStudentClassifier).fit(ROWS.X, ROWS.y, **TEACHER)
    before = dict(vars(s))

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("lelp_sklearn.students._base.make_net", interrupted)
    with pytest.raises(KeyboardInterrupt):
        s.fit(ROWS.X[:, :9], ROWS.y, **TEACHER)
    assert vars(s) == before


def test_a_fault_in_a_second_fit_leaves_the_new_columns_with_the_new_network():
    s = student(objective=Good()).fit(ROWS.X, ROWS.y)
    s.set_params(objective=Breaks(5))
    with pytest.raises(NonFiniteError):
        s.fit(ROWS.X[:, :9], ROWS.y)
    assert s.n_features_in_ == 9
    assert s.predict(ROWS.X[:, :9]).shape == (150,)
    assert s.set_params(objective=Good()).fit(ROWS.X, ROWS.y).n_features_in_ == 64


def test_columns_do_not_outlive_a_fit_on_texts():
    s = student(objective=CrossEntropy(), max_epochs=1).fit(ROWS.X, ROWS.y)
    assert s.n_features_in_ == 64
    texts = ["odd one out" if y else "even steven" for y in ROWS.y]
    s.set_params(module=StaticText).fit(texts, ROWS.y)
    assert not hasattr(s, "n_features_in_")
    assert s.predict(texts).shape == (150,)


def test_partial_fit_goes_on_after_a_fault():
    s = student(objective=Breaks(5))
    s.partial_fit(ROWS.X, ROWS.y)
    with pytest.raises(FloatingPointError, match="epoch 2, batch 2"):
        s.partial_fit(ROWS.X, ROWS.y)
    assert np.isfinite(s.partial_fit(ROWS.X, ROWS.y).predict_proba(ROWS.X)).all()
    assert [row["epoch"] for row in s.history_] == [1, 2]


def test_ctrl_c_without_held_out_rows_keeps_the_last_weights():
    check_equal(weights_after(5), weights_after(5))
    steps = []

    class Stop(Callback):
        def on_batch_end(self, net, **kwargs):
            steps.append({k: v.clone() for k, v in net.module_.state_dict().items()})
            if len(steps) == 8:
                raise KeyboardInterrupt

    s = student(callbacks=[Stop()])
    with pytest.warns(UserWarning, match=r"in epoch 3; the student keeps the weights it had then"):
        s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    check_equal(weights(s), steps[-1])
    assert len(s.history_) == 2  # whole epochs


@pytest.mark.parametrize(
    "params", [{"max_grad_norm": 0}, {"on_oom": "ignore"}, {"deterministic": 2}]
)
def test_parameters_are_checked(params):
    with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
        student(**params).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


def test_nets_without_faults_are_as_they_were_without_a_guard(monkeypatch):
    guarded = student(module=MLP).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    monkeypatch.setattr(StepGuard, "check", lambda self, loss: None)
    free = student(module=MLP).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    check_equal(weights(guarded), weights(free))
    assert isinstance(guarded.net_, DistillationNet)
