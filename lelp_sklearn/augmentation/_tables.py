"""Tables as users hold them, arrays and data frames: their numbers, and new rows like theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import check_array

from lelp_sklearn._checks import check_magnitude
from lelp_sklearn.inputs._columns import as_numbers, columns_of, is_frame, kind_of


def as_table(X: Any) -> Any:
    """A data frame as it is, or an array of two dimensions.

    Raises
    ------
    TypeError
        If X is sparse, or holds texts.
    ValueError
        If it has not two dimensions.
    """
    if is_frame(X):
        names = list(X.columns)
        if 0 in X.shape or len(set(names)) < len(names):
            raise ValueError(
                f"X has shape {tuple(X.shape)} and the columns {names}: expected different names, "
                "and a column at least."
            )
        return X
    if sparse.issparse(X):
        raise TypeError(
            "X is sparse; expected an array or a data frame: Mixup takes sparse rows, or use "
            "X.toarray()."
        )
    X = check_array(X, dtype=None, ensure_2d=False, ensure_all_finite=False, allow_nd=True)
    if X.ndim == 2:
        return X
    if X.dtype.kind in "OUT":
        raise TypeError("X is a list of texts; expected a table: use WordAugmenter for texts.")
    raise ValueError(f"X has shape {X.shape}; expected (n_rows, n_columns).")


def names_of(X: Any) -> list:
    """Names of a frame's columns, positions of an array's."""
    return list(X.columns) if is_frame(X) else list(range(X.shape[1]))


def numeric_columns(X: Any) -> NDArray[np.bool_]:
    """Which columns hold quantities; truth values are none."""
    if is_frame(X):
        dtypes = [column.dtype for column in columns_of(X).values()]
        return np.array([kind_of(d) == "numeric" and not _is(d, "bool") for d in dtypes], bool)
    return np.full(X.shape[1], X.dtype.kind in "iuf")


def all_numbers(X: Any, who: str) -> NDArray[np.float64]:
    """Values of a table of numbers alone, NaN where one is missing.

    Raises
    ------
    TypeError
        If some columns hold no numbers; it names them.
    """
    if is_frame(X):
        others = {
            name: str(column.dtype)
            for name, column in columns_of(X).items()
            if kind_of(column.dtype) != "numeric"
        }
        if others:
            raise TypeError(
                f"{who} makes new values by arithmetic, and these columns hold no numbers: "
                f"{others}. Encode them first, or use Munge or Resample, which keep categories."
            )
    elif X.dtype.kind in "OUT":
        raise TypeError(
            f"{who} makes new values by arithmetic, and X is an array of {X.dtype}; expected "
            "numbers: convert it, or use Munge or Resample, which keep values as they are."
        )
    numbers = as_numbers(X)
    check_magnitude(np.nan_to_num(numbers), "X")
    return numbers


def first_of_group(X: Any, groups: Sequence[Sequence[Any]]) -> NDArray[np.intp]:
    """The position of the first column of each column's group; its own where it has none.

    Raises
    ------
    ValueError
        If groups name a column twice, or one that is not there.
    """
    names = names_of(X)
    members = [column for group in groups for column in group]
    strange = [column for column in members if column not in names]
    if strange or len(set(members)) < len(members):
        raise ValueError(
            f"groups={[list(group) for group in groups]}, and the columns are {names}: expected "
            "names (positions, for an array) of these, each in one group."
        )
    first = np.arange(len(names))
    for group in groups:
        first[[names.index(column) for column in group]] = names.index(group[0])
    return first


def assemble(
    X: Any,
    source: NDArray[np.intp],
    numbers: NDArray[np.float64] | None = None,
    where: NDArray[np.bool_] | None = None,
) -> Any:
    """Rows in the container and dtypes of X.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n, p)
        Rows to take values from.
    source : ndarray of shape (m, p)
        Row of X that each value is taken from.
    numbers : ndarray of shape (m, p), optional
        Values for the columns ``where``, rounded where the column holds integers.
    where : ndarray of bool of shape (p,), optional
        Columns that get their values from ``numbers``.
    """
    where = np.zeros(X.shape[1], bool) if where is None else where
    if is_frame(X):
        columns = [
            _like(column, numbers[:, j])
            if where[j] and numbers is not None
            else _take(column, source[:, j])
            for j, column in enumerate(columns_of(X).values())
        ]
        if not hasattr(X, "iloc"):
            return type(X)(columns)
        frame = type(X)(dict(enumerate(columns)))
        frame.columns = X.columns
        return frame
    rows = np.take_along_axis(X, source, axis=0)
    if numbers is not None:
        new = numbers[:, where]
        rows[:, where] = np.rint(new) if X.dtype.kind in "biu" else new
    return rows


def within(numbers: NDArray, seen: NDArray) -> NDArray:
    """Numbers brought into the range of what each column held; NaN stays."""
    known = np.isfinite(seen)
    low = np.where(known, seen, np.inf).min(axis=0)
    high = np.where(known, seen, -np.inf).max(axis=0)
    return np.clip(numbers, low, high)


def _take(column: Any, rows: NDArray) -> Any:
    return column.array.take(rows) if hasattr(column, "iloc") else column.gather(rows)


def _like(column: Any, values: NDArray) -> Any:
    """Numbers as a column of the same type, integers rounded; NaN is missing."""
    rounded = np.rint(values) if _is(column.dtype, r"u?int\d|bool") else values
    if hasattr(column, "iloc"):
        return type(column)(rounded).astype(column.dtype)
    return type(column)(column.name, rounded).fill_nan(None).cast(column.dtype)


def _is(dtype: Any, names: str) -> bool:
    return re.match(names, str(dtype).lower()) is not None
