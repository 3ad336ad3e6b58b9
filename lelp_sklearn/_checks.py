"""What fits ask of labels and of sizes, and that a failed one leaves no trace."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets


def check_class_labels(y: ArrayLike, name: str = "y", *, warn: bool = True) -> NDArray:
    """Labels of classes, one-dimensional, of one type and none of them missing.

    Raises
    ------
    TypeError
        If they have no order: those of several types, or missing ones among them.
    ValueError
        If they are NaN, infinite, continuous, or have other dimensions.
    """
    refuse_several_outputs(y, name)
    labels = column_or_1d(y, warn=warn)
    if labels.dtype.kind in "US" and isinstance(y, list | tuple):
        # Of a list of words and numbers, numpy makes words.
        check_one_type(np.array(y, dtype=object).ravel(), name)
    check_one_type(labels, name)
    assert_all_finite(labels, input_name=name)
    check_classification_targets(labels)
    return labels


def refuse_several_outputs(y: Any, name: str = "y") -> None:
    """Refuse labels of several outputs a row, and several labels of a row."""
    shape: Any = getattr(y, "shape", ())
    if isinstance(y, list | tuple):
        try:
            shape = np.shape(y)
        except ValueError:  # rows of several lengths
            shape = (len(y),)
    if len(shape) > 1 and max(shape[1:]) > 1:
        found, outputs = f"has shape {tuple(shape)}", "several outputs are"
    elif (row := _several_labels(y)) is not None:
        found = f"holds several labels in row {row}"
        outputs = "several outputs, as the columns that MultiLabelBinarizer makes of them, are"
    else:
        return
    raise ValueError(
        f"{name} should be a 1d array, one label a row, and {found}: {outputs} distilled one by "
        "one, by scikit-learn's MultiOutputClassifier(DistilledClassifier(...))."
    )


def _several_labels(y: Any) -> int | None:
    """The first row that is a set of labels, or holds several."""
    if not isinstance(y, list | tuple) and getattr(getattr(y, "dtype", None), "kind", "") != "O":
        return None
    for i, row in enumerate(y):
        several = isinstance(row, list | tuple | np.ndarray) and np.size(row) > 1
        if several or isinstance(row, set | frozenset):
            return i
    return None


def check_one_type(labels: NDArray, name: str) -> None:
    """Refuse labels that have no order, such as None beside words."""
    if labels.dtype.kind != "O":
        return
    try:
        np.unique(np.concatenate([labels, labels[:1]]))  # even one is compared
    except TypeError as error:
        types = sorted({type(label).__name__ for label in labels.tolist()})
        raise TypeError(
            f"{name} holds values of the types {types}, which have no order: expected labels "
            "of one type, none of them missing."
        ) from error


def check_groups(groups: ArrayLike | None, X: Any) -> NDArray | None:
    """Numbers of the groups that rows belong to, one a row.

    Raises
    ------
    ValueError
        If there is not one for each row.
    """
    if groups is None:
        return None
    names = column_or_1d(groups, warn=True)
    check_consistent_length(X, names)
    check_one_type(names, "groups")
    return np.unique(names, return_inverse=True)[1].reshape(-1)


def check_magnitude(array: NDArray, name: str, dtype: Any = None) -> None:
    """Refuse numbers whose squares would not sum up in a type of float, by default their own."""
    dtype = np.dtype(array.dtype if dtype is None else dtype)
    if array.size == 0 or dtype.kind != "f":
        return
    largest = float(max(array.max(), -array.min()))
    if largest > float(np.sqrt(np.finfo(dtype).max / array.size)):
        raise ValueError(
            f"{name} holds numbers up to {largest:.2g}, whose squares overflow {dtype}: scale them."
        )


def check_names(
    who: str, prefix: str, given: Iterable[str], taken: Collection[str], shown: Iterable[str] = ()
) -> None:
    """Refuse names of nested parameters that nothing takes, naming those that are taken.

    Parameters
    ----------
    who : str
        What takes them.
    prefix : str
        What stands before the names, with its underscores.
    given, taken : collection of str
        Names without the prefix.
    shown : iterable of str, optional
        Those that are named in the error; all of them without.
    """
    unknown = sorted(name for name in given if name not in taken)
    if unknown:
        shown = list(shown) or list(taken)
        near = [match for name in unknown for match in get_close_matches(name, shown, n=1)]
        raise TypeError(
            f"{who} takes no {' or '.join(prefix + name for name in unknown)}. It takes "
            f"{', '.join(prefix + name for name in shown) or 'none'}."
            + (f" Was {prefix}{near[0]} meant?" if near else "")
        )


def validate_deep(estimator: Any) -> None:
    """Check an estimator's parameters and those of the estimators among them, as their fits do."""
    for value in (estimator, *estimator.get_params(deep=True).values()):
        if isinstance(value, BaseEstimator) and hasattr(value, "_parameter_constraints"):
            value._validate_params()


def check_reach(rows: NDArray[np.float32], start: int = 0, remedy: str = "") -> None:
    """Refuse standardised rows whose squares do not sum up in float32, by number from ``start``.

    They lie some 1e19 standard deviations from the training rows, where no answer means anything
    and a network overflows. An infinite number is such a one.
    """
    if isfinite(np.vdot(rows, rows)):  # a microsecond for one row
        return
    with np.errstate(over="ignore", invalid="ignore"):
        far = ~np.isfinite(np.einsum("ij,ij->i", rows, rows))
    if far.any():
        raise ValueError(
            f"row {start + int(far.argmax())} of X holds numbers so far from those in fit that "
            "their squares are infinite in float32, as the network's sums may be: leave such rows "
            f"out, or clip their numbers{remedy}."
        )


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Give an estimator its attributes back if what is done inside fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
