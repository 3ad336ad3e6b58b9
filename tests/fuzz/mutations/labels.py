"""Labels of classes, and the classes themselves."""

import numpy as np
import pandas as pd
import polars
from scipy import sparse

from tests.fuzz.mutations.arrays import ARRAY_FORMS, LENGTHS
from tests.fuzz.mutations.changes import (
    BAD,
    FORM,
    ODD,
    array,
    names,
    of,
    put,
    renamed,
    unless_form,
    without,
)

WORDS = np.array(["ham", "spam", "eggs"])
LABELS = (
    without(ARRAY_FORMS, "swapped_bytes")
    + of(
        FORM,
        series=lambda given, at: pd.Series(array(given)),
        polars_series=lambda given, at: polars.Series(array(given)),
        small=lambda given, at: array(given).astype(np.int8),
        unsigned=lambda given, at: array(given).astype(np.uint64),
        whole_floats=lambda given, at: array(given).astype(float),
    )
    + LENGTHS
    + of(
        BAD,
        nan=put(np.nan),
        inf=put(np.inf),
        none_inside=put(None),
        pandas_na=put(pd.NA),
        one_class=lambda given, at: array(given) * 0,
        mixed=put("word"),
        mixed_list=lambda given, at: ["word", *array(given).tolist()[1:]],
        halves=lambda given, at: array(given) + 0.5 * np.arange(len(array(given))),
        two_columns=lambda given, at: np.column_stack([given, given]),
        lists_inside=lambda given, at: [[v] if i % 2 else v for i, v in enumerate(given)],
        dicts_inside=lambda given, at: [{} for _ in array(given)],
        absent=lambda given, at: None,
        nan_words=lambda given, at: np.array([*WORDS[array(given)][:-1], np.nan], dtype=object),
        none_words=lambda given, at: [*WORDS[array(given)][:-1], None],
        nullable=lambda given, at: pd.Series([*array(given)[:-1], None], dtype="Int64"),
        sparse_column=lambda given, at: sparse.csr_array(array(given)[:, None]),
        complex_numbers=lambda given, at: array(given) + 1j,
    )
    + of(
        ODD,
        words=lambda given, at: WORDS[array(given)],
        word_objects=lambda given, at: WORDS[array(given)].astype(object),
        word_bytes=lambda given, at: WORDS[array(given)].astype("S"),
        categories=lambda given, at: pd.Series(WORDS[array(given)], dtype="category"),
        strings=lambda given, at: pd.Series(WORDS[array(given)], dtype="string"),
        booleans=lambda given, at: array(given) > 0,
        two_signs=lambda given, at: np.where(array(given) > 0, 1, -1),
        large=lambda given, at: array(given) + 2**62,
        objects=lambda given, at: array(given).astype(object),
        one_of_a_class=lambda given, at: np.where(
            np.arange(len(array(given))) == at % len(array(given)), 2, array(given) % 2
        ),
        another_class=lambda given, at: np.where(
            np.arange(len(array(given))) == at % len(array(given)), 7, array(given)
        ),
        all_different=lambda given, at: np.arange(len(array(given))),
        dates=lambda given, at: np.datetime64("2026-01-01") + array(given),
        half_floats=lambda given, at: array(given) + 0.5,
        column=lambda given, at: array(given)[:, None],
    )
)
_LENGTHS = names(LENGTHS)
# What is one class here has been another before.
LATER_LABELS = renamed(LABELS, ODD, "one_class")
UNREAD = unless_form(LABELS, ODD)
# Labels that known classes are compared with, or that are shown beside rows.
SCORED = renamed(UNREAD, BAD, *_LENGTHS, "absent", "two_columns", "nan")
SHOWN = renamed(UNREAD, BAD, *_LENGTHS)
CLASSES = [m for m in LABELS if m.expected is FORM] + of(
    ODD,
    absent=lambda given, at: None,
    words=lambda given, at: WORDS,
    one=lambda given, at: [0],
    two=lambda given, at: [0, 1],
    another=lambda given, at: [0, 1, 2, 3],
    twice=lambda given, at: [0, 1, 2, 2],
    turned=lambda given, at: [2, 1, 0],
    mixed=lambda given, at: [0, "word", 2],
    nan=lambda given, at: [0, 1, np.nan],
    none_inside=lambda given, at: [0, None, 2],
    none=lambda given, at: [],
    scalar=lambda given, at: 3,
    word=lambda given, at: "word",
    lists=lambda given, at: [[0], [1, 2]],
    two_dimensions=lambda given, at: [[0, 1, 2], [0, 1, 2]],
)
