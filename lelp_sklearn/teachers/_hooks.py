"""A torch module asked and left as it was: its mode, its device, its hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lelp_sklearn._torch import UsualSettings, resolve_device


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each submodule's own mode returns, whatever happens."""
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with UsualSettings(), torch.no_grad():
            yield
    finally:
        for part, training in before.items():
            part.training = training


@contextmanager
def moved(module: nn.Module, device: str | None) -> Iterator[torch.device]:
    """The module on a device, and back where it was afterwards; None leaves it where it is.

    A module spread over several devices stays, and takes its inputs where its first weight is.
    """
    homes = {tensor.device for tensor in [*module.parameters(), *module.buffers()]}
    if device is None or len(homes) > 1:
        first = next(module.parameters(), None)
        yield torch.device("cpu") if first is None else first.device
        return
    target = resolve_device(device)
    home = next(iter(homes), target)
    module.to(target)
    try:
        yield target
    finally:
        module.to(home)


@contextmanager
def captured(module: nn.Module, *, inputs: bool) -> Iterator[list[Tensor]]:
    """Collect what a layer is given (``inputs``) or gives, one tensor a forward pass."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, args: tuple[Any, ...], output: Any = None) -> None:
        seen.append(first_tensor(args if inputs else output))

    handle = (
        module.register_forward_pre_hook(keep) if inputs else module.register_forward_hook(keep)
    )
    try:
        yield seen
    finally:
        handle.remove()


def autocast(device: torch.device, dtype: str | None) -> AbstractContextManager[Any]:
    """Matrix products in ``dtype``; None leaves them as they are."""
    if dtype is None:
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, dtype))


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16, rather than emulating it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # torch has no public name for this; without these, the safe answer.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def first_tensor(value: Any) -> Tensor:
    """A tensor, or the first of a tuple; ``logits`` where the output names them."""
    if hasattr(value, "logits"):
        value = value.logits
    while isinstance(value, (tuple, list)) and len(value):
        value = value[0]
    if not isinstance(value, Tensor):
        raise TypeError(
            f"the module or layer gave {type(value).__name__}; expected a tensor, a tuple whose "
            "first item is one, or an output with .logits."
        )
    return value


def embedding_layer(module: nn.Module, layer: str | None) -> tuple[nn.Module, bool]:
    """The layer to hook, and whether its inputs are the embedding; None is the last Linear."""
    if layer is None:
        return last_linear(module), True
    layers = dict(module.named_modules())
    if layer not in layers:
        raise ValueError(
            f"the module has no layer {layer!r}; it has {[name for name in layers if name]}."
        )
    return layers[layer], False


def last_linear(module: nn.Module) -> nn.Linear:
    """The nn.Linear that the module registers last."""
    found = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if not found:
        raise ValueError(
            f"{type(module).__name__} has no nn.Linear, so the default embedding, its input, does "
            "not exist: name a layer whose output is the embedding, such as "
            f"layer={next((name for name, _ in module.named_modules() if name), 'body')!r}."
        )
    return found[-1]


def joined(batches: list[Tensor], n_rows: int) -> Any:
    """One float32 (or float64) array of all batches' embeddings, checked to be one a row."""
    shape = tuple(batches[0].shape)
    if len(shape) != 2 or sum(len(batch) for batch in batches) != n_rows:
        raise ValueError(
            f"the embedding layer gave {len(batches)} tensors, the first of shape {shape}, for "
            f"{n_rows} rows; expected one embedding a row, (rows, width). Name a layer after the "
            "pooling or flattening, which runs once a forward pass."
        )
    return torch.cat([as_float(batch) for batch in batches]).numpy()


def as_float(tensor: Tensor) -> Tensor:
    """On the cpu, in a precision that numpy knows."""
    tensor = tensor.detach().cpu()
    return tensor if tensor.dtype == torch.float64 else tensor.float()
