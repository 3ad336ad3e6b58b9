"""Tables that a user hands over beside X: columns matched to classes by name, rows by index."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


def in_class_order(
    table: Any, classes: ArrayLike, name: str, *, complete: bool = True, whose: str = "the classes"
) -> Any:
    """A table with one column a class, in the order of the classes; what has no names, as it is.

    Names match labels however these are spelt: 0, "0", 0.0 and "p_0" are one label, as are True and
    "true". Names that say nothing of labels leave the columns where they are: the default names of
    pandas and polars, and running numbers in order, such as "p1" and "p2", none of which is a
    label.

    Parameters
    ----------
    table : array-like
        Anything; tables of pandas, polars and pyarrow have names.
    classes : array-like of shape (C,)
        Labels in the order that is wanted.
    name : str
        What the table is called in errors.
    complete : bool, default=True
        Whether the classes are all there are. Otherwise columns of further classes are let be, and
        all of them are sorted, as labels are.
    whose : str, default="the classes"
        What the labels are called in errors.

    Raises
    ------
    ValueError
        If the names are those of other labels.
    """
    names, labels = column_names(table), np.asarray(classes).tolist()
    if names is None:
        return table
    if not complete and len(names) > len(labels):
        labels = _with_further(names, labels) or labels
        if len(labels) < len(names) and not _says_nothing(table, labels):
            raise _other_names(name, names, whose, labels)
    return _by_name(table, names, labels, name, whose)


def in_same_order(table: Any, other: Any, name: str, other_name: str) -> Any:
    """A table with its columns in the order of another's, where both have names.

    Raises
    ------
    ValueError
        If the names are others; or if one has names in another order than that of sorted labels,
        and the other none, so that nothing says whether they are of the same order.
    """
    names, wanted = column_names(table), column_names(other)
    if names is None and wanted is None:
        return table
    if names is None or wanted is None:
        named, called = (other, other_name) if names is None else (table, name)
        known = column_names(named) or []
        if _says_nothing(named, []) or known in (sorted(known, key=str), _by_value(known)):
            return table
        raise ValueError(
            f"{called} has the columns {known}, and {name if names is None else other_name} has no "
            "names: give both the names of the labels, or neither, by to_numpy()."
        )
    if _places(names, wanted) is None and _says_nothing(other, names):
        return table
    return _by_name(table, names, wanted, name, f"those of {other_name}")


def row_places(table: Any, classes: ArrayLike, name: str) -> list[int] | None:
    """Which row of a table stands for each class, by its index; None where that says nothing."""
    index = index_of(table)
    labels = np.asarray(classes).tolist()
    if index is None or len(index) != len(labels):
        return None
    places = _places(index.tolist(), labels)
    if places is None and not _is_default(index):
        raise ValueError(
            f"{name} has the rows {index.tolist()}, and the classes are {labels}: name the rows by "
            "the labels, or pass its values, by to_numpy(), in the order of the classes."
        )
    return places


def column_names(table: Any) -> list[Any] | None:
    """Names of a table's columns; None for what has none."""
    # The columns of pyarrow are arrays.
    names = getattr(table, "column_names", None)
    names = getattr(table, "columns", None) if names is None else names
    return None if names is None else list(names)


def index_of(rows: Any) -> Any:
    """The index of a frame or series of pandas; None for anything else."""
    return rows.index if hasattr(rows, "iloc") else None


def check_same_rows(values: Any, X: Any, name: str, *, whose: str = "X") -> None:
    """Refuse a teacher's table whose index says that its rows are not those of X, in this order.

    A default index says nothing, nor does the part of one that a fold takes of it.

    Raises
    ------
    ValueError
        Naming the first row that differs.
    """
    theirs, own = index_of(values), index_of(X)
    row = _first_difference(theirs, own)
    if row is None or _is_default(theirs):
        return
    if _same_labels(theirs, own) or not _may_number(theirs, own):
        raise _other_rows(theirs, own, row, name, whose)


def check_same_series(values: Any, X: Any, name: str, *, whose: str = "X") -> None:
    """Refuse labels, weights or another model's rows whose index contradicts that of X.

    Whole numbers on either side may number the rows of an array that a frame was made of; only
    those of X itself, in another order, contradict it.

    Raises
    ------
    ValueError
        Naming the first row that differs.
    """
    theirs, own = index_of(values), index_of(X)
    row = _first_difference(theirs, own)
    if row is None or _is_default(theirs):
        return
    if _same_labels(theirs, own) or not (_whole(theirs) or _whole(own)):
        raise _other_rows(theirs, own, row, name, whose)


def _by_name(table: Any, names: list[Any], labels: list[Any], name: str, whose: str) -> Any:
    if len(names) != len(labels):  # as much is said of any array
        return table
    order = _places(names, labels)
    if order is None:
        if _says_nothing(table, labels):
            return table
        raise _other_names(name, names, whose, labels)
    if order == sorted(order):
        return table
    return table.iloc[:, order] if hasattr(table, "iloc") else np.asarray(table)[:, order]


