"""Texts: containers, what is none, and what is hard to read."""

import numpy as np
import pandas as pd
import polars

from tests.fuzz.mutations.arrays import LENGTHS
from tests.fuzz.mutations.changes import BAD, FORM, ODD, of, only, renamed


def _listed(change):
    """A change of the list of texts at one place."""

    def changed(given, at):
        texts = list(given)
        texts[at % len(texts)] = change(texts[at % len(texts)])
        return texts

    return changed


def _inside(value):
    return _listed(lambda text: value)


_FORMS = of(
    FORM,
    lists=lambda given, at: list(given),
    tuple=lambda given, at: tuple(given),
    words_of_numpy=lambda given, at: np.array(list(given), dtype=str),
    strings_of_numpy=lambda given, at: [np.str_(text) for text in given],
    variable_strings=lambda given, at: np.array(list(given), dtype=np.dtypes.StringDType()),
    read_only=lambda given, at: np.array(list(given), dtype=object)[::-1].copy()[::-1],
    series=lambda given, at: pd.Series(list(given)),
    string_series=lambda given, at: pd.Series(list(given), dtype="string"),
    strange_index=lambda given, at: pd.Series(list(given), index=[7] * len(given)),
    categories=lambda given, at: pd.Series(list(given), dtype="category"),
    polars_series=lambda given, at: polars.Series(list(given)),
    frame=lambda given, at: pd.DataFrame({"text": list(given)}),
    polars_frame=lambda given, at: polars.DataFrame({"text": list(given)}),
)
_NO_TEXTS = of(
    BAD,
    none_inside=_inside(None),
    number_inside=_inside(3.0),
    nan_inside=_inside(float("nan")),
    pandas_na=_inside(pd.NA),
    bytes_inside=_listed(str.encode),
    list_inside=_listed(list),
    words=lambda given, at: [text.split() for text in given],
    ragged=lambda given, at: [text.split()[: 1 + i % 3] for i, text in enumerate(given)],
    two_columns=lambda given, at: pd.DataFrame({"a": list(given), "b": list(given)}),
    missing=lambda given, at: pd.Series([None, *list(given)[1:]], dtype="string"),
    numbers=lambda given, at: np.arange(len(given)),
    number_rows=lambda given, at: np.ones((len(given), 4)),
    bytes=lambda given, at: np.array(list(given), dtype="S"),
    one_text=lambda given, at: given[0],
    mapping=lambda given, at: dict.fromkeys(range(len(given)), "text"),
    absent=lambda given, at: None,
)
_STRANGE = of(
    ODD,
    column=lambda given, at: np.array(list(given), dtype=object)[:, None],
    empty_inside=_inside(""),
    all_empty=lambda given, at: [""] * len(given),
    blank=lambda given, at: [" \t\n\u3000"] * len(given),
    long=_listed(lambda text: text * 3000),
    long_word=_inside("film" * 5000),
    surrogate=_inside("fine \ud800 film"),
    zero_byte=_inside("fine\0film"),
    control=_inside("\x1b[31m\u202e\ufeff\ufffe"),
    emoji=_inside("👩‍👩‍👧‍👦 e\u0301\u0301\u0301 ﷽"),
    other_scripts=_inside("фильм 映画 فيلم"),
    marks=_inside("[PAD] [UNK] <s> ▁▁ ##"),
    unknown=lambda given, at: ["цкщ"] * len(given),
    all_alike=lambda given, at: [given[0]] * len(given),
)
_LENGTHS = only(LENGTHS, "row_short", "row_long", "no_rows", "one_row", "scalar")
TEXTS = _FORMS + _NO_TEXTS + _STRANGE + _LENGTHS
# For a fitted model, which takes any number of texts.
ASKED_TEXTS = renamed(TEXTS, ODD, "row_short", "row_long", "one_row")
