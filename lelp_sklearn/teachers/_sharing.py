"""Teachers whose weights parallel workers share, instead of getting a copy with every task."""

from __future__ import annotations

import copy
from typing import Any
from weakref import WeakKeyDictionary

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn._torch import as_tensor

# joblib writes a large array to a memory map once, and knows it again by identity.
_ARRAYS: WeakKeyDictionary[nn.Module, dict[str, NDArray]] = WeakKeyDictionary()


class SharesWeights:
    """Pickles torch modules as skeletons, and their weights on the CPU as arrays.

    A search over processes sends its estimators, teacher included, with every task. joblib hands
    large arrays over by a memory map that all tasks share, which it cannot do with tensors.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        modules = {id(v): v for v in state.values() if isinstance(v, nn.Module)}
        skeletons = {key: _skeleton(module) for key, module in modules.items()}
        return {name: skeletons.get(id(value), value) for name, value in state.items()} | {
            "_weights": [(skeletons[key], _arrays_of(module)) for key, module in modules.items()]
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        weights = state.pop("_weights", [])
        super().__setstate__(state)  # type: ignore[misc]
        for module, arrays in weights:
            for name, tensor in _tensors(module):
                if name in arrays:
                    tensor.data = as_tensor(arrays[name]).view(tensor.dtype)
            _ARRAYS[module] = arrays


def _skeleton(module: nn.Module) -> nn.Module:
    """A copy with empty tensors in place of those that travel as arrays."""
    arrays = _arrays_of(module)
    empty = {id(t): _empty_like(t) for name, t in _tensors(module) if name in arrays}
    return copy.deepcopy(module, empty)


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _empty_like(tensor: Tensor) -> Tensor:
    data = torch.empty(0, dtype=tensor.dtype)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(data, requires_grad=tensor.requires_grad)
    return data


def _arrays_of(module: nn.Module) -> dict[str, NDArray]:
    """Views of the weights as bytes, the same objects every time."""
    kept, arrays = _ARRAYS.get(module, {}), {}
    for name, tensor in _tensors(module):
        if tensor.device.type == "cpu" and tensor.ndim and tensor.is_contiguous():
            view = tensor.detach().view(torch.uint8).numpy()
            known = kept.get(name, view)
            same = known.__array_interface__ == view.__array_interface__
            arrays[name] = known if same else view
    _ARRAYS[module] = arrays
    return arrays
