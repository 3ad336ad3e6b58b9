"""An epoch of training without skorch's records of every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from skorch.callbacks import Callback, EpochScoring
from torch import Tensor

from lelp_sklearn.students._batches import Batch
from lelp_sklearn.students._callbacks import LearningRateSchedule, LossTerms

_OF_BATCHES = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class EpochLoop:
    """skorch's epoch and step, for nets whose callbacks do not read records of batches.

    The history gets an epoch's mean loss as if the epoch were one batch, so that all that reads
    epochs works as ever: a twelfth less time for a small student, and no wait for a GPU. A user's
    callback that listens to batches brings skorch's own loop back.
    """

    callbacks_: list[tuple[str, Any]]
    history: Any
    module_: Any
    optimizer_: Any

    def run_single_epoch(
        self,
        iterator: Iterable[Batch] | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
        **fit_params: Any,
    ) -> None:
        """Take a step a batch, and record the mean loss of the rows."""
        if iterator is None:
            return
        self.module_.train(training)  # all of it, whatever mode its parts were in
        listeners = [callback for _, callback in self.callbacks_ if _listens(callback)]
        if not all(_reads_no_records(listener) for listener in listeners):
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)  # type: ignore[misc]
            return
        total: Any = 0.0
        n_rows = n_batches = 0
        for batch in iterator:
            step = (self._step if training else step_fn)(batch)
            loss, size = step["loss"].detach(), len(batch[1])
            # On a GPU the sum stays there: reading a number would wait for each batch.
            total += size * (loss.item() if loss.device.type == "cpu" else loss)
            n_rows += size
            n_batches += 1
            for listener in listeners:
                listener.on_batch_end(self, batch=batch, training=training, **step)
        self.history.new_batch()
        self.history.record_batch(f"{prefix}_loss", float(total) / n_rows)
        self.history.record_batch(f"{prefix}_batch_size", n_rows)
        self.history.record(f"{prefix}_batch_count", n_batches)

    def _step(self, batch: Batch) -> dict[str, Any]:
        """One update of the weights."""
        step: dict[str, Any] = {}

        def closure() -> Tensor:
            for group in self.optimizer_.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
            taken = self.train_step_single(batch)  # type: ignore[attr-defined]
            if not step:  # an optimizer may ask again, after a move
                step.update(taken)
            return taken["loss"]

        self.optimizer_.step(closure)
        return step

    def _set_training(self, training: bool = True) -> None:
        if self.module_.training != training:  # walking all modules takes as long as a small batch
            self.module_.train(training)


def _listens(callback: Any) -> bool:
    return any(getattr(type(callback), name) is not getattr(Callback, name) for name in _OF_BATCHES)


def _reads_no_records(callback: Any) -> bool:
    """Whether a listener to batches leaves the history's records of them alone."""
    return isinstance(callback, EpochScoring | LearningRateSchedule | LossTerms)
