"""Batches that do not fit into the memory of a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from lelp_sklearn.outputs import StudentOutputs
from lelp_sklearn.students._batches import Batch
from lelp_sklearn.students._unanswered import loss_of

OutOfMemoryError = torch.cuda.OutOfMemoryError


def split_batches(net: Any, batch: Batch, error: OutOfMemoryError) -> None:
    """Have the net take its batches in twice as many parts from now on, and say so.

    Raises
    ------
    torch.OutOfMemoryError
        If that is not wanted, or the parts would be single rows.
    """
    n_parts = 2 * net.n_parts
    if net.on_oom == "raise" or len(batch[1]) < 2 * n_parts:
        raise error
    net.n_parts = n_parts
    for group in net.optimizer_.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    warnings.warn(
        f"out of memory at {len(batch[1]) * 2 // n_parts} rows at once: batches of "
        f"batch_size={net.batch_size} are taken in {n_parts} parts from here on, whose gradients "
        "are those of the whole batch, at the price of a second forward pass.",
        UserWarning,
        stacklevel=2,
    )


def out_of_memory(student: Any, error: OutOfMemoryError) -> OutOfMemoryError:
    """An error that says which knob to turn."""
    parts = "" if student.on_oom == "halve" else ", or set on_oom='halve'"
    return OutOfMemoryError(
        f"{type(student).__name__} ran out of memory on device={student.device!r} "
        f"({str(error).splitlines()[0]}). Lower batch_size={student.batch_size}{parts}; a smaller "
        "module needs less too. All rows lie on the device in training: if they do not fit, use "
        "device='cpu', or partial_fit on parts of them."
    )


def gradients_in_parts(net: Any, batch: Batch) -> tuple[Tensor, dict[str, Tensor], StudentOutputs]:
    """Loss of a batch, its scalars and outputs, and the gradients; only a part is kept at a time.

    The parts go forward without a graph; the loss of all outputs together gives the gradients of
    these; and each part goes forward again, with the same random numbers, and back. So the
    gradients are the whole batch's for every objective, also for those that compare rows.

    References
    ----------
    Gao, Zhang, Han and Callan (2021), Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup, arXiv:2101.06983, section 3.
    """
    X, other = batch[0], net.objective.view(batch[0])
    views = [None] * net.n_parts if other is None else _parts(other, net.n_parts)
    parts = list(zip(_parts(X, net.n_parts), views, strict=False))
    device = batch[1].device
    buffers = [buffer.clone() for buffer in net.module_.body.buffers()]
    states, found = [], []
    for part in parts:
        states.append(_random_state(device))
        with torch.no_grad():
            found.append(_outputs(net, *part))
    outputs = _joined(found)
    leaves = map_floats(lambda tensor: tensor.detach().requires_grad_(), outputs)
    loss, terms = loss_of(net.objective, leaves, batch, net.progress, net.unchecked)
    loss.backward()
    gradients = _tensors(map_floats(lambda tensor: tensor.grad, leaves))
    after = _random_state(device)
    with torch.no_grad():
        for buffer, before in zip(net.module_.body.buffers(), buffers, strict=True):
            buffer.copy_(before)  # or batch normalisation would count the batch twice
    start = 0
    for part, state, first in zip(parts, states, found, strict=True):
        _set_random_state(state, device)
        stop = start + len(first.logits)
        pairs = [
            (tensor, gradient[start:stop])
            for tensor, gradient in zip(_tensors(_outputs(net, *part)), gradients, strict=True)
            if gradient is not None and tensor.requires_grad
        ]
        if pairs:
            torch.autograd.backward([tensor for tensor, _ in pairs], [g for _, g in pairs])
        start = stop
    _set_random_state(after, device)
    return loss, terms, outputs


def outputs_in_parts(net: Any, X: Any) -> StudentOutputs:
    """Outputs of a batch without a graph, a part at a time."""
    if net.n_parts == 1:
        return net.infer(X)
    return _joined([net.infer(part) for part in _parts(X, net.n_parts)])


def _outputs(net: Any, X: Any, view: Any) -> StudentOutputs:
    outputs = net.infer(X)
    return outputs if view is None else outputs._replace(view=net.module_.body(view))


def _parts(X: Any, n_parts: int) -> list[Any]:
    """Parts of about the same size, none of a single row."""
    n_parts = max(1, min(n_parts, len(X) // 2))
    stops = [len(X) * i // n_parts for i in range(n_parts + 1)]
    return [X[start:stop] for start, stop in pairwise(stops)]


def _joined(parts: Sequence[StudentOutputs]) -> StudentOutputs:
    """Outputs of a batch from those of its parts."""
    fields: list[Any] = []
    for values in zip(*parts, strict=True):
        if isinstance(values[0], tuple):
            fields.append(tuple(_cat(v) for v in zip(*values, strict=True)))
        else:
            fields.append(None if values[0] is None else _cat(values))
    return StudentOutputs(*fields)


def _cat(tensors: Sequence[Tensor]) -> Tensor:
    if len({tensor.shape[1:] for tensor in tensors}) > 1:
        raise ValueError(
            f"on_oom='halve' cannot join outputs of the shapes "
            f"{[tuple(tensor.shape) for tensor in tensors]}: for an objective that looks at each "
            "token, lower batch_size instead."
        )
    return torch.cat(list(tensors))


def map_floats(function: Any, outputs: StudentOutputs) -> StudentOutputs:
    """A function on every tensor of numbers."""

    def of(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(of, value))
        return function(value) if value is not None and value.is_floating_point() else value

    return StudentOutputs(*map(of, outputs))


def _tensors(outputs: StudentOutputs) -> list[Any]:
    """All fields, in order, those that are tuples taken apart."""
    return [
        tensor for field in outputs for tensor in (field if isinstance(field, tuple) else (field,))
    ]


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), cuda


def _set_random_state(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
