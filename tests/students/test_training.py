"""The course of training: epochs, schedules, stopping, callbacks, going on."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, EpochScoring

from lelp_sklearn import (
    KD,
    LELP,
    MLP,
    CrossEntropy,
    LELPProjector,
    LELPStudentClassifier,
    StudentClassifier,
)
from lelp_sklearn.objectives._base import weight_at
from lelp_sklearn.students._batches import TensorRows
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


def student(cls=StudentClassifier, **params):
    return cls(**{"max_epochs": 5, "random_state": 0, "device": "cpu", **params})


def fit(**params):
    return student(**params).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)


def test_history_has_one_record_an_epoch():
    s = fit()
    assert [row["epoch"] for row in s.history_] == [1, 2, 3, 4, 5]
    assert s.history_[-1]["train_loss"] < s.history_[0]["train_loss"]
    assert "valid_loss" not in s.history_[0]  # nothing is held out unless asked for


def test_epochs_and_batches():
    class Count(Callback):
        def __init__(self):
            self.sizes = []

        def on_batch_end(self, net, batch, training, **kwargs):
            self.sizes.append(len(batch[0]))

    counter = Count()
    fit(batch_size=133, max_epochs=2, callbacks=[counter])
    assert counter.sizes == [133, 133, 134] * 2  # a last row alone joins the batch before it
    counter = Count()
    fit(batch_size=150, max_epochs=1, callbacks=[counter], iterator_train__drop_last=True)
    assert counter.sizes == [150, 150]


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", None])
def test_schedules_move_the_learning_rate(schedule):
    class Rates(Callback):
        def __init__(self):
            self.rates = []

        def on_batch_begin(self, net, **kwargs):
            self.rates.append(net.optimizer_.param_groups[0]["lr"])

    watch = Rates()
    fit(schedule=schedule, callbacks=[watch], lr=0.1)
    if schedule == "one_cycle":
        assert watch.rates[0] < 0.01
        assert max(watch.rates) == pytest.approx(0.1, rel=0.05)
        assert watch.rates[-1] < 0.01
    elif schedule == "cosine":
        assert watch.rates[0] == 0.1
        assert watch.rates[-1] < 0.01
    else:
        assert set(watch.rates) == {0.1}


def test_validation_fraction_holds_rows_out_and_reports_them():
    s = fit(validation_fraction=0.25)
    assert 0 < s.history_[-1]["valid_acc"] <= 1
    assert s.history_[-1]["valid_loss"] > 0


def test_early_stopping_stops_and_restores_the_best_weights():
    class Keep(Callback):
        def __init__(self):
            self.weights = []

        def on_epoch_end(self, net, **kwargs):
            self.weights.append(net.module_.head.weight.detach().clone())

    keep = Keep()
    # Targets that contradict one another from row to row: the held-out loss soon rises.
    rng = np.random.default_rng(0)
    proba = np.eye(2)[rng.integers(2, size=400)]
    s = student(
        module=MLP,
        max_epochs=80,
        lr=0.05,
        schedule=None,
        validation_fraction=0.3,
        patience=4,
        callbacks=[keep],
    ).fit(ROWS.X, ROWS.y, teacher_proba=proba)
    losses = [row["valid_loss"] for row in s.history_]
    best = int(np.argmin(losses))
    assert len(losses) < 80
    assert best < len(losses) - 1
    torch.testing.assert_close(s.net_.module_.head.weight.detach(), keep.weights[best])


def test_interrupting_keeps_the_student_and_warns():
    class CtrlC(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted in epoch 2"):
        s = fit(callbacks=[CtrlC()])
    assert s.predict(ROWS.X).shape == (400,)


def test_callbacks_score_class_numbers_whatever_the_labels():
    scoring = EpochScoring("f1_macro", name="f1", lower_is_better=False)
    s = student(validation_fraction=0.3, callbacks=[("f1", scoring)], max_epochs=20).fit(
        ROWS.X, np.array(["even", "odd"])[ROWS.y], teacher_proba=ROWS.proba
    )
    assert s.history_[-1]["f1"] > 0.8
    assert s.history_[-1]["valid_acc"] > 0.8


def test_optimizer_parameters():
    decayed = fit(optimizer__weight_decay=10.0)
    assert decayed.net_.optimizer_.param_groups[0]["weight_decay"] == 10.0
    assert decayed.net_.optimizer_.param_groups[0]["fused"]
    sgd = fit(optimizer=torch.optim.SGD, optimizer__momentum=0.9, optimizer__fused=False)
    assert isinstance(sgd.net_.optimizer_, torch.optim.SGD)
    assert not sgd.net_.optimizer_.param_groups[0]["fused"]
    assert isinstance(fit(optimizer=torch.optim.RMSprop).net_.optimizer_, torch.optim.RMSprop)


def test_callback_and_iterator_parameters():
    s = fit(validation_fraction=0.25, callbacks__valid_acc=None, iterator_valid__batch_size=10)
    assert "valid_acc" not in s.history_[-1]
    assert s.history_[-1]["valid_batch_count"] == 10
    in_order = fit(iterator_train__shuffle=False).predict_proba(ROWS.X)
    assert not np.array_equal(in_order, fit().predict_proba(ROWS.X))


def test_widths_of_a_head_on_labels_may_differ_by_class():
    s = student(objective=CrossEntropy(n_subclasses={0: 1, 1: 3})).fit(ROWS.X, ROWS.y)
    assert s.objective_.n_subclasses_ == (1, 3)
    assert s.net_.module_.head.out_features == 4


def test_progress_bar(capsys):
    fit(verbose=1)
    bar = capsys.readouterr().err
    assert "KD" in bar
    assert "5/5" in bar
    assert "train_loss" in bar
    fit(verbose=0)
    assert capsys.readouterr() == ("", "")


def test_warm_start_goes_on_and_a_fit_without_it_starts_anew():
    s = fit(warm_start=True)
    first = s.predict_proba(ROWS.X)
    s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert len(s.history_) == 10
    assert not np.array_equal(s.predict_proba(ROWS.X), first)
    s.set_params(warm_start=False).fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba)
    assert len(s.history_) == 5
    np.testing.assert_array_equal(s.predict_proba(ROWS.X), first)


def test_partial_fit_is_one_epoch_on_fixed_subclasses():
    s = student(LELPStudentClassifier, projector=LELPProjector(n_subclasses=3))
    for start in range(0, 400, 100):
        rows = slice(start, start + 100)
        part = {name: values[rows] for name, values in TEACHER.items()}
        s.partial_fit(ROWS.X[rows], ROWS.y[rows], classes=[0, 1], **part)
        components = s.projector_.components_
        if start == 0:
            first = components
    assert len(s.history_) == 4
    np.testing.assert_array_equal(components, first)
    assert s.net_.optimizer_.param_groups[0]["lr"] == s.lr
    with pytest.raises(ValueError, match=r"y holds \[7\], which this student was not built for"):
        s.partial_fit(ROWS.X[:100], np.full(100, 7), **{k: v[:100] for k, v in TEACHER.items()})


def test_partial_fit_with_classes_still_to_come():
    s = student(objective=CrossEntropy())
    s.partial_fit(ROWS.X[ROWS.y == 0], ROWS.y[ROWS.y == 0], classes=[0, 1])
    assert s.predict_proba(ROWS.X).shape == (400, 2)
    with pytest.raises(ValueError, match=r"saw rows of the classes \[0, 1\], the student has"):
        student(LELPStudentClassifier).partial_fit(
            ROWS.X,
            ROWS.y,
            classes=[0, 1, 2],
            teacher_proba=np.column_stack([ROWS.proba, np.zeros(400)]),
            teacher_embeddings=ROWS.embeddings,
        )


def test_subclass_weight_schedules():
    assert [weight_at((1.0, 0.5), p) for p in (0.0, 0.5, 1.0)] == [1.0, 0.75, 0.5]
    assert weight_at(0.3, 0.5) == 0.3
    seen = []

    def half(progress):
        seen.append(progress)
        return 0.5

    scheduled = student(objective=LELP(subclass_weight=half)).fit(ROWS.X, ROWS.y, **TEACHER)
    assert sorted(set(seen)) == [0.0, 0.25, 0.5, 0.75, 1.0]
    constant = student(objective=LELP(subclass_weight=0.5)).fit(ROWS.X, ROWS.y, **TEACHER)
    np.testing.assert_array_equal(scheduled.predict_proba(ROWS.X), constant.predict_proba(ROWS.X))
    linear = student(objective=LELP(subclass_weight=(1.0, 0.0))).fit(ROWS.X, ROWS.y, **TEACHER)
    assert not np.array_equal(linear.predict_proba(ROWS.X), constant.predict_proba(ROWS.X))
    for bad in ((0.3,), (0.3, -1.0), ("a", "b")):
        with pytest.raises(ValueError, match="first epoch's weight"):
            student(objective=LELP(subclass_weight=bad)).fit(ROWS.X, ROWS.y, **TEACHER)


def test_kd_parameters_each_change_the_student():
    base = fit(objective=KD()).predict_proba(ROWS.X)
    for change in ({"temperature": 4.0}, {"alpha": 0.7}, {"kind": "mse"}):
        assert not np.array_equal(fit(objective=KD(**change)).predict_proba(ROWS.X), base)


def test_mse_takes_a_forests_zeros():
    s = student(objective=KD(kind="mse")).fit(ROWS.X, ROWS.y, teacher_proba=np.eye(2)[ROWS.y])
    assert np.isfinite(s.history_[-1]["train_loss"])


def test_parameters_are_cloned_and_set():
    s = student(LELPStudentClassifier, module=MLP, module__hidden=8)
    s.set_params(module__hidden=16, projector__n_subclasses=3, optimizer__weight_decay=0.5)
    copy = clone(s)
    assert copy.get_params()["module__hidden"] == 16
    assert copy.get_params()["projector__n_subclasses"] == 3
    assert copy.get_params()["optimizer__weight_decay"] == 0.5
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        s.set_params(nonsense=1)
    assert "module__hidden=16" in repr(s)
    assert "sk-top-container" in s._repr_html_()


@pytest.mark.parametrize(
    ("objective", "name", "value"),
    [
        (LELP, "alpha", 0.3),
        (LELP, "temperature", 2.0),
        (KD, "alpha", 0.3),
        (KD, "temperature", 2.0),
    ],
)
def test_a_numpy_number_trains_as_a_number_does(monkeypatch, objective, name, value):
    types = set()
    batch = TensorRows.batch

    def spied(self, rows):
        types.update(values.dtype for values in self.targets.values())
        return batch(self, rows)

    monkeypatch.setattr(TensorRows, "batch", spied)
    losses = []
    for number in (value, np.float64(value)):  # as np.linspace gives to a search
        s = student(objective=objective(**{name: number}), max_epochs=2)
        s.fit(ROWS.X, ROWS.y, **TEACHER)
        losses.append([row["train_loss"] for row in s.history_])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.float64 not in types
    assert torch.float32 in types
