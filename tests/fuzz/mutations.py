"""What becomes of one argument: a small change with a name, and what is expected of the call.

FORM: the same content in another container, so the same result. BAD: to be refused. ODD: a right
answer or a refusal in our own words.
"""

import tempfile
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars
from scipy import sparse

Expected = Enum("Expected", ["FORM", "ODD", "BAD"])
FORM, ODD, BAD = Expected


class Mutation(NamedTuple):
    name: str
    expected: Expected
    change: Callable[[Any, int], Any]

    def __repr__(self):
        return self.name


def _of(expected, **changes):
    return [Mutation(name, expected, change) for name, change in changes.items()]


def array(value):
    """A C-contiguous copy as plain as can be."""
    if sparse.issparse(value):
        return value.toarray()
    return np.array(value)


def put(value):
    """A mutation that puts a value into one cell."""

    def change(given, at):
        rows = array(given)
        if not isinstance(value, bool | int | float) or rows.dtype.kind not in "fc":
            rows = rows.astype(object if not isinstance(value, float) else float)
        cell = at % rows.size
        rows.flat[cell - (rows.ndim == 1 and cell % 5 == 4)] = value  # not where labels go unread
        return rows

    return change


def read_only(given, at):
    rows = array(given)
    rows.flags.writeable = False
    return rows


def non_contiguous(given, at):
    rows = array(given)
    return np.repeat(rows, 2, axis=0)[::2]


def backwards(given, at):
    return array(given)[::-1].copy()[::-1]


def memory_map(given, at):
    rows = array(given)
    if not hasattr(memory_map, "folder"):
        memory_map.folder = tempfile.TemporaryDirectory()
    path = Path(memory_map.folder.name) / f"{abs(hash(rows.tobytes()))}.npy"
    if not path.exists():
        np.save(path, rows)
    return np.load(path, mmap_mode="r")


def frame(given, at):
    return pd.DataFrame(array(given), columns=[f"c{i}" for i in range(array(given).shape[1])])


def swapped_bytes(given, at):
    rows = array(given)
    return rows.astype(rows.dtype.newbyteorder())


def doubled_column(given, at):
    rows = array(given)
    return np.hstack([rows, rows[:, :1]])


def same_names(given, at):
    return pd.DataFrame(array(given)).set_axis(["a"] * array(given).shape[1], axis=1)


def mixed_names(given, at):
    names = ["a", *range(1, array(given).shape[1])]
    return pd.DataFrame(array(given)).set_axis(names, axis=1)


