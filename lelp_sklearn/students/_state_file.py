"""Nested states of numbers and tensors in one safetensors file: nothing in it can execute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lelp_sklearn._writing import write_whole


class NotANumberError(TypeError):
    """A state holds something that is neither a number, a string, a tensor nor made of these."""


def write_state(path: Path, state: Any) -> None:
    """Write a state so that the file is the old or the new one, whatever happens meanwhile.

    Parameters
    ----------
    path : Path
        File in an existing folder.
    state : any
        Numbers, strings, None and tensors, in dicts, lists and tuples.

    Raises
    ------
    NotANumberError
        If there is something else in it.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    tree = pack(state, tensors)
    content = save(tensors, metadata={"state": json.dumps(tree)})
    write_whole(path, content)


def read_state(path: Path) -> Any:
    """Read what :func:`write_state` wrote, tensors on the CPU.

    Raises
    ------
    ValueError
        If the file is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tree = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{str(path)!r} is not a checkpoint of a student: {error}.") from error
    return unpack(tree, tensors)


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """What JSON can hold of a state; tensors go to ``tensors``."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return pack(value.item(), tensors)
    if isinstance(value, dict):
        items = value.items()
        return {"dict": [[pack(k, tensors), pack(v, tensors)] for k, v in items]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [pack(v, tensors) for v in value]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": pack(torch.from_numpy(value.copy()), tensors)["tensor"]}
    if isinstance(value, Tensor) and value.layout == torch.strided:
        name = str(len(tensors))
        # A copy: tied weights share memory, which safetensors does not take.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    raise NotANumberError(f"a {type(value).__name__} cannot be kept in a checkpoint.")


def unpack(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """The state again."""
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "dict":
        return {unpack(k, tensors): unpack(v, tensors) for k, v in content}
    values = [unpack(v, tensors) for v in content]
    return values if kind == "list" else tuple(values)
