"""A limit on the memory that parameters from a file can ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lelp_sklearn.persistence._file import ModelFileError

_SIZED = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye),
    *(torch.arange, torch.linspace, torch.empty_strided, torch.randint, torch.randperm),
    *(Tensor.new_zeros, Tensor.new_empty, Tensor.new_ones, Tensor.new_full),
}
_COPIES = {Tensor.clone, Tensor.__deepcopy__}
_SLACK = 2**24  # bytes, and beside them what the weights take several times


class Budget(TorchFunctionMode):
    """Refuses tensors that are larger together than what the file's weights can fill.

    Sizes are read from parameters in the file, and a forged one could ask for all memory.
    """

    def __init__(self, nbytes: int, n_weights: int):
        super().__init__()
        self.left = 4 * nbytes + _SLACK
        self.calls = 20 * n_weights + 1000

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _SIZED:
            sizes = {name: v for name, v in kwargs.items() if name not in ("generator", "out")}
            self.take(nbytes_of(func(*args, **{**sizes, "device": "meta"})))
        elif func in _COPIES:  # a layer is copied as often as a number says
            self.take(nbytes_of(args[0]))
        return func(*args, **kwargs)

    def take(self, nbytes: int) -> None:
        """Count bytes that are asked for."""
        self.left -= nbytes
        self.calls -= 1
        if self.left < 0 or self.calls < 0:
            raise ModelFileError(
                "the file's parameters ask for a network far larger than its weights: it is "
                "damaged or forged."
            )


def nbytes_of(values: Tensor) -> int:
    """Bytes of a tensor, of one without data too."""
    return values.numel() * values.element_size()
