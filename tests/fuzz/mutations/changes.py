"""A change, what is expected of it, and lists of changes made from others.

FORM: the same content in another container, so the same result. BAD: to be refused. ODD: a right
answer or a refusal in our own words.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

Expected = Enum("Expected", ["FORM", "ODD", "BAD"])
FORM, ODD, BAD = Expected


class Mutation(NamedTuple):
    name: str
    expected: Expected
    change: Callable[[Any, int], Any]

    def __repr__(self):
        return self.name


def of(expected, **changes):
    """Changes by name, each a function of what is given and of a number to choose a place by."""
    return [Mutation(name, expected, change) for name, change in changes.items()]


def names(mutations):
    return [m.name for m in mutations]


def only(mutations, *chosen):
    """Those of these names."""
    _check_there(mutations, chosen)
    return [m for m in mutations if m.name in chosen]


def without(mutations, *left_out):
    """All but those of these names."""
    _check_there(mutations, left_out)
    return [m for m in mutations if m.name not in left_out]


def renamed(mutations, expected, *otherwise):
    """The same changes, where those of these names are judged otherwise; without names, all."""
    _check_there(mutations, otherwise)
    every = not otherwise
    return [m._replace(expected=expected) if every or m.name in otherwise else m for m in mutations]


def unless_form(mutations, expected):
    """The same changes, where all that change more than the container are judged otherwise."""
    return [m if m.expected is FORM else m._replace(expected=expected) for m in mutations]


def _check_there(mutations, chosen):
    unknown = set(chosen) - set(names(mutations))
    assert not unknown, f"no such changes: {unknown}"


def array(value):
    """A C-contiguous copy as plain as can be."""
    if sparse.issparse(value):
        return value.toarray()
    return np.array(value)


def put(value):
    """A mutation that puts a value into one cell."""

    def change(given, at):
        rows = array(given)
        if not isinstance(value, bool | int | float) or rows.dtype.kind not in "fc":
            rows = rows.astype(object if not isinstance(value, float) else float)
        cell = at % rows.size
        rows.flat[cell - (rows.ndim == 1 and cell % 5 == 4)] = value  # not where labels go unread
        return rows

    return change


ABSENT = of(BAD, absent=lambda given, at: None)
OPTIONAL = of(ODD, absent=lambda given, at: None)