def _places(names: list[Any], labels: list[Any]) -> list[int] | None:
    """Where each label stands among the names; None if these are not the labels."""
    spellings: list[Callable[[Any], Any]] = [str, _value]
    for spell in spellings:
        order = _matched([spell(n) for n in names], [spell(label) for label in labels])
        if order is not None:
            return order
    # The same words before and after each label, such as "p_ham" and "p_spam".
    texts = [str(name).casefold() for name in names]
    for words in ([str(label).casefold() for label in labels], [_digits(c) for c in labels]):
        for word in filter(None, words):
            for cut in (str.partition, str.rpartition):
                before, found, after = cut(texts[0], word)
                order = _matched(texts, [before + w + after for w in words]) if found else None
                if order is not None:
                    return order
    return None


def _matched(known: list[Any], wanted: list[Any]) -> list[int] | None:
    if set(known) != set(wanted) or not len(known) == len(wanted) == len(set(wanted)):
        return None
    return [known.index(label) for label in wanted]


def _value(label: Any) -> Any:
    """A label's number, where it has one; else its words, without regard to case."""
    text = str(label).strip().casefold()
    try:
        number = {"false": 0.0, "true": 1.0}.get(text)
        number = float(text) if number is None else number
    except ValueError:
        return text
    return number if np.isfinite(number) else text


def _by_value(names: list[Any]) -> list[Any] | None:
    """Names sorted as numbers; None if some are none."""
    values = [_value(name) for name in names]
    if not all(isinstance(value, float) for value in values):
        return None
    return [names[i] for i in np.argsort(values, kind="stable")]


def _digits(label: Any) -> str:
    number = _value(label)
    whole = isinstance(number, float) and number.is_integer()
    return str(int(number)) if whole else str(number)


def _says_nothing(table: Any, labels: list[Any]) -> bool:
    """Whether the names of columns only number them, and none of the numbers is a label."""
    names = column_names(table) or []
    if _is_default(getattr(table, "columns", None)):
        return True
    if names == [f"column_{i}" for i in range(len(names))]:  # as polars names them
        return True
    parts = [_NUMBERED.fullmatch(str(name)) for name in names]
    if not all(parts):
        return False
    before, numbers, after = zip(*(part.groups() for part in parts if part), strict=True)
    first = int(numbers[0])
    values = {_value(label) for label in labels}
    bare = not (before[0] or after[0]) and all(isinstance(value, float) for value in values)
    return (
        len({*before}) == len({*after}) == 1
        and first in (0, 1)
        and [int(number) for number in numbers] == list(range(first, first + len(names)))
        and not values & {float(number) for number in numbers}
        and not bare
    )


def _with_further(names: list[Any], labels: list[Any]) -> list[Any] | None:
    """The names as labels, sorted as those known are; None if these are not among them."""
    numbers = all(isinstance(_value(label), float) for label in labels)
    spell: Callable[[Any], Any] = _value if numbers else str
    known = {spell(name) for name in names}
    if not known >= {spell(label) for label in labels} or len({type(k) for k in known}) > 1:
        return None
    return sorted(names, key=spell)


def _other_names(name: str, names: list[Any], whose: str, labels: list[Any]) -> ValueError:
    return ValueError(
        f"{name} has the columns {names}, and {whose} are {labels}: name the columns by the "
        "labels, or pass its values, by to_numpy(), with the columns in that order."
    )


def _is_default(index: Any) -> bool:
    """Whether an index is the one that pandas gives to what comes without."""
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def _whole(index: Any) -> bool:
    return index.dtype.kind in "iu"


def _first_difference(theirs: Any, own: Any) -> int | None:
    if theirs is None or own is None or len(theirs) != len(own):  # lengths are checked elsewhere
        return None
    if theirs.equals(own):
        return None
    return next((i for i, (a, b) in enumerate(zip(theirs, own, strict=True)) if a != b), None)


def _same_labels(theirs: Any, own: Any) -> bool:
    if theirs.nlevels != own.nlevels:
        return False
    return bool(theirs.isin(own).all() and own.isin(theirs).all())


def _may_number(theirs: Any, own: Any) -> bool:
    """Whether an index may be part of a default one, of a fold's rows: whole and increasing.

    A fold trains on a third of the rows or more, so that the numbers do not run far ahead. Where
    those of X increase too, from a filtered frame, they are ahead of these, and more so from row
    to row.
    """
    if not _whole(theirs) or not theirs.is_monotonic_increasing or not theirs.is_unique:
        return False
    numbers = theirs.to_numpy()
    if numbers[0] < 0 or numbers[-1] >= 3 * len(numbers):
        return False
    if not _whole(own) or not own.is_monotonic_increasing:
        return True
    ahead = own.to_numpy().astype(np.int64) - numbers.astype(np.int64)
    return bool(ahead[0] >= 0 and (np.diff(ahead) >= 0).all())


def _other_rows(theirs: Any, own: Any, row: int, name: str, whose: str) -> ValueError:
    kind = "the same labels in another order" if _same_labels(theirs, own) else "other labels"
    return ValueError(
        f"the index of {name} holds {kind} than that of {whose}: row {row} is "
        f"{theirs[[row]].tolist()[0]!r} and {own[[row]].tolist()[0]!r}. Rows go together by "
        f"position: pass {name} with the rows of {whose}, as by .loc[{whose}.index]; where they "
        f"are in the same order already, set its index to that of {whose}, or pass its values, by "
        "to_numpy()."
    )
