"""From a student's parameters to the skorch net that is trained."""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import EarlyStopping

from lelp_sklearn.networks import Linear, StudentNetwork
from lelp_sklearn.objectives import Objective
from lelp_sklearn.students._callbacks import (
    BestWeights,
    EpochProgress,
    HeldOut,
    LearningRateSchedule,
    LossTerms,
)
from lelp_sklearn.students._checkpoint import Checkpoint
from lelp_sklearn.students._net import DistillationNet

# Updates all weights in one kernel: about an eighth of a small student's training time.
# SGD is left out: its kernel takes no sparse gradients.
_FUSED = (torch.optim.AdamW, torch.optim.Adam)


def make_net(
    student: Any,
    objective: Objective,
    skorch_params: dict[str, Any],
    device: torch.device,
    seed: int,
) -> DistillationNet:
    """The net of a student whose inputs are fitted, its weights drawn."""
    body_params = {
        name.removeprefix("module__"): value
        for name, value in skorch_params.items()
        if name.startswith("module__")
    }
    params: dict[str, Any] = {"iterator_train__shuffle": True}
    if getattr(student.module, "pads", False):
        params["iterator_train__by_length"] = True
    if student.optimizer in _FUSED and device.type in ("cpu", "cuda"):
        params["optimizer__fused"] = "optimizer__foreach" not in skorch_params
    params |= {k: v for k, v in skorch_params.items() if not k.startswith("module__")}
    if student.validation_fraction:
        params["train_split"] = HeldOut(float(student.validation_fraction), seed)
    known = student.inputs_.body_params(student)
    net = DistillationNet(
        StudentNetwork,
        objective=objective,
        max_grad_norm=student.max_grad_norm,
        on_oom=student.on_oom,
        bf16=student.bf16,
        module__body=Linear if student.module is None else student.module,
        module__body_params=body_params,
        module__known=known,
        module__n_logits=sum(objective.n_subclasses_),
        module__example=student.inputs_.example(student),
        module__objective=objective,
        optimizer=student.optimizer,
        lr=float(student.lr),
        max_epochs=int(student.max_epochs),
        batch_size=int(student.batch_size),
        device=str(device),
        verbose=0,
        **{"train_split": None, **params},
    ).initialize()
    known.clear()  # it is in the weights by now, and a pickle need not hold it twice
    return net


def make_callbacks(
    student: Any, epochs: int, checkpoint: Checkpoint | None = None, partial: bool = False
) -> list[Any]:
    """The callbacks of a training over some epochs, the user's among them."""
    callbacks = [("loss_terms", LossTerms()), *(student.callbacks or [])]
    if student.schedule and not partial:
        callbacks.append(("schedule", LearningRateSchedule(student.schedule, epochs)))
    if student.patience and not partial:
        stopping = EarlyStopping(patience=int(student.patience), threshold=0, load_best=True)
        callbacks.append(("early_stopping", stopping))
    elif student.validation_fraction and not partial:
        callbacks.append(("best_weights", BestWeights()))
    if student.verbose:
        callbacks.append(("progress_bar", EpochProgress(epochs)))
    if checkpoint is not None:
        callbacks.append(("run_checkpoint", checkpoint))  # the last: it has what the others did
    return callbacks
