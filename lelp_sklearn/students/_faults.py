"""Losses and gradients that are not finite: seen before they reach the weights, and explained."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lelp_sklearn.students._batches import TensorRows
from lelp_sklearn.students._optimizers import gives_sparse_gradients

_OUTLYING = 1e3  # so many times the median row's largest value
_LOW_TEMPERATURE = 1e-2
_ROWS_AT_ONCE = 256


class NonFiniteError(FloatingPointError):
    """A training that ended at a loss or a gradient that is not finite.

    Attributes
    ----------
    epoch, batch : int
        Where, from 1.
    row : int or None
        The row of X that is likely to blame.
    """

    def __init__(self, seen: str, epoch: int, batch: int):
        super().__init__(seen, epoch, batch)
        self.seen, self.epoch, self.batch = seen, epoch, batch
        self.cause = ""
        self.kept = "The student keeps the weights of the step before."
        self.row: int | None = None

    def __str__(self) -> str:
        cause = self.cause.format(row=self.row)
        return f"{self.seen} in epoch {self.epoch}, batch {self.batch}. {cause} {self.kept}"

    def inside(self, estimator: Any) -> None:
        """Say that an estimator which trained the student keeps nothing of it."""
        self.kept = f"The {type(estimator).__name__} is what it was before."
        if hasattr(estimator, "student"):
            self.kept += " Parameters named here are its student's: set_params(student__lr=...)."


class StepGuard:
    """Watches a training's losses and gradients for inf and NaN, and takes an epoch's bad end back.

    One kernel looks at all of them, without a copy: too little to see in a small student's fit.
    Where the fused optimizers of a GPU can leave out a step by themselves, the result is only
    read at the end of an epoch, so that no batch waits for it.
    """

    def __init__(self, net: Any, deferred: bool | None = None):
        self.net = net
        self.parameters = [p for group in net.optimizer_.param_groups for p in group["params"]]
        device = self.parameters[0].device
        self.found = torch.zeros((), device=device)
        self.one = torch.ones((), device=device)
        if deferred is None:
            deferred = device.type == "cuda" and _skips_steps(net.optimizer_, self.parameters)
        self.deferred = deferred
        if deferred:
            net.optimizer_.found_inf = self.found  # where it is 1, the kernel changes nothing
        self.batch = 0
        # Asking each gradient for its kind would take as long as looking at its numbers.
        self.simple = device.type != "mps" and not gives_sparse_gradients(net.module_)
        self.simple &= len({p.dtype for p in self.parameters}) == 1

    def start_epoch(self) -> None:
        """Remember the weights: what batch normalisation, say, makes of a bad batch is undone."""
        self.batch = 0
        self.skipped = torch.zeros_like(self.found)
        with torch.no_grad():
            self.before = {k: v.clone() for k, v in _floats(self.net.module_).items()}

    def check(self, loss: Tensor) -> None:
        """Look at a batch's loss, and at the gradients it gave."""
        self.batch += 1
        gradients = [g for p in self.parameters if (g := p.grad) is not None]
        if not self.simple:
            if any(gradient.is_sparse for gradient in gradients):
                self.close()  # updates of single rows do not look at found_inf
                self.deferred = False
            gradients = [_values(gradient) for gradient in gradients]
        if self.deferred:
            simple = self.simple and all(g.dtype == loss.dtype for g in gradients[:1])
            _mark_non_finite([loss.detach(), *gradients], self.found, self.one, simple)
            self.skipped += self.found
            return
        _mark_non_finite(gradients, self.found, self.one, self.simple)
        value = loss.item()
        if not math.isfinite(value):
            self._fail(f"the loss is {value}")
        if self.found.item():
            self._fail(self._gradient())

    def end_epoch(self) -> None:
        """Read what a GPU has found."""
        if self.deferred and (skipped := int(self.skipped.item())):
            self.batch -= skipped - 1
            self._fail("the loss or a gradient is not finite")

    def restore(self) -> None:
        """Give parameters and buffers that are not finite their values at the epoch's start."""
        now = _floats(self.net.module_)
        bad = {name for name, values in now.items() if not values.isfinite().all()}
        if any(name in bad for name, _ in self.net.module_.named_parameters()):
            bad = set(now)  # weights of one step belong together
        with torch.no_grad():
            for name in bad:
                now[name].copy_(self.before[name])

    def close(self) -> None:
        """Let the optimizer go."""
        if self.deferred and hasattr(self.net.optimizer_, "found_inf"):
            del self.net.optimizer_.found_inf

    def _gradient(self) -> str:
        name, gradient = next(
            (name, _values(p.grad))
            for name, p in self.net.module_.named_parameters()
            if p.grad is not None and not _values(p.grad).isfinite().all()
        )
        kind = "NaN" if gradient.isnan().any() else "infinite"
        return f"the gradient of {name} is {kind} at a finite loss"

    def _fail(self, seen: str) -> None:
        raise NonFiniteError(seen, len(self.net.history), self.batch)


