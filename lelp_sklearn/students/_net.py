"""The skorch net inside a student: an objective's targets and loss on sliced batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import Tensor

from lelp_sklearn._torch import UsualSettings
from lelp_sklearn.objectives import Objective
from lelp_sklearn.outputs import StudentOutputs
from lelp_sklearn.students._batches import Batch, SliceIterator, TensorRows
from lelp_sklearn.students._callbacks import BestWeights
from lelp_sklearn.students._epochs import EpochLoop
from lelp_sklearn.students._faults import NonFiniteError, StepGuard, clip_gradients, find_cause
from lelp_sklearn.students._memory import (
    OutOfMemoryError,
    gradients_in_parts,
    map_floats,
    outputs_in_parts,
    split_batches,
)
from lelp_sklearn.students._optimizers import SparseAdamW, gives_sparse_gradients
from lelp_sklearn.students._unanswered import loss_of


class DistillationNet(EpochLoop, NeuralNetClassifier):
    """A skorch classifier whose loss is an :class:`~lelp_sklearn.objectives.Objective`'s.

    Labels are class numbers 0..C-1 in here, so callbacks score rightly whatever the user's labels.

    Parameters
    ----------
    module : type
        The student network.
    objective : Objective
        Fitted.
    max_grad_norm : float, default=None
        Gradients are scaled down to this norm.
    on_oom : {"raise", "halve"}, default="raise"
        What to do about a batch that the device has no memory for.
    bf16 : bool, default=False
        Whether training multiplies in bfloat16.
    **kwargs
        skorch's own.
    """

    # While it trains only, as an instance's:
    unchecked = False  # the loss, until a first batch
    head_trained = False  # by any stage so far

    optimizer: type[torch.optim.Optimizer]
    callbacks: list[Any]
    callbacks_: list[tuple[str, Any]]

    def __init__(
        self,
        module: Any,
        *,
        objective: Objective,
        max_grad_norm: float | None = None,
        on_oom: str = "raise",
        bf16: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            module,
            criterion=torch.nn.CrossEntropyLoss,  # required by skorch; the objective is used
            classes=list(range(len(objective.n_subclasses_))),
            dataset=TensorRows,
            iterator_train=SliceIterator,
            iterator_valid=SliceIterator,
            predict_nonlinearity=partial(class_probabilities, n_subclasses=objective.n_subclasses_),
            **kwargs,
        )
        self.objective = objective
        self.max_grad_norm = max_grad_norm
        self.on_oom = on_oom
        self.bf16 = bf16
        self.epochs_before = 0  # those of earlier stages
        self.started_at = 0  # epochs of earlier trainings
        self.stage = 0
        self.n_parts = 1  # of a batch
        self.guard: Any = None  # while it trains

    @UsualSettings()  # the weights of a copy made in inference mode could never be trained
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "module_"):  # skorch stores it apart, and the objective has other copies
            self.objective.relink(getattr(self.module_, "learned", None), self.module_.head)

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """AdamW has a variant for sparse gradients, which costs dense ones some 3 % of a fit."""
        if self.optimizer is torch.optim.AdamW and gives_sparse_gradients(self.module_):
            self.optimizer = SparseAdamW
        return super().initialize_optimizer(*args, **kwargs)

    def train_on(self, rows: TensorRows, epochs: int) -> str:
        """Train for some epochs; early stopping, Ctrl-C and numerical faults end it.

        Returns
        -------
        str
            What Ctrl-C has left; empty if the user let it run.

        Raises
        ------
        NonFiniteError
            At a loss or gradient that is not finite; the net has the weights of the step before.
        """
        interrupted = ""
        self.started_at = self.n_whole = len(self.history)
        self.guard = StepGuard(self)
        self.unchecked = True
        try:
            self.notify("on_train_begin", X=rows, y=None)
            self.fit_loop(rows, epochs=epochs - len(self.history) + self.started_at)
        except KeyboardInterrupt:  # skorch's early stopping raises it too
            if not any(_has_stopped(callback) for _, callback in self.callbacks_):
                interrupted = (
                    f"fit was interrupted in epoch {len(self.history)}; the student keeps "
                    f"{self._best_so_far()}."
                )
        except NonFiniteError as fault:
            self.guard.restore()
            find_cause(self, rows, fault)
            raise
        finally:
            self.guard.close()
            self.guard = None
            if self.history:
                self.notify("on_train_end", X=rows, y=None)
            del self.history[self.n_whole :]
            for epoch in self.history:
                epoch["batches"].clear()  # megabytes of batch losses in every pickle otherwise
        return interrupted

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count the epoch as a whole one."""
        super().on_epoch_end(net, **kwargs)
        self.n_whole = len(self.history)

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """An epoch's pass over the training or the held-out rows."""
        if training:
            self.guard.start_epoch()
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if training:
            self.guard.end_epoch()

    def forget_callback(self, callback: Any) -> None:
        """Leave a callback out from now on."""
        self.callbacks = [
            own for own in self.callbacks if not (type(own) is tuple and own[1] is callback)
        ]
        self.callbacks_ = [own for own in self.callbacks_ if own[1] is not callback]

    @property
    def progress(self) -> float:
        """From 0 in the network's, or stage's, first epoch to 1 in its last and later ones."""
        done = len(self.history) - self.epochs_before - 1
        return min(1.0, done / max(self.max_epochs - 1, 1))

    def check_data(self, X: Any, y: Any = None) -> None:
        """Do nothing: the student has checked its rows."""

    def infer(self, x: Any, **fit_params: Any) -> StudentOutputs:
        """Outputs of rows of any kind, which lie on the module's device already."""
        if not (self.bf16 and self.module_.training):
            return self.module_(x)
        with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16):
            outputs = self.module_(x)
        return map_floats(Tensor.float, outputs)

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Forward, loss and gradients of a training batch."""
        self._set_training(True)
        while True:
            try:
                loss, terms, outputs = self._gradients(batch)
                break
            except OutOfMemoryError as error:
                split_batches(self, batch, error)
        if self.unchecked:
            self.unchecked = False
            self._check_head()
        if self.max_grad_norm is not None:
            clip_gradients(self, self.max_grad_norm)
        self.guard.check(loss)
        return {"loss": loss, "terms": terms, "y_pred": tuple(outputs[:2])}

    def _check_head(self) -> None:
        """Refuse a training that never reaches the head, at its first batch (of the last stage)."""
        parameters = [p for p in self.module_.head.parameters() if p.requires_grad]
        self.head_trained |= not parameters or any(p.grad is not None for p in parameters)
        stages = len(getattr(self.objective, "stages", ())) or 1
        if not self.head_trained and self.stage == stages - 1:
            raise ValueError(
                f"the loss of {type(self.objective).__name__} does not depend on the logits, so "
                "that the student's head would stay untrained: add a term that does, such as "
                "+ KD(), or train the head in a stage of its own, by Stages."
            )

    def _gradients(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], StudentOutputs]:
        if self.n_parts > 1:
            return gradients_in_parts(self, batch)
        outputs = self.infer(batch[0])
        other = self.objective.view(batch[0])
        if other is not None:
            outputs = outputs._replace(view=self.module_.body(other))
        loss, terms = loss_of(self.objective, outputs, batch, self.progress, self.unchecked)
        loss.backward()
        return loss, terms, outputs

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Loss of a held-out batch, by the objective as it is at the end of training.

        A schedule thus leaves the losses of different epochs comparable.
        """
        self._set_training(False)
        with torch.no_grad():
            outputs = outputs_in_parts(self, batch[0])
            loss, terms = loss_of(self.objective, outputs, batch, 1.0)
        return {"loss": loss, "terms": terms, "y_pred": tuple(outputs[:2])}

    def evaluation_step(self, batch: Batch, training: bool = False) -> tuple[Tensor, ...]:
        """Outputs of a batch as a plain tuple, which skorch's device moves can rebuild."""
        return tuple(super().evaluation_step(batch, training=training)[:2])

    def _best_so_far(self) -> str:
        """Take the best weights that a callback has kept, and say which those are."""
        best = 0
        for _, callback in self.callbacks_:
            if isinstance(callback, BestWeights):
                callback.restore(self)
                best = callback.epoch_
            elif isinstance(callback, EarlyStopping) and callback.load_best:
                best = callback.best_epoch_  # it restores them itself when training ends
        if best:
            return f"the weights of epoch {best}, which has the lowest valid_loss"
        return "the weights it had then"


def class_probabilities(logits: Tensor, n_subclasses: tuple[int, ...]) -> Tensor:
    """Class probabilities of subclass logits: the soft-max of ``fold``, in half of its time."""
    joint = logits.softmax(dim=1)
    if set(n_subclasses) == {1}:
        return joint
    if len(set(n_subclasses)) == 1:
        return joint.reshape(-1, len(n_subclasses), n_subclasses[0]).sum(dim=2)
    return torch.stack([b.sum(dim=1) for b in joint.split(list(n_subclasses), 1)], 1)


def _has_stopped(callback: Any) -> bool:
    return isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
