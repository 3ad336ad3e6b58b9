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
) -> None:
    """Train on each stage, with an optimizer of its own; ``callbacks`` makes those for epochs."""
    epochs, lr = net.max_epochs, net.lr
    try:
        for i, (name, _) in enumerate(objective.stages):
            stage = objective.enter(i, net.module_.head)
            net.max_epochs, net.lr = stage.max_epochs or epochs, stage.lr or lr
            with _frozen(net, stage):
                net.initialized_ = False  # a stage starts an optimizer of its own
                net._initialize_optimizer()
                net.initialized_ = True
                net.callbacks = [*callbacks(net.max_epochs), ("stage", StageName(name))]
                net.initialize_callbacks()
                net.epochs_before = len(net.history)
                if not net.train_on(rows, net.max_epochs):
                    break
    finally:
        net.max_epochs, net.lr, net.epochs_before = epochs, lr, 0


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