ARRAY_FORMS = _of(
    FORM,
    read_only=read_only,
    non_contiguous=non_contiguous,
    backwards=backwards,
    memory_map=memory_map,
    swapped_bytes=swapped_bytes,
    lists=lambda given, at: array(given).tolist(),
)
NUMBER_FORMS = _of(
    FORM,
    fortran=lambda given, at: np.asfortranarray(array(given)),
    tuples=lambda given, at: tuple(map(tuple, array(given).tolist())),
    float16=lambda given, at: array(given).astype(np.float16),
    float32=lambda given, at: array(given).astype(np.float32),
    long_double=lambda given, at: array(given).astype(np.longdouble),
    objects=lambda given, at: array(given).astype(object),
)
FRAME_FORMS = _of(
    FORM, frame=frame, polars_frame=lambda given, at: polars.from_pandas(frame(given, at))
)
LENGTHS = _of(
    BAD,
    row_short=lambda given, at: array(given)[:-1],
    row_long=lambda given, at: np.concatenate([array(given), array(given)[:1]]),
    no_rows=lambda given, at: array(given)[:0],
    one_row=lambda given, at: array(given)[:1],
    scalar=lambda given, at: 3.0,
    word=lambda given, at: "word",
)
NOT_NUMBERS = _of(
    BAD,
    nan=put(np.nan),
    inf=put(np.inf),
    minus_inf=put(-np.inf),
    none_inside=put(None),
    word_inside=put("word"),
    pandas_na=put(pd.NA),
    list_inside=lambda given, at: [[1.0, 2.0], [3.0], *array(given).tolist()],
    complex_numbers=lambda given, at: array(given) + 1j,
    words=lambda given, at: np.full(array(given).shape, "word"),
    bytes_inside=put(b"word"),
    one_dimension=lambda given, at: array(given)[..., 0],
    no_columns=lambda given, at: array(given)[:, :0],
)
SIZES = _of(
    ODD,
    huge=put(1e300),
    huge_single=put(3e38),
    dates=lambda given, at: np.full(array(given).shape, np.datetime64("2026-01-01")),
    large=lambda given, at: array(given) * 1e18,
    all_huge=lambda given, at: array(given) * 1e37,
    all_huge_double=lambda given, at: array(given) * 1e200,
    denormal=lambda given, at: array(given) * 1e-310,
    denormal_single=lambda given, at: (array(given) * 1e-40).astype(np.float32),
    zeros=lambda given, at: array(given) * 0,
    constant_column=lambda given, at: array(given) * (np.arange(array(given).shape[-1]) > 0),
    whole_numbers=lambda given, at: array(given).astype(int),
    small_whole_numbers=lambda given, at: array(given).astype(np.int8),
    booleans=lambda given, at: array(given) > 0.5,
    masked=lambda given, at: np.ma.masked_array(array(given), array(given) > 0.5),
)
WIDTHS = _of(
    ODD,
    doubled_column=doubled_column,
    column_short=lambda given, at: array(given)[:, :-1],
    one_column=lambda given, at: array(given)[:, :1],
)
SPARSE = _of(
    ODD,
    csr=lambda given, at: sparse.csr_array(array(given)),
    csr_matrix=lambda given, at: sparse.csr_matrix(array(given)),
    csc=lambda given, at: sparse.csc_array(array(given)),
    coo=lambda given, at: sparse.coo_array(array(given)),
    dok=lambda given, at: sparse.dok_array(array(given)),
    three_dimensions=lambda given, at: array(given)[:, :, None],
    same_names=same_names,
    mixed_names=mixed_names,
    categories=lambda given, at: frame(given, at).astype("category"),
    nullable_frame=lambda given, at: frame(given, at).astype("Float64"),
)
NAMES = _of(
    ODD,
    frame=frame,
    polars_frame=lambda given, at: polars.from_pandas(frame(given, at)),
    columns_swapped=lambda given, at: frame(given, at).iloc[:, ::-1],
    series=lambda given, at: frame(given, at).iloc[:, 0],
    absent=lambda given, at: None,
)


def _bad_width(mutations):
    return [m._replace(expected=BAD) for m in mutations]


NUMBERS = ARRAY_FORMS + NUMBER_FORMS + LENGTHS + NOT_NUMBERS + SPARSE
EMBEDDINGS = NUMBERS + FRAME_FORMS + SIZES + WIDTHS
ROWS = NUMBERS + FRAME_FORMS + SIZES + WIDTHS + _of(BAD, absent=lambda given, at: None)
# Rows for a fitted model, which knows its columns; any number of them.
_ROW_COUNTS = ("row_short", "row_long", "one_row")
ASKED = [m._replace(expected=ODD) if m.name in _ROW_COUNTS else m for m in NUMBERS + SIZES]
ASKED += _bad_width(WIDTHS) + NAMES
ROWS_ALONE = [m._replace(expected=ODD) if m.name in _ROW_COUNTS else m for m in ROWS]
SPARSE_ROWS = [
    m
    for m in ROWS
    if m.name not in ("frame", "polars_frame", "float16", "long_double", "objects", "tuples")
]

_PROBA_SIZES = ("denormal", "all_huge_double", "large", "all_huge", "huge", "huge_single", "zeros")
PROBA = (
    NUMBERS
    + FRAME_FORMS
    + _bad_width(WIDTHS)
    + [m._replace(expected=BAD) for m in SIZES if m.name in _PROBA_SIZES]
    + _of(
        BAD,
        logits=lambda given, at: np.log(array(given) + 0.1),
        negative=lambda given, at: array(given) - 0.25,
        twice=lambda given, at: array(given) * 2,
        one_minus=put(-0.5),
        whole_numbers_of_ten=lambda given, at: (array(given) * 10).astype(int),
    )
    + _of(
        ODD,
        one_hot=lambda given, at: np.eye(array(given).shape[1])[array(given).argmax(axis=1)],
        one_hot_whole=lambda given, at: np.eye(array(given).shape[1], dtype=int)[
            array(given).argmax(axis=1)
        ],
        uniform=lambda given, at: np.full(array(given).shape, 1 / array(given).shape[1]),
        nearly=lambda given, at: array(given) * 1.005,
        rounded_below=lambda given, at: array(given) * 1.0 - 1e-9,
    )
)

