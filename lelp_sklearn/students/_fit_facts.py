"""What a fit's result depends on, fact by fact: parameters, rows, starting weights."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skorch.callbacks import Callback

from lelp_sklearn._numbers import python_value
from lelp_sklearn.students._inputs import TrainingRows
from lelp_sklearn.teachers._fingerprint import fingerprint
from lelp_sklearn.teachers._keys import row_keys

Facts = dict[str, tuple[str, str]]

# Another machine or bar changes at most the last bits.
_IGNORED = ("verbose", "device", "n_threads", "on_oom", "warm_start")


def fit_facts(student: Any, rows: TrainingRows, classes: NDArray, start: Any = None) -> Facts:
    """Name of each fact, with how it reads and a digest of its content.

    Parameters
    ----------
    student : estimator
        Its parameters count, but not on which device and how loudly it trains.
    rows : TrainingRows
        Checked.
    classes : ndarray
        Labels.
    start : nn.Module, optional
        The network that training goes on from.
    """
    facts = parameter_facts(student)
    facts["X"] = f"{type(rows.X).__name__} {_shape(rows.X)}", _digest_of_rows(rows.X)
    arrays = {
        "y": rows.y,
        "classes": classes,
        "labeled": rows.labeled,
        "sample_weight": rows.weight,
    }
    arrays |= {f"teacher_{name}": getattr(rows.teacher, name) for name in rows.teacher.given}
    if rows.teacher.coef is not None:
        arrays["teacher_coef"] = rows.teacher.coef
    for name, values in arrays.items():
        facts[name] = f"array {_shape(values)}", fingerprint(values)
    if start is not None:
        facts["the weights that warm_start goes on from"] = "weights", fingerprint(start)
    return facts


def parameter_facts(student: Any) -> Facts:
    """Those that are known without any rows."""
    facts = {"the estimator": _fact(type(student))}
    for name, value in student.get_params(deep=True).items():
        if name not in _IGNORED:
            facts[name] = _parameter(value)
    return facts


def differences(there: Facts, here: Facts) -> list[str]:
    """What differs, in words."""
    missing = ("not given", "")
    found = []
    for name in sorted(there.keys() | here.keys()):
        (text, digest), (own_text, own_digest) = there.get(name, missing), here.get(name, missing)
        if digest != own_digest:
            values = f"{text} there and {own_text} here" if text != own_text else f"another {text}"
            found.append(f"{name} ({values})")
    return found


def _parameter(value: Any) -> tuple[str, str]:
    if isinstance(value, list) and all(isinstance(v, Callback | type) for v in value):
        # By name and parameters: what else they and their classes hold changes in training.
        parts = [
            _name(v) if isinstance(v, type) else (_name(type(v)), v.get_params()) for v in value
        ]
        return _fact(parts)
    if hasattr(value, "get_params") and not isinstance(value, type):
        return _fact(type(value))  # its parameters are facts of their own
    return _fact(python_value(value, "a parameter"))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _fact(value: Any) -> tuple[str, str]:
    text = value.__name__ if isinstance(value, type) else reprlib.repr(value)
    try:
        return text, fingerprint(value)
    except TypeError:  # it has no content that could be hashed
        return text, type(value).__qualname__


def _shape(values: Any) -> str:
    shape = getattr(values, "shape", None)
    return f"of {len(values)} rows" if shape is None else f"of shape {tuple(map(int, shape))}"


def _digest_of_rows(X: Any) -> str:
    try:
        return fingerprint(row_keys(X))
    except TypeError:
        return fingerprint(np.asarray(X, dtype=object) if isinstance(X, tuple) else X)
