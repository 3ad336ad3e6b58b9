"""Training a net on one stage after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skorch.callbacks import Callback

from lelp_sklearn.objectives import Stage, Stages
from lelp_sklearn.students._batches import TensorRows
from lelp_sklearn.students._net import DistillationNet


class StageName(Callback):
    """Write the stage's name to the history."""

    def __init__(self, name: str):
        self.name = name

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Write it."""
        net.history.record("stage", self.name)


def train_in_stages(
    net: DistillationNet,
    objective: Stages,
    rows: TensorRows,
    callbacks: Callable[[int], list[Any]],
    first: int = 0,
) -> str:
    """Train on each stage, with an optimizer of its own; ``callbacks`` makes those for epochs.

    A checkpoint may have it begin with a later one than the first. Returns what ``train_on`` does.
    """
    epochs, lr = net.max_epochs, net.lr
    interrupted = ""
    try:
        for i, (name, _) in list(enumerate(objective.stages))[first:]:
            net.stage = i
            stage = objective.enter(i, net.module_.head)
            net.max_epochs, net.lr = int(stage.max_epochs or epochs), stage.lr or lr
            with _frozen(net, stage):
                net.initialized_ = False  # a stage starts an optimizer of its own
                net._initialize_optimizer()
                net.initialized_ = True
                net.callbacks = [("stage", StageName(name)), *callbacks(net.max_epochs)]
                net.initialize_callbacks()
                net.epochs_before = len(net.history)
                interrupted = net.train_on(rows, net.max_epochs)
                if interrupted:
                    break
    finally:
        net.max_epochs, net.lr, net.epochs_before, net.stage = epochs, lr, 0, 0
    return interrupted


@contextmanager
def _frozen(net: DistillationNet, stage: Stage) -> Iterator[None]:
    parameters = [p for part in stage.frozen for p in getattr(net.module_, part).parameters()]
    parameters = [p for p in parameters if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
        parameter.grad = None
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