def find_cause(net: Any, rows: TensorRows, fault: NonFiniteError) -> None:
    """Write to a fault what it likely comes from: a row, a temperature or the learning rate."""
    sizes = _output_sizes(net, rows)
    median, row = sizes.median(), int(sizes.argmax())
    given = {f"the target {k!r} of ": v for k, v in rows.targets.items()}
    if isinstance(rows.X, Tensor):  # with scikit-learn's assume_finite nobody has looked
        given["X, in "] = rows.X
    for what, values in given.items():
        bad = (~values.reshape(len(values), -1).isfinite().all(dim=1)).nonzero()
        if len(bad):
            fault.row = int(bad[0])
            fault.cause = f"Likely cause: {what}row {{row}} is not finite."
            return
    if median.isfinite() and sizes[row] > _OUTLYING * max(median.item(), 1.0):
        fault.row = row
        fault.cause = (
            f"Likely cause: row {{row}} of X{_largest_value(rows.X, row)}, for which the student's "
            f"outputs reach {sizes[row]:.3g}, and {median:.3g} for half of the rows. Scale the "
            "columns of X, or leave the row out."
        )
        return
    cold = [
        f"{name}={value!r}"
        for name, value in net.objective.get_params(deep=True).items()
        if name.endswith("temperature")
        and isinstance(value, int | float)
        and value < _LOW_TEMPERATURE
    ]
    if cold:
        fault.cause = f"Likely cause: {cold[0]}, by which logits are divided. Raise it."
        return
    rate = net.optimizer_.param_groups[0]["lr"]
    fault.cause = (
        f"Likely cause: the learning rate, lr={net.lr} ({rate:.3g} in this batch); the student's "
        f"outputs reach {sizes[row]:.3g}. Lower it, or set max_grad_norm=1.0."
    )


def clip_gradients(net: Any, max_norm: float) -> None:
    """Scale all gradients so that their common norm is at most ``max_norm``; sparse ones too."""
    values = []
    for group in net.optimizer_.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                if parameter.grad.is_sparse:  # the same row may stand in it several times
                    parameter.grad = parameter.grad.coalesce()
                values.append(_values(parameter.grad))
    norms = [torch.linalg.vector_norm(gradient) for gradient in values]
    scale = (max_norm / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-6)).clamp(max=1.0)
    for gradient in values:
        gradient.mul_(scale)


def _mark_non_finite(tensors: list[Tensor], found: Tensor, one: Tensor, simple: bool) -> None:
    """Set ``found`` to 1 where an entry is inf or NaN; the tensors are multiplied by one."""
    check = torch._amp_foreach_non_finite_check_and_unscale_  # what torch.amp.GradScaler calls
    if not tensors:
        return
    if simple:  # of one type, on a device that has the kernel
        check(tensors, found, one)
    elif found.device.type == "mps":
        if not all(tensor.isfinite().all() for tensor in tensors):
            found.fill_(1.0)
    else:
        for dtype in {tensor.dtype for tensor in tensors}:
            check([tensor for tensor in tensors if tensor.dtype == dtype], found, one)


def _skips_steps(optimizer: Any, parameters: list[Tensor]) -> bool:
    """Whether the optimizer leaves out steps whose ``found_inf`` is set."""
    fused = all(group.get("fused") for group in optimizer.param_groups)
    adam = isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW)
    return fused and adam and all(p.grad is None or not p.grad.is_sparse for p in parameters)


def _values(gradient: Any) -> Tensor:
    return gradient._values() if gradient.is_sparse else gradient


def _floats(module: torch.nn.Module) -> dict[str, Tensor]:
    state = [*module.named_parameters(), *module.named_buffers()]
    return {name: values.detach() for name, values in state if values.is_floating_point()}


@torch.no_grad()
def _output_sizes(net: Any, rows: TensorRows) -> Tensor:
    """Largest absolute output of each row, inf where it is not finite."""
    net.module_.eval()
    sizes = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        outputs = net.module_(rows.batch(slice(start, start + _ROWS_AT_ONCE))[0])
        both = torch.cat([outputs.logits, outputs.embedding], dim=1).abs().float()
        sizes.append(both.amax(dim=1).nan_to_num(nan=torch.inf, posinf=torch.inf).cpu())
    return torch.cat(sizes)


def _largest_value(X: Any, row: int) -> str:
    """What stands out in a row of numbers."""
    if not isinstance(X, Tensor) or X.ndim != 2 or not X.is_floating_point():
        return ""
    column = int(X[row].abs().argmax())
    return f", which has {X[row, column].item():.3g} in column {column}"
