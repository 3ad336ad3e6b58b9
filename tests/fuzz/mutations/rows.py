"""Rows of features: to fit on, to ask a fitted model about, to choose from and to make more of."""

from tests.fuzz.mutations.arrays import (
    EMBEDDINGS,
    NAMES,
    NUMBERS,
    SIZES,
    WIDTHS,
)
from tests.fuzz.mutations.changes import (
    ABSENT,
    BAD,
    FORM,
    ODD,
    OPTIONAL,
    only,
    renamed,
    unless_form,
    without,
)

ROWS = EMBEDDINGS + ABSENT
SPARSE_ROWS = without(ROWS, "frame", "polars_frame", "float16", "long_double", "objects", "tuples")

# Rows for a fitted model, which knows its columns; any number of them.
_COUNTS = ("row_short", "row_long", "one_row")
ASKED = renamed(NUMBERS + SIZES, ODD, *_COUNTS) + renamed(WIDTHS, BAD) + NAMES
ASKED_WITH_Y = renamed(ASKED, BAD, *_COUNTS)
# No rows have no probabilities, and what is served need not be told so.
SERVED = renamed(ASKED, ODD, "no_rows")

# Rows that are only counted, or asked about by a function of the user's.
ANY_ROWS = renamed(
    only(ROWS, "read_only", "memory_map", "lists", "frame", "polars_frame", "csr", "words"), FORM
) + only(ROWS, "row_short", "row_long", "no_rows")
CHOSEN = without(ROWS, "tuples")
# Columns of anything may be drawn anew.
DRAWN_FROM = renamed(
    renamed(unless_form(ROWS, ODD), BAD, "no_rows", "scalar", "word", "absent", "no_columns"),
    ODD,
    "objects",
)
MADE_FROM = renamed(ROWS, ODD, "nan", "row_short", "row_long", "objects")

_ALIKE = only(ROWS, "read_only", "non_contiguous")
REMEMBERED = _ALIKE + renamed(without(ROWS, "read_only", "non_contiguous"), ODD)
# Rows that unlabelled ones of another container join, and these.
BESIDE_OTHERS = renamed(without(ROWS, "dates"), ODD, "frame", "polars_frame", "objects")
_OF_ROWS = [m.name for m in ROWS if m.expected is FORM or "row" in m.name]
UNLABELED = without(renamed(ROWS, ODD, *_OF_ROWS), "absent", "dates") + OPTIONAL
# A missing number is one more value to a table.
OF_A_TABLE = renamed(ROWS, ODD, "nan", "none_inside", "pandas_na")
