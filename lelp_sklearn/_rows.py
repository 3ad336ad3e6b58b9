"""Rows in whatever container a user has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


def n_rows(X: Any) -> int:
    """Number of rows of an array, sparse matrix, data frame or list.

    Raises
    ------
    TypeError
        If it has none.
    """
    shape = getattr(X, "shape", None)
    if isinstance(X, str) or shape == () or (shape is None and not hasattr(X, "__len__")):
        raise TypeError(f"X is a {type(X).__name__}; expected an array of rows, a table or a list.")
    return len(X) if shape is None else shape[0]


def plain_rows(transformed: Any) -> Any:
    """What someone's transformer gives, as an array or sparse matrix.

    Its own ``set_output``, or the surrounding program's ``set_config(transform_output=...)``, may
    have made a frame of it.
    """
    return transformed if sparse.issparse(transformed) else np.asarray(transformed, order="C")


def stack_rows(first: Any, second: Any) -> Any:
    """Rows of two containers of the same kind, one set after the other.

    Raises
    ------
    TypeError
        If the containers are of different kinds.
    """
    kinds = type(first).__name__, type(second).__name__
    if sparse.issparse(first) and sparse.issparse(second):
        return sparse.vstack([first, second], format="csr")
    if hasattr(first, "columns") and type(first) is type(second):
        missing = set(first.columns) ^ set(second.columns)
        if missing:
            raise ValueError(
                f"X and X_unlabeled differ in the columns {sorted(map(str, missing))}: give both "
                "the same."
            )
        return _stack_frames(first, second[list(first.columns)])
    tabular = hasattr(first, "columns") or hasattr(second, "columns")
    if tabular or sparse.issparse(first) or sparse.issparse(second):
        raise TypeError(
            f"X is a {kinds[0]} and X_unlabeled a {kinds[1]}: pass both in the same container."
        )
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    try:
        return np.concatenate([np.asarray(first), np.asarray(second)])
    except (TypeError, ValueError) as error:
        shapes = [getattr(rows, "shape", f"a {type(rows).__name__}") for rows in (first, second)]
        raise ValueError(
            f"X and X_unlabeled do not fit together, {shapes[0]} and {shapes[1]}: {error}. "
            "Pass the same columns in both."
        ) from error


def are_texts(X: Any) -> bool:
    """Whether X is a list or another one-dimensional container of strings, by its first rows."""
    is_list = isinstance(X, list | tuple)
    if not is_list and len(getattr(X, "shape", ())) != 1:
        return False
    first = list(X[:5])
    return bool(first) and all(isinstance(text, str) for text in first)


def check_texts(X: Any) -> list[str]:
    """A list of strings, from any one-dimensional array of them or a column of a frame."""
    if isinstance(X, str):
        raise TypeError("X is a single string; expected a list of texts: put it in brackets.")
    array = np.asarray(X, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"X has shape {array.shape}; expected (n,), one text a row: select the column of texts."
        )
    texts = array.tolist()
    strange = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if strange is not None:
        raise TypeError(
            f"X holds {texts[strange]!r} ({type(texts[strange]).__name__}) in row {strange}; "
            "expected strings: replace missing texts by ''."
        )
    if not texts:
        raise ValueError("X has 0 rows; expected at least one text.")
    broken = next((i for i, text in enumerate(texts) if not _encodes(text)), None)
    if broken is not None:
        raise ValueError(
            f"X holds half a character, a lone surrogate, in row {broken}; expected text that "
            "UTF-8 can hold: text.encode('utf-8', 'replace').decode() puts a ? in its place."
        )
    return texts


def _encodes(text: str) -> bool:
    if text.isascii():  # known without looking
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stack_frames(first: Any, second: Any) -> Any:
    if hasattr(first, "vstack"):  # polars
        return first.vstack(second)
    import pandas as pd

    return pd.concat([first, second], ignore_index=True)
