"""Numbers as users have them, from grids and arrays of numpy's, as torch takes them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from operator import index
from typing import Any

import numpy as np


def python_value(value: Any, name: str) -> Any:
    """A parameter without numpy's scalars, also inside lists, tuples and dictionaries.

    Raises
    ------
    TypeError
        If it is a fraction or a decimal, which torch does not know.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, Fraction | Decimal):
        raise TypeError(f"{name}={value!r}: expected a plain number, such as {float(value)!r}.")
    if type(value) in (list, tuple):
        return type(value)(python_value(item, name) for item in value)
    if type(value) is dict:
        return {python_value(k, name): python_value(item, name) for k, item in value.items()}
    return value


def layer_widths(hidden: int | Iterable[int]) -> list[int]:
    """Widths of layers, given as one number or several, in any container."""
    several = isinstance(hidden, Iterable) and np.ndim(hidden) > 0  # type: ignore[arg-type]
    widths: Any = hidden if several else [hidden]
    return [index(width) for width in widths]
