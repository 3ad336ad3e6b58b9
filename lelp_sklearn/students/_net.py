"""The skorch net inside a student: an objective's targets and loss on sliced batches."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import Tensor

from lelp_sklearn.losses import fold
from lelp_sklearn.objectives import Objective
from lelp_sklearn.objectives._base import split_loss
from lelp_sklearn.outputs import StudentOutputs
from lelp_sklearn.students._batches import Batch, SliceIterator, TensorRows


class DistillationNet(NeuralNetClassifier):
    """A skorch classifier whose loss is an :class:`~lelp_sklearn.objectives.Objective`'s.

    Labels are class numbers 0..C-1 in here, so callbacks score rightly whatever the user's labels.

    Parameters
    ----------
    module : type
        The student network.
    objective : Objective
        Fitted.
    **kwargs
        skorch's own.
    """

    def __init__(self, module: Any, *, objective: Objective, **kwargs: Any):
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
        self.epochs_before = 0  # those of earlier stages

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "module_"):  # skorch stores it apart, and the objective has other copies
            self.objective.relink(getattr(self.module_, "learned", None))

    def train_on(self, rows: TensorRows, epochs: int) -> bool:
        """Train for some epochs; early stopping and Ctrl-C end it, the second with a warning.

        Returns whether the user let it run.
        """
        undisturbed = True
        self.notify("on_train_begin", X=rows, y=None)
        try:
            self.fit_loop(rows, epochs=epochs)
        except KeyboardInterrupt:  # skorch's early stopping raises it too
            undisturbed = any(_has_stopped(callback) for _, callback in self.callbacks_)
            if not undisturbed:
                warnings.warn(
                    f"fit was interrupted in epoch {len(self.history)}; the student keeps the "
                    "weights it had then.",
                    UserWarning,
                    stacklevel=4,
                )
        self.notify("on_train_end", X=rows, y=None)
        for epoch in self.history:
            epoch["batches"].clear()  # megabytes of batch losses in every pickle otherwise
        return undisturbed

    @property
    def progress(self) -> float:
        """From 0 in the network's, or stage's, first epoch to 1 in its last and later ones."""
        done = len(self.history) - self.epochs_before - 1
        return min(1.0, done / max(self.max_epochs - 1, 1))

    def check_data(self, X: Any, y: Any = None) -> None:
        """Do nothing: the student has checked its rows."""

    def infer(self, x: Any, **fit_params: Any) -> StudentOutputs:
        """Outputs of rows of any kind, which lie on the module's device already."""
        return self.module_(x)

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Forward, loss and gradients of a training batch."""
        self._set_training(True)
        outputs = self.infer(batch[0])
        other = self.objective.view(batch[0])
        if other is not None:
            outputs = outputs._replace(view=self.module_.body(other))
        loss, terms = split_loss(self.objective.loss(outputs, batch.targets, self.progress))
        loss.backward()
        return {"loss": loss, "terms": terms, "y_pred": tuple(outputs[:2])}

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Loss of a held-out batch, by the objective as it is at the end of training.

        A schedule thus leaves the losses of different epochs comparable.
        """
        self._set_training(False)
        with torch.no_grad():
            outputs = self.infer(batch[0])
            loss, terms = split_loss(self.objective.loss(outputs, batch.targets, 1.0))
        return {"loss": loss, "terms": terms, "y_pred": tuple(outputs[:2])}

    def evaluation_step(self, batch: Batch, training: bool = False) -> tuple[Tensor, ...]:
        """Outputs of a batch as a plain tuple, which skorch's device moves can rebuild."""
        return tuple(super().evaluation_step(batch, training=training)[:2])


def class_probabilities(logits: Tensor, n_subclasses: tuple[int, ...]) -> Tensor:
    """Class probabilities of subclass logits."""
    return fold(logits, n_subclasses).softmax(dim=1)


def _has_stopped(callback: Any) -> bool:
    return isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
