"""Keys of rows by their content, so that shuffles, folds and duplicates find the same answer."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lelp_sklearn.teachers._multilinear import multilinear

_KEY_BYTES = 16


def row_keys(X: Any, secret: bytes = b"") -> NDArray[np.uint64]:
    """A 128-bit key of each row: equal rows have equal keys, whatever stands around them.

    Parameters
    ----------
    X : array-like
        An array whose first axis is the rows, a SciPy sparse matrix, a pandas or polars DataFrame
        or Series, a CPU tensor, or a list of strings or of other rows.
    secret : bytes, default=b""
        Makes the keys others than those of another secret, and those of rows of fixed width
        quicker: these need no cryptographic hash where nobody can choose rows by their keys.

    Returns
    -------
    keys : ndarray of shape (n_rows, 2)

    Raises
    ------
    TypeError
        If a value has no content that could be hashed.

    Notes
    -----
    What the rows are is part of the key: the kind of container, the dtype and shape of an array's
    rows, the names and dtypes of a frame's columns. The same values in float32 and in float64, in
    an array, a list of lists and a sparse matrix, or under other column names are thus different
    rows; a list of strings has the keys of an array of them. Categories count by value, not by
    code; a frame's index does not count.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn.teachers._keys import row_keys
    >>> keys = row_keys(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
    >>> (keys[0] == keys[2]).all(), (keys[0] == keys[1]).any()
    (np.True_, np.False_)
    """
    kind, rows = _rows_as_bytes(X)
    # BLAKE2's own field for telling uses apart: it costs nothing a row.
    person = hashlib.blake2b(repr(kind).encode(), digest_size=16).digest()
    if isinstance(rows, np.ndarray) and secret:
        return multilinear(rows, secret + person, 2)
    blake2b = partial(hashlib.blake2b, digest_size=_KEY_BYTES, key=secret, person=person)
    digests = [blake2b(row).digest() for row in rows]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def take_rows(X: Any, rows: slice | NDArray) -> Any:
    """Some of the rows, in the same kind of container."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if isinstance(X, list | tuple):
        return X[rows] if isinstance(rows, slice) else [X[i] for i in rows]
    return X[rows]


def sliceable(X: Any) -> Any:
    """X itself, or the CSR form of a sparse matrix whose rows cannot be taken."""
    return X.tocsr() if sparse.issparse(X) else X


def _rows_as_bytes(X: Any) -> tuple[tuple, NDArray[np.uint8] | Iterable[bytes]]:
    """What the rows are, and the bytes of each: an array where all rows take as many."""
    if sparse.issparse(X):
        return _sparse_rows(X)
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        return _frame_rows(X)
    if isinstance(X, dict) or not hasattr(X, "__len__"):
        raise TypeError(
            f"the rows of a {type(X).__name__} cannot be told apart: expected an array, a sparse "
            "matrix, a DataFrame or a list of strings."
        )
    if isinstance(X, list | tuple):
        # Never as one array, whose type would depend on the rows beside.
        return ("values",), [_value_bytes(row) for row in X]
    if not isinstance(X, np.ndarray):
        X = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
    if isinstance(X, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(X)
        hidden = _byte_rows(np.where(masked, X.fill_value, X.data).astype(X.dtype))
        kind = ("masked", X.dtype.str, X.shape[1:], repr(X.fill_value))
        return kind, np.concatenate([hidden, _byte_rows(masked)], axis=1)
    if X.dtype.names:
        rows = [_value_bytes(row) for row in X.tolist()]  # what pads the fields is arbitrary
        return ("structured", X.dtype.descr, X.shape[1:]), rows
    if X.dtype.kind not in "OUST":
        return ("array", X.dtype.str, X.shape[1:]), _byte_rows(X)
    if X.ndim == 1:
        return ("values",), [_value_bytes(value) for value in X.tolist()]
    columns = X.reshape(len(X), -1).tolist()
    return ("values", X.shape[1:]), [b"".join(map(_value_bytes, row)) for row in columns]


def _byte_rows(X: NDArray) -> NDArray[np.uint8]:
    X = np.ascontiguousarray(X)
    return X.reshape(-1).view(np.uint8).reshape(len(X), X.itemsize * int(np.prod(X.shape[1:])))


def _sparse_rows(X: Any) -> tuple[tuple, Iterable[bytes]]:
    """Sorted column numbers and values, without zeros: one form for each row."""
    X = X.tocsr(copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    X.sort_indices()
    places = np.ascontiguousarray(X.indices, np.int64).view(np.uint8).data
    values = np.ascontiguousarray(X.data).view(np.uint8).data
    size = X.data.itemsize
    ends = X.indptr.tolist()
    # The length of the whole gives the number of entries, so nothing else need part the two.
    rows = (
        b"".join((places[8 * a : 8 * b], values[size * a : size * b])) for a, b in pairwise(ends)
    )
    return ("sparse", X.dtype.str, X.shape[1]), rows


def _frame_rows(X: Any) -> tuple[tuple, NDArray[np.uint8] | Iterable[bytes]]:
    pandas = hasattr(X, "iloc")
    names = list(X.columns)
    columns = [X.iloc[:, i] if pandas else X[name] for i, name in enumerate(names)]
    # Two folds may hold other categories; a row's own value is what counts.
    dtypes = [str(getattr(column.dtype, "name", column.dtype)) for column in columns]
    dtypes = ["categorical" if d.lower().startswith(("categor", "enum")) else d for d in dtypes]
    kind = ("frame", "pandas" if pandas else "polars", tuple(map(repr, names)), tuple(dtypes))
    if not columns:
        return kind, [b""] * len(X)
    plain = [_numbers_of(column, pandas) for column in columns]
    fixed = [block for block in plain if block is not None]
    if len(fixed) == len(columns):
        return kind, np.concatenate(fixed, axis=1)
    parts = [
        map(_value_bytes, (column.astype(object) if pandas else column).to_list())
        if block is None
        else (row.tobytes() for row in block)
        for column, block in zip(columns, plain, strict=True)
    ]
    return kind, map(b"".join, zip(*parts, strict=True))


def _numbers_of(column: Any, pandas: bool) -> NDArray[np.uint8] | None:
    """Bytes (n, width) of a column of numbers; None of another.

    Decided by the type alone: whether a value is missing in the rows beside must not matter.
    """
    dtype = column.dtype
    if pandas and isinstance(dtype, np.dtype):
        return None if dtype.kind in "OUST" else _byte_rows(column.to_numpy())
    if pandas:
        kind = getattr(dtype, "kind", "O") if dtype.na_value is not None else "O"
        if kind not in "biuf" or not isinstance(getattr(dtype, "numpy_dtype", None), np.dtype):
            return None
        missing = column.isna().to_numpy(bool)
        filled = column.to_numpy(dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
    else:
        if not dtype.is_numeric() or dtype.is_decimal():
            return None
        missing = column.is_null().to_numpy()
        filled = column.fill_null(0).to_numpy()
        if filled.dtype.kind == "O":  # wider than numpy's numbers
            return None
    return np.concatenate([_byte_rows(filled), _byte_rows(missing)], axis=1)


def _value_bytes(value: Any) -> bytes:
    """Type and content of a value; its length too, so that joined values cannot be confused."""
    if isinstance(value, str):
        content = value.encode("utf-8", "surrogatepass")
        return b"s%d:%b" % (len(content), content)
    if value is None:
        return b"N"
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value)
    if isinstance(value, bytes):
        return b"b%d:%b" % (len(value), value)
    if isinstance(value, list | tuple):
        letter = b"l" if isinstance(value, list) else b"t"
        return b"%b%d:%b" % (letter, len(value), b"".join(map(_value_bytes, value)))
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        kind, rows = _rows_as_bytes(np.asanyarray(value)[None])
        content = repr(kind).encode() + b"".join(bytes(row) for row in rows)
        return b"a%d:%b" % (len(content), content)
    if isinstance(value, dict):
        flat = [part for item in value.items() for part in item]
        return b"d%d:%b" % (len(value), b"".join(map(_value_bytes, flat)))
    if isinstance(value, _BY_REPR) or type(value).__name__ in ("NAType", "NaTType"):
        content = f"{type(value).__name__} {value!r}".encode()
        return b"r%d:%b" % (len(content), content)
    raise TypeError(
        f"a row holds a {type(value).__name__}, whose content cannot be hashed: expected numbers, "
        "strings, dates, None, or lists of these. Convert it before the teacher's cache sees it."
    )


# Their repr says all there is.
_BY_REPR = (bool, int, complex, np.generic, Decimal, date, time, timedelta)
