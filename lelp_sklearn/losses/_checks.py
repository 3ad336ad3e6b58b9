"""What losses ask of tensors: types and shapes. What is in them is not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

# By the names of arguments; all others hold floating point numbers.
_TYPES = dict.fromkeys(("y", "vertices"), torch.int64)
_TYPES |= dict.fromkeys(("mask", "ignore", "helped"), torch.bool)
_MAY_BE_NONE = "BMV"  # rows, anchors or negatives, and vertices
_OPTIONAL = ("weight", "joint_mass", "vertices", "mask", "ignore")


def check_tensors(**expected: tuple[Any, str]) -> None:
    """Refuse what is no tensor, holds another type, or does not fit those beside it.

    Each name comes with its tensor and a letter a dimension: the same letter, the same length, and
    a 1 is 1. "BM|M" are two shapes to choose from. It takes a microsecond or two a tensor.

    Raises
    ------
    TypeError
        If one is no tensor, or holds another type of numbers.
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses._checks import check_tensors
    >>> check_tensors(logits=(torch.zeros(3, 2), "BC"), y=(torch.zeros(4).long(), "B"))
    Traceback (most recent call last):
    ...
    ValueError: y has the shape (4,); expected (B) with B=3 as in logits.
    """
    sizes = {"1": 1}
    for name, (tensor, dims) in expected.items():
        if not isinstance(tensor, Tensor):
            if tensor is None and name in _OPTIONAL:
                continue
            raise _no_tensor(name, tensor)
        dtype = _TYPES.get(name)
        if tensor.dtype != dtype if dtype else not tensor.is_floating_point():
            raise _wrong_type(name, tensor)
        shape = tensor.shape
        if "|" in dims:
            dims = next((some for some in dims.split("|") if len(some) == len(shape)), dims)
        if len(shape) != len(dims):
            raise _wrong_shape(name, expected)
        for letter, size in zip(dims, shape, strict=True):
            if sizes.setdefault(letter, size) != size or (size == 0 and letter not in _MAY_BE_NONE):
                raise _wrong_shape(name, expected)


def check_vectors(**expected: Tensor) -> None:
    """Refuse what is no tensor of vectors, in any number of dimensions."""
    for name, rows in expected.items():
        if not isinstance(rows, Tensor):
            raise _no_tensor(name, rows)
        if not rows.is_floating_point():
            raise _wrong_type(name, rows)
        if not rows.ndim:
            raise ValueError(f"{name} is a single number; expected vectors, of shape (..., D).")


def check_one_type(**tensors: Tensor | None) -> None:
    """Refuse to multiply numbers of several types; autocast makes them one itself."""
    types = {name: t.dtype for name, t in tensors.items() if t is not None}
    if len(set(types.values())) > 1:
        device = next(t for t in tensors.values() if t is not None).device.type
        if torch.is_autocast_enabled(device):
            return
        seen = ", ".join(f"{name} {dtype}" for name, dtype in types.items())
        raise TypeError(
            f"the tensors hold several types of numbers, {seen}; expected one: "
            f"{list(types)[-1]}.to({next(iter(types))}.dtype)."
        )


def alike(logits: Any, target: Any) -> bool:
    """Whether two are of one shape (B, C): half a microsecond, where every step asks."""
    return (
        isinstance(logits, Tensor)
        and isinstance(target, Tensor)
        and logits.shape == target.shape
        and logits.ndim == 2
        and logits.is_floating_point()
        and target.is_floating_point()
    )


def numbered(logits: Any, y: Any) -> bool:
    """Whether each row of logits has a class number: half a microsecond, too."""
    return (
        isinstance(logits, Tensor)
        and isinstance(y, Tensor)
        and logits.ndim == 2
        and y.ndim == 1
        and y.shape[0] == logits.shape[0]
        and y.dtype == torch.int64
        and logits.is_floating_point()
    )


def check_blocks(rows: Any, n_subclasses: Sequence[int], name: str = "logits") -> None:
    """Refuse rows that are not as wide as the blocks of all classes together."""
    if _fits(rows, n_subclasses):
        return
    check_tensors(**{name: (rows, "BK")})
    check_widths(n_subclasses)
    if rows.shape[1] == sum(n_subclasses):
        return
    raise ValueError(
        f"{name} has {rows.shape[1]} columns; expected {sum(n_subclasses)}, the sum of "
        f"n_subclasses={list(n_subclasses)}: a column for each subclass of each class."
    )


def check_classes(name: str, per_class: Any, n_rows: int, n_subclasses: Sequence[int]) -> None:
    """Refuse columns that are not those of the classes."""
    n_classes = len(n_subclasses)
    if (
        isinstance(per_class, Tensor)
        and per_class.shape == (n_rows, n_classes)
        and per_class.is_floating_point()
    ):
        return
    check_tensors(**{name: (per_class, "BC")})
    raise ValueError(
        f"{name} has the shape {tuple(per_class.shape)}; expected ({n_rows}, {n_classes}), a "
        f"column for each class of n_subclasses={list(n_subclasses)}."
    )


def check_widths(n_subclasses: Any) -> None:
    """Refuse widths of blocks that are no whole numbers of 1 and more."""
    try:
        widths = list(n_subclasses)
    except TypeError:
        widths = []
    if not widths or not all(_is_count(width) for width in widths):
        raise ValueError(
            f"n_subclasses={n_subclasses!r}: expected the width of each class's block, a sequence "
            "of whole numbers of 1 and more such as [2, 2]."
        )


def check_count(name: str, value: Any) -> None:
    """Refuse all but whole numbers of 1 and more."""
    if not _is_count(value):
        raise ValueError(f"{name}={value!r}: expected a whole number of 1 or more.")


def check_positive(name: str, value: Any) -> None:
    """Refuse all but finite numbers above 0."""
    if not 0 < _number(value) < inf:
        raise ValueError(f"{name}={value!r}: expected a finite number above 0.")


def check_not_negative(name: str, value: Any) -> None:
    """Refuse all but finite numbers of 0 and more."""
    if not 0 <= _number(value) < inf:
        raise ValueError(f"{name}={value!r}: expected a finite number of 0 or more.")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, float | int | Real) else nan


def _fits(rows: Any, n_subclasses: Sequence[int]) -> bool:
    """The usual case, in a microsecond."""
    return (
        isinstance(rows, Tensor)
        and isinstance(n_subclasses, list | tuple)
        and set(map(type, n_subclasses)) == {int}
        and min(n_subclasses) > 0
        and rows.ndim == 2
        and rows.shape[1] == sum(n_subclasses)
        and rows.is_floating_point()
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _no_tensor(name: str, value: Any) -> TypeError:
    if value is None:
        return TypeError(f"{name} is None; expected a torch Tensor.")
    return TypeError(
        f"{name} is a {type(value).__name__}; expected a torch Tensor: torch.as_tensor({name})."
    )


def _wrong_type(name: str, tensor: Tensor) -> TypeError:
    dtype = _TYPES.get(name)
    wanted, fix = {
        None: ("floating point numbers", "float()"),
        torch.int64: ("numbers of type torch.int64", "long()"),
        torch.bool: ("torch.bool", "bool()"),
    }[dtype]
    return TypeError(f"{name} holds {tensor.dtype}; expected {wanted}: {name}.{fix}.")


def _wrong_shape(name: str, expected: dict[str, tuple[Any, str]]) -> ValueError:
    tensor, dims = expected[name]
    shapes = " or ".join(f"({', '.join(some)})" for some in dims.split("|"))
    known: dict[str, str] = {}
    for other, (beside, letters) in expected.items():
        if other == name:
            break
        if beside is not None:
            for letter, size in zip(letters, beside.shape, strict=False):
                if letter in dims:
                    known.setdefault(letter, f"{letter}={size} as in {other}")
    lengths = f" with {', '.join(known.values())}" if known else ""
    return ValueError(f"{name} has the shape {tuple(tensor.shape)}; expected {shapes}{lengths}.")
