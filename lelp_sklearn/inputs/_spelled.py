"""Numbers that are held as objects or spelled as strings, and what is plain enough for a code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What float() takes and people write: neither 1_000 nor digits of other scripts.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?inf(inity)?", re.I)
_CODE = re.compile(r"[+-]?0[0-9]+")
_NO_VALUE = {"", "nan", "<na>", "na", "n/a", "#n/a", "none", "null"}
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Spelling:
    """What the values of a column are that are not missing, counted.

    ``codes`` are numbers with leading zeros, such as zip codes, ``truths`` are True and False, and
    ``word`` is the first that is no number.
    """

    numbers: int = 0
    words: int = 0
    codes: int = 0
    truths: int = 0
    distinct: int = 0
    word: Any = None

    @classmethod
    def of(cls, values: Iterable[Any]) -> Spelling | None:
        """Count; None where values cannot be told apart."""
        try:
            counts = Counter(values)
        except TypeError:
            return None
        found = dict.fromkeys(("numbers", "words", "codes", "truths"), 0)
        word = None
        for value, count in counts.items():
            if isinstance(value, bool | np.bool_):
                kind = "truths"
            elif isinstance(value, str) and _CODE.fullmatch(value.strip()):
                kind = "codes"
            else:
                number = to_number(value)
                if number is not None and number != number:
                    continue  # missing
                kind = "words" if number is None else "numbers"
                word = value if kind == "words" and word is None else word
            found[kind] += count
        return cls(**found, distinct=len(counts), word=word)

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers, and not all of them True or False."""
        return self.numbers > 0 and self.words == self.codes == 0

    @property
    def n_values(self) -> int:
        """How many there are."""
        return self.numbers + self.words + self.codes + self.truths


def to_number(value: Any) -> float | None:
    """The number that a value is or spells, NaN where it says that it is missing, or else None."""
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        return float("nan") if text.lower() in _NO_VALUE else None
    if isinstance(value, Real | Decimal | np.bool_):
        return float(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return float("nan")
    return None


def to_numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    """The numbers of a column.

    Raises
    ------
    ValueError
        At the first value that is none, by its row.
    """
    numbers = [to_number(value) for value in values]
    if None in numbers:
        row = numbers.index(None)
        raise ValueError(f"row {row} holds {list(values)[row]!r}, which is no number")
    return np.array(numbers, dtype=np.float64)


def plain_values(values: NDArray) -> NDArray:
    """Objects as strings and Python's numbers, which sort, compare and are written without pickle.

    Intervals, dates and the like become the strings that they print as; lists stay as they are.
    """
    if all(type(value) in _PLAIN for value in values.ravel()):
        return values
    found = np.empty(values.shape, dtype=object)
    found.ravel()[:] = [_plain(value) for value in values.ravel()]
    return found


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN or not isinstance(value, Hashable):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biufUS":
        return value.item()
    return float(value) if isinstance(value, Decimal) else str(value)
