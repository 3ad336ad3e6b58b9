"""Columns of data frames, pandas or polars alike: what they hold, and their values as arrays."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.inputs._spelled import Spelling, plain_values, to_numbers

# pandas and polars name their dtypes alike, so that neither is imported for the other.
_KINDS = {
    "numeric": r"u?int\d|float|double|half|bool|decimal",
    "categorical": r"object|str|large_string|categor|enum|dictionary|null",
    "datetime": r"date|timestamp",
}
_TEXTUAL = r"object|str|large_string"  # what may hold numbers that are objects, or spelled


def is_frame(X: Any) -> bool:
    """Whether X is a DataFrame of pandas or polars."""
    return hasattr(X, "columns") and hasattr(X, "dtypes")


def columns_of(X: Any) -> dict[Any, Any]:
    """Series by name."""
    pandas = hasattr(X, "iloc")
    return {name: X.iloc[:, i] if pandas else X[name] for i, name in enumerate(X.columns)}


def kind_of(dtype: Any) -> str | None:
    """Return "numeric", "categorical" or "datetime"; None for any other dtype."""
    name = str(dtype).lower()
    return next((kind for kind, names in _KINDS.items() if re.match(names, name)), None)


def as_numbers(X: Any) -> NDArray[np.float64]:
    """Values of numeric columns; NaN where one is missing.

    Raises
    ------
    ValueError
        If a column holds what is no number, or infinity.
    """
    if not is_frame(X):
        if getattr(X, "dtype", None) is not None and X.dtype.kind in "cmM":
            raise ValueError(f"X is an array of {X.dtype}; expected real numbers.")
        try:
            if getattr(X, "dtype", None) is not None and X.dtype.kind in "OU":
                numbers = np.stack([to_numbers(X[:, i]) for i in range(X.shape[1])], axis=1)
            else:
                numbers = np.asarray(X, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"X is an array whose columns are numeric, and {error}: name the others in "
                "TableInputs(categorical=[...]), by position, or pass a data frame."
            ) from error
        if np.isinf(numbers).any():
            raise ValueError("X contains infinity: replace it by NaN, or by a finite number.")
        return numbers
    numbers = np.empty(X.shape)
    for i, (name, column) in enumerate(columns_of(X).items()):
        try:
            numbers[:, i] = _floats(column)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"column {name!r} is numeric in fit and has dtype {column.dtype} here: {error}."
            ) from error
    infinite = np.flatnonzero(np.isinf(numbers).any(axis=0))
    if len(infinite):
        names = [X.columns[i] for i in infinite]
        raise ValueError(
            f"X contains infinity in {names}: replace it by NaN, which is read as missing, or by "
            "a finite number."
        )
    return numbers


def as_categories(X: Any) -> NDArray:
    """Values of categorical columns as plain objects; NaN where one is missing."""
    if not is_frame(X):
        return plain_values(np.asarray(X)) if np.asarray(X).dtype == object else np.asarray(X)
    values = np.empty(X.shape, dtype=object)
    for i, column in enumerate(columns_of(X).values()):
        values[:, i] = column.astype(object) if hasattr(column, "iloc") else column.to_list()
        values[missing(column), i] = np.nan
    return plain_values(values)


def spelling(column: Any) -> Spelling | None:
    """What a column of strings or objects holds; None for a column of another dtype."""
    if not re.match(_TEXTUAL, str(column.dtype).lower()):
        return None
    known = column[~missing(column)] if hasattr(column, "iloc") else column.drop_nulls()
    return Spelling.of(known.to_list())


def not_numbers(X: Any) -> dict[Any, str]:
    """Dtypes, by name, of the columns that hold something else than numbers."""
    dtypes = {}
    for name, column in columns_of(X).items():
        try:
            _floats(column)
        except (TypeError, ValueError):
            dtypes[name] = str(column.dtype)
    return dtypes


def mixed_types(X: Any, places: list[int]) -> dict[Any, list[str]]:
    """Names of types, by name of column, of those columns that hold values of several."""
    columns = list(columns_of(X).items())
    types = {}
    for name, column in (columns[i] for i in places):
        values = as_categories(column.to_frame())[~missing(column)].ravel()
        types[name] = sorted({type(value).__name__ for value in values})
    return {name: names for name, names in types.items() if len(names) > 1}


def missing(column: Any) -> NDArray[np.bool_]:
    """Where a column has no value."""
    return np.asarray(column.isna() if hasattr(column, "iloc") else column.is_null())


def _floats(column: Any) -> NDArray[np.float64]:
    if kind_of(column.dtype) == "datetime":  # a number of nanoseconds, to pandas
        raise TypeError("dates are no numbers")
    if str(column.dtype).startswith("complex"):
        raise TypeError("complex numbers have no order")
    if re.match(_TEXTUAL, str(column.dtype).lower()):
        return to_numbers(column.to_list())
    if hasattr(column, "iloc"):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(column.to_numpy(), dtype=np.float64)
