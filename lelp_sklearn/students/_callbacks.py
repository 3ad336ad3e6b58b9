"""Callbacks a student brings along: learning-rate schedule, progress bar, held-out split."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from skorch.callbacks import Callback
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR
from torch.utils.data import Subset
from tqdm.auto import tqdm

from lelp_sklearn.students._batches import TensorRows


class LearningRateSchedule(Callback):
    """Step a torch schedule after every batch, over a fixed number of epochs."""

    def __init__(self, kind: str, epochs: int):
        self.kind = kind
        self.epochs = epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget the last training's schedule."""
        self.scheduler_: LRScheduler | None = None
        self._restored: dict[str, Any] = {}

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Build the schedule in the first epoch, when the number of batches is known."""
        if self.scheduler_ is not None:
            return
        steps = self.epochs * len(net.get_iterator(dataset_train, training=True))
        groups = [dict(group) for group in net.optimizer_.param_groups]
        if self.kind == "one_cycle":
            peaks = [group["lr"] for group in net.optimizer_.param_groups]
            self.scheduler_ = OneCycleLR(
                net.optimizer_, max_lr=peaks, total_steps=steps + 1, cycle_momentum=False
            )
        else:
            self.scheduler_ = CosineAnnealingLR(net.optimizer_, T_max=steps)
        if self._restored:  # the optimizer has its rates already
            self.scheduler_.load_state_dict(self._restored)
            for group, restored in zip(net.optimizer_.param_groups, groups, strict=True):
                group.update(restored)

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Step after a training batch."""
        if training and self.scheduler_ is not None:
            self.scheduler_.step()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Let the optimizer go, so that it is not kept twice."""
        self.scheduler_ = None

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands."""
        return {} if self.scheduler_ is None else self.scheduler_.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, in a training that has begun."""
        self._restored = state


class LossTerms(Callback):
    """Record an epoch's mean of each scalar that the objective logs beside its loss."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start anew."""
        self.sums_: dict[str, Any] = {}
        self.rows_ = {True: 0, False: 0}

    def on_batch_end(
        self,
        net: Any,
        batch: Any = None,
        training: bool = False,
        terms: Mapping[str, Tensor] = MappingProxyType({}),
        **kwargs: Any,
    ) -> None:
        """Add a batch's, without waiting for the device."""
        self.rows_[training] += len(batch[1])
        for name, value in terms.items():
            key = f"{'train' if training else 'valid'}_{name}"
            self.sums_[key] = self.sums_.get(key, 0.0) + value.detach() * len(batch[1])

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the means to the history."""
        for key, value in self.sums_.items():
            net.history.record(key, float(value / self.rows_[key.startswith("train")]))
        self.sums_ = {}  # no tensor of a GPU in a pickle


class BestWeights(Callback):
    """Keep the weights of the lowest held-out loss, for a training that is interrupted."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start anew."""
        self.loss_, self.epoch_ = np.inf, 0
        self.weights_: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Copy them if they are the best."""
        row = net.history[-1]
        if row["valid_loss"] < self.loss_:
            self.loss_, self.epoch_ = row["valid_loss"], row["epoch"]
            self.weights_ = {k: v.clone() for k, v in net.module_.state_dict().items()}

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Let them go."""
        self.weights_ = None

    def restore(self, net: Any) -> None:
        """Give them to the net."""
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)


class EpochProgress(Callback):
    """A progress bar over epochs, with the loss and the time left."""

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(total=self.epochs, unit="epoch", desc=type(net.objective).__name__)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the losses of the epoch."""
        losses = ("train_loss", "valid_loss")
        row = net.history[-1]
        self.bar_.set_postfix({name: f"{row[name]:.4f}" for name in losses if name in row})
        self.bar_.update(len(net.history) - net.started_at - self.bar_.n)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
        self.bar_.close()
        del self.bar_


class HeldOut:
    """Hold a fraction of the training rows out, for the losses early stopping reads.

    It is stratified, or consists of whole groups where the rows belong to some.
    """

    def __init__(self, fraction: float, random_state: int):
        self.fraction = fraction
        self.random_state = random_state

    def __call__(self, dataset: TensorRows, y: Any = None) -> tuple[Subset, Subset]:
        """Split a dataset in two."""
        codes: NDArray = dataset.y.cpu().numpy()
        groups = dataset.groups
        kind = StratifiedShuffleSplit if groups is None else GroupShuffleSplit
        if groups is not None and len(np.unique(groups)) < 2:
            raise ValueError(
                f"validation_fraction={self.fraction} holds out whole groups, and all "
                f"{len(codes)} rows are of one: give groups that differ, or validation_fraction=0."
            )
        splitter = kind(1, test_size=self.fraction, random_state=self.random_state)
        train, held_out = next(splitter.split(np.zeros(len(codes)), codes, groups))
        return Subset(dataset, train), Subset(dataset, held_out)
