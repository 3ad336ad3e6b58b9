"""Rows made from those of a sample, such as a model meets later: unseen, missing, rare, extreme."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn._rows import n_rows
from lelp_sklearn.inputs._columns import is_frame
from lelp_sklearn.persistence._onnx_steps import steps

_MOST_COLUMNS = 64  # that are changed by themselves
_MOST_CATEGORIES = 50  # of a column
_BASE = 8  # rows of the sample that are changed
_UNSEEN = "a value that is in no sample"

Edit = dict[Any, Any]  # values by column, of one row


def probes(model: Any, sample: Any, kinds: dict[Any, str]) -> Iterator[tuple[str, Any, NDArray]]:
    """What a batch holds, its rows, and the model's probabilities of them.

    Rows that the model itself refuses are left out.

    Parameters
    ----------
    model : estimator
        Fitted.
    sample : array-like, data frame or sequence of str
        Rows of the user.
    kinds : dict
        What the ONNX model takes in each column: "float", "integer", "bool", "string", or "whole",
        which is a float without a fraction.
    """
    sample = sample if is_frame(sample) or sparse.issparse(sample) else np.asarray(sample)
    base = safe_indexing(sample, np.arange(min(_BASE, n_rows(sample))))
    for i in range(min(4, n_rows(base))):
        yield from _answered(model, "one row", safe_indexing(base, [i]))
    if getattr(sample, "ndim", 2) == 1:
        texts = ["", _UNSEEN, " ".join([*base[:2]]), f"{base[0]} {_UNSEEN}"]
        yield from _answered(model, "unseen words, or none", np.array(texts, dtype=object))
        return
    columns = _values(sample, kinds)
    for what, edits in _edits(model, sample, columns, kinds):
        yield from _answered(model, what, _edited(base, edits))


def _answered(model: Any, what: str, rows: Any) -> Iterator[tuple[str, Any, NDArray]]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            proba = model.predict_proba(rows)
        except Exception:  # rows of other kinds than the model takes, which it may refuse
            proba = None
    if proba is not None:
        if np.isfinite(proba).all():
            yield what, rows, proba
    elif n_rows(rows) > 1:
        for i in range(n_rows(rows)):
            yield from _answered(model, what, safe_indexing(rows, [i]))


def _values(sample: Any, kinds: dict[Any, str]) -> dict[Any, NDArray]:
    """Columns as arrays, at most so many."""
    if is_frame(sample):
        return {name: np.asarray(sample[name]) for name in list(kinds)[:_MOST_COLUMNS]}
    places = list(kinds)[:: max(1, len(kinds) // _MOST_COLUMNS)][:_MOST_COLUMNS]
    chosen = sample.tocsc()[:, places].toarray() if sparse.issparse(sample) else sample[:, places]
    return dict(zip(places, chosen.T, strict=True))


def _edits(
    model: Any, sample: Any, columns: dict[Any, NDArray], kinds: dict[Any, str]
) -> Iterator[tuple[str, list[Edit]]]:
    """Changes of rows, those of one kind together."""
    numbers = [name for name in columns if kinds[name] in ("float", "integer", "whole")]
    floats = [name for name in numbers if kinds[name] != "integer"]
    strings = [name for name in columns if kinds[name] == "string"]
    made: list[tuple[str, list[Any], dict[Any, Any]]] = [
        ("zeros", numbers, dict.fromkeys(numbers, 0)),
        ("numbers above those of the sample", numbers, {}),
        ("numbers below those of the sample", numbers, {}),
        ("missing numbers", floats, dict.fromkeys(floats, np.nan)),
        ("unseen categories", strings, dict.fromkeys(strings, _UNSEEN)),
        ("empty strings", strings, dict.fromkeys(strings, "")),
    ]
    for name in numbers:
        low, high = _ends(columns[name])
        beyond = [high + (high - low) + 1, low - (high - low) - 1]
        if kinds[name] != "float":
            beyond = [int(np.clip(value, -(2**53), 2**53)) for value in beyond]
        made[1][2][name], made[2][2][name] = beyond
    between = {
        name: _ends(columns[name])[0] + 0.5
        for name in floats
        if kinds[name] == "float" and _whole(columns[name])
    }
    made.append(("fractions where the sample has whole numbers", list(between), between))
    for what, names, values in made:
        if names:
            yield what, [{name: values[name]} for name in names]
            if len(names) > 1:
                yield what, [values]
    known = [
        {name: value}
        for name, values in _categories(model, sample).items()
        if name in columns
        for value in values[:_MOST_CATEGORIES]
        if isinstance(value, str) == (kinds[name] == "string")
    ]
    if known:
        yield "rare categories", known


def _ends(values: NDArray) -> tuple[float, float]:
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 0.0)


def _whole(values: NDArray) -> bool:
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return bool((numbers == np.round(numbers)).all())


def _categories(model: Any, sample: Any) -> dict[Any, list[Any]]:
    """What encoders have seen in fit, by column of the sample."""
    found: dict[Any, list[Any]] = {}
    few = safe_indexing(sample, [0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for step in steps(model, few):
                lists = getattr(step.transformer, "categories_", None)
                if step.columns is not None and lists is not None:
                    for name, values in zip(step.columns, lists, strict=False):
                        found[name] = [value for value in values.tolist() if value == value]
    except Exception:  # a step that a single row is too few for
        pass
    return found


def _edited(base: Any, edits: list[Edit]) -> Any:
    """Rows of the sample, one for each change, in the sample's own container."""
    rows = safe_indexing(base, np.arange(len(edits)) % n_rows(base))
    names = dict.fromkeys(name for edit in edits for name in edit)
    if not is_frame(rows):
        dense = rows.toarray() if sparse.issparse(rows) else np.array(rows)
        dense = dense.astype(np.int64) if dense.dtype.kind in "iu" else dense
        for i, edit in enumerate(edits):
            for name, value in edit.items():
                dense[i, name] = value
        return type(rows)(dense) if sparse.issparse(rows) else dense
    rows = rows.copy() if hasattr(rows, "iloc") else rows
    for name in names:
        values = [*rows[name]]
        for i, edit in enumerate(edits):
            values[i] = edit.get(name, values[i])
        if hasattr(rows, "iloc"):
            rows[name] = _series(rows[name], values)
        else:
            rows = rows.with_columns(type(rows[name])(name, values, strict=False))
    return rows


def _series(column: Any, values: list[Any]) -> Any:
    """A pandas column of the same dtype, where it can hold the values."""
    try:
        if not hasattr(column.dtype, "categories"):  # which makes unknown values missing
            return type(column)(values, index=column.index, dtype=column.dtype)
    except (TypeError, ValueError):
        pass
    return type(column)(values, index=column.index)
