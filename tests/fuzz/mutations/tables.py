"""Tables of words and numbers."""

import numpy as np
import pandas as pd

from tests.fuzz.mutations.arrays import LENGTHS
from tests.fuzz.mutations.changes import BAD, ODD, of, only, renamed

_FRAMES = of(
    BAD,
    no_rows=lambda given, at: given.iloc[:0],
    row_short=lambda given, at: given.iloc[:-1],
    inf=lambda given, at: given.assign(a=np.inf),
) + of(
    ODD,
    no_columns=lambda given, at: given.iloc[:, :0],
    column_short=lambda given, at: given.iloc[:, 1:],
    same_names=lambda given, at: given.set_axis(["a", "a", "b", "c"], axis=1),
    mixed_names=lambda given, at: given.set_axis(["a", 1, "b", "c"], axis=1),
    words_for_numbers=lambda given, at: given.assign(a="word"),
    mixed_column=lambda given, at: given.assign(a=[1.0, *["word"] * (len(given) - 1)]),
    missing=lambda given, at: given.where(given["a"] > 0),
    all_missing=lambda given, at: given.assign(a=np.nan),
    all_none=lambda given, at: given.assign(d=None),
    categories=lambda given, at: given.astype({"d": "category"}),
    numbers_for_words=lambda given, at: given.assign(d=1.0),
    lists=lambda given, at: given.assign(d=[[1, 2]] * len(given)),
    dates=lambda given, at: given.assign(a=pd.Timestamp("2026-01-01")),
    booleans=lambda given, at: given.assign(a=given["a"] > 0),
    nullable=lambda given, at: given.astype({"a": "Float64"}),
    huge=lambda given, at: given.assign(a=given["a"] * 1e300),
    denormal=lambda given, at: given.assign(a=given["a"] * 1e-310),
    constant=lambda given, at: given.assign(a=1.0),
    complex_numbers=lambda given, at: given.assign(a=given["a"] + 1j),
    strange_index=lambda given, at: given.set_axis([3] * len(given), axis=0),
    words=lambda given, at: given.to_numpy(),
    absent=lambda given, at: None,
)
TABLES = only(LENGTHS, "scalar", "word") + _FRAMES
# For a fitted model, which takes any number of rows.
ASKED_TABLES = renamed(_FRAMES, ODD, "row_short")
