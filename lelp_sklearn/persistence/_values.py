"""Categories that are no numbers or strings: dates, decimals, bytes, and the scalars of pandas.

Each kind is made by its own constructor, of arguments that are checked first.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from lelp_sklearn.persistence._file import ModelFileError

_DECIMAL = re.compile(r"-?\d{1,100}(\.\d{1,100})?(E[+-]\d{1,3})?", re.ASCII)
_TEXT = re.compile(r"[\w:+/., -]{1,100}", re.ASCII)  # of a time, time zone or frequency
# Not of dateutil, whose name is a file's.
_ZONE = re.compile(r"UTC([+-]\d\d:\d\d)?|[A-Z][A-Za-z_]+(/[A-Z][\w+-]+){0,2}", re.ASCII)
_PLAIN = (int, float, bool, str, type(None))
_PANDAS = ("Interval", "Period", "Timedelta", "Timestamp")


def parts_of(value: Any) -> tuple[str, list[Any]] | None:
    """Name of a kind, and what it is made from again; None for any other value."""
    cls = type(value)
    name = cls.__name__
    if cls is Decimal and _DECIMAL.fullmatch(str(value)):
        return name, [str(value)]
    if cls is bytes:
        return name, [value.hex()]
    if cls is datetime.timedelta:
        return name, [value.days, value.seconds, value.microseconds]
    zone = getattr(value, "tzinfo", None)
    plain = zone is None or isinstance(zone, datetime.timezone) or name == "Timestamp"
    if cls in (datetime.date, datetime.datetime, datetime.time) and plain:
        return name, [value.isoformat()]
    if cls.__module__.partition(".")[0] != "pandas" or value != value:  # NaT
        return None
    if name == "Interval":
        return name, [value.left, value.right, value.closed]
    if name == "Period":
        return name, [value.ordinal, value.freqstr]
    if name == "Timedelta":
        return name, [value.isoformat(), value.unit]
    if name == "Timestamp" and (zone is None or _ZONE.fullmatch(str(zone))):
        naive = value.tz_convert("UTC").tz_localize(None) if zone is not None else value
        return name, [naive.isoformat(), None if zone is None else str(zone), value.unit]
    return None


def made_of(name: str, parts: list[Any]) -> Any:
    """The value of a kind.

    Raises
    ------
    ModelFileError
        If there is no such kind, or it is not made of such parts.
    """
    make = _MAKE.get(name)
    sound = all(
        part is None
        or isinstance(part, int | float | np.integer | np.floating)
        or type(part).__name__ in (*_PANDAS, "date", "datetime", "Decimal")
        or (isinstance(part, str) and (name == "bytes" or _TEXT.fullmatch(part)))
        for part in parts
    )
    if make is None or not sound:
        raise ModelFileError(f"a value of kind {name!r:.40}, made of {parts!r:.80}.")
    return make(*parts)


def may_be_item(value: Any) -> bool:
    """Whether it can be an item of an array of objects in a file."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return type(value) in _PLAIN or type(value).__name__ in _MAKE


def _pandas(name: str) -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"the model has categories that are a pandas {name}, and pandas is not installed."
        ) from error
    return getattr(pandas, name)


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):  # an exponent of millions could take for ever
        raise ModelFileError(f"{text!r:.40} is no decimal number.")
    return Decimal(text)


def _timestamp(text: str, zone: str | None, unit: str) -> Any:
    made = _pandas("Timestamp")(text)
    if zone is not None:
        if not _ZONE.fullmatch(zone):
            raise ModelFileError(f"{zone!r:.40} is no time zone.")
        made = made.tz_localize("UTC").tz_convert(zone)
    return made.as_unit(unit)


_MAKE: dict[str, Callable[..., Any]] = {
    "Decimal": _decimal,
    "bytes": bytes.fromhex,
    "date": datetime.date.fromisoformat,
    "datetime": datetime.datetime.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": datetime.timedelta,
    "Interval": lambda left, right, closed: _pandas("Interval")(left, right, closed),
    "Period": lambda ordinal, freq: _pandas("Period")(ordinal=ordinal, freq=freq),
    "Timedelta": lambda text, unit: _pandas("Timedelta")(text).as_unit(unit),
    "Timestamp": _timestamp,
}