WORDS = np.array(["ham", "spam", "eggs"])
LABELS = (
    [m for m in ARRAY_FORMS if m.name != "swapped_bytes"]
    + _of(
        FORM,
        series=lambda given, at: pd.Series(array(given)),
        polars_series=lambda given, at: polars.Series(array(given)),
        small=lambda given, at: array(given).astype(np.int8),
        unsigned=lambda given, at: array(given).astype(np.uint64),
        whole_floats=lambda given, at: array(given).astype(float),
    )
    + LENGTHS
    + _of(
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
    + _of(
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

WEIGHTS = (
    [m for m in ARRAY_FORMS + NUMBER_FORMS if m.name != "tuples"]
    + [m for m in LENGTHS if m.name not in ("scalar", "one_row")]
    + _of(
        FORM,
        series=lambda given, at: pd.Series(array(given)),
        tuple=lambda given, at: tuple(array(given).tolist()),
    )
    + _of(
        BAD,
        one_row=lambda given, at: array(given)[:1],
        negative=put(-1.0),
        nan=put(np.nan),
        inf=put(np.inf),
        none_inside=put(None),
        words=lambda given, at: ["heavy"] * len(array(given)),
        zeros=lambda given, at: array(given) * 0,
        two_columns=lambda given, at: np.column_stack([given, given]),
        complex_numbers=lambda given, at: array(given) + 1j,
        sparse_column=lambda given, at: sparse.csr_array(array(given)[:, None]),
        mapping=lambda given, at: {0: 1.0},
    )
    + _of(
        ODD,
        huge=put(1e300),
        huge_single=put(3e38),
        all_huge=lambda given, at: array(given) * 1e38,
        all_huge_double=lambda given, at: array(given) * 1e307,
        denormal=lambda given, at: array(given) * 1e-310,
        denormal_single=lambda given, at: array(given) * 1e-42,
        booleans=lambda given, at: array(given) > 0.5,
        one_counts=lambda given, at: (np.arange(len(array(given))) == 0).astype(float),
        scalar=lambda given, at: 2.0,
        column=lambda given, at: array(given)[:, None],
        absent=lambda given, at: None,
    )
)

MASK = (
    [m for m in ARRAY_FORMS if m.name != "swapped_bytes"]
    + LENGTHS
    + _of(FORM, series=lambda given, at: pd.Series(array(given)))
    + _of(
        BAD,
        whole_numbers=lambda given, at: array(given).astype(int),
        none_known=lambda given, at: array(given) & False,
        nan=put(np.nan),
        column=lambda given, at: array(given)[:, None],
        words=lambda given, at: ["yes"] * len(array(given)),
        one_known=lambda given, at: np.arange(len(array(given))) == 0,
    )
    + _of(ODD, absent=lambda given, at: None, objects=lambda g, at: array(g).astype(object))
)

NOT_OPTIONAL = _of(BAD, absent=lambda given, at: None)
OPTIONAL = _of(ODD, absent=lambda given, at: None)
COEF = (
    ARRAY_FORMS
    + NUMBER_FORMS
    + FRAME_FORMS
    + OPTIONAL
    + [m for m in NOT_NUMBERS if m.name != "no_columns"]
    + SIZES
    + _of(
        BAD,
        column_short=lambda given, at: array(given)[:, :-1],
        row_short=lambda given, at: array(given)[:-1],
        word=lambda given, at: "word",
        scalar=lambda given, at: 3.0,
    )
)


def _renamed(mutations, expected, *names):
    """The same changes, where those of these names are judged otherwise."""
    assert set(names) <= {m.name for m in mutations}, set(names) - {m.name for m in mutations}
    return [m._replace(expected=expected) if m.name in names else m for m in mutations]


def _without(mutations, *names):
    return [m for m in mutations if m.name not in names]


# Rows for a fitted model beside their labels.
ASKED_WITH_Y = _renamed(ASKED, BAD, "row_short", "row_long", "one_row")
_CLASS_CHANGES = ("one_class", "halves", "none_inside", "mixed")
SCORED = [m if m.expected is FORM else m._replace(expected=ODD) for m in LABELS]
SCORED = _renamed(
    SCORED,
    BAD,
    "row_short",
    "row_long",
    "no_rows",
    "one_row",
    "scalar",
    "word",
    "absent",
    "two_columns",
    "nan",
)
SHOWN = [m._replace(expected=ODD) if m.expected is BAD else m for m in LABELS]
SHOWN = _renamed(SHOWN, BAD, "row_short", "row_long", "no_rows", "one_row", "scalar", "word")
JOINED = [m._replace(expected=ODD) if m in SIZES else m for m in EMBEDDINGS]
JOINED = [m for m in JOINED if m not in SIZES] + _bad_width(WIDTHS)
COUNTS = (
    _of(FORM, numpy=lambda given, at: np.int64(given), small=lambda given, at: np.uint8(given))
    + _of(
        BAD,
        zero=lambda given, at: 0,
        negative=lambda given, at: -1,
        half=lambda given, at: 2.5,
        nan=lambda given, at: float("nan"),
        word=lambda given, at: "three",
        absent=lambda given, at: None,
        array=lambda given, at: np.array([given]),
    )
    + _of(
        ODD,
        one=lambda given, at: 1,
        many=lambda given, at: 36,
        too_many=lambda given, at: 10**4,
        whole_float=lambda given, at: float(given),
        boolean=lambda given, at: True,
    )
)
CLASSES = [m for m in LABELS if m.expected is FORM] + _of(
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
# Rows that are only counted, or asked about by a function of the user's.
ANY_ROWS = [
    m
    for m in ROWS
    if m.name in ("read_only", "memory_map", "lists", "frame", "polars_frame", "csr", "words")
]
ANY_ROWS = [m._replace(expected=FORM) for m in ANY_ROWS] + [
    m._replace(expected=BAD) for m in ROWS if m.name in ("row_short", "row_long", "no_rows")
]
# Columns of anything may be drawn anew.
DRAWN_FROM = [m if m.expected is FORM else m._replace(expected=ODD) for m in ROWS]
DRAWN_FROM = _renamed(DRAWN_FROM, BAD, "no_rows", "scalar", "word", "absent", "no_columns")
DRAWN_FROM = _renamed(DRAWN_FROM, ODD, "objects")
CHOSEN = _without(ROWS, "tuples")
MADE_FROM = [
    m._replace(expected=ODD) if m.name in ("nan", "row_short", "row_long", "objects") else m
    for m in ROWS
]
UNREAD = [m if m.expected is FORM else m._replace(expected=ODD) for m in LABELS]
SMOOTHED = [m._replace(expected=ODD) if m.expected is BAD else m for m in PROBA]
SAID, SAID_EMBEDDINGS = (
    _without(PROBA, "nearly"),
    _renamed(EMBEDDINGS, ODD, "dates", "nan", "inf", "minus_inf"),
)
REMEMBERED = [
    m if m.name in ("read_only", "non_contiguous") else m._replace(expected=ODD) for m in ROWS
]
UNLABELED = [m._replace(expected=ODD) if m.expected is FORM or "row" in m.name else m for m in ROWS]
UNLABELED = _without(UNLABELED, "absent", "dates") + OPTIONAL

LATER_LABELS = _renamed(LABELS, ODD, "one_class")
LATER_MASK = _renamed(MASK, ODD, "one_known")
# A projector knows no classes; a student does.
SPLIT_COEF = _renamed(COEF, ODD, "row_short")
# Hard labels are answers, too; and what nearly sums to 1 is given back as it came.
ANSWERS = _without(_renamed(PROBA, ODD, "one_dimension"), "nearly")
# Rows that unlabelled ones of another container join.
BESIDE_OTHERS = _renamed(_without(ROWS, "dates"), ODD, "frame", "polars_frame", "objects")
# No rows have no probabilities, and what is served need not be told so.
SERVED = _renamed(ASKED, ODD, "no_rows")
