"""What a teacher says: probabilities, embeddings, hidden layers and the weights of its head."""

import numpy as np

from tests.fuzz.mutations.arrays import (
    ARRAY_FORMS,
    CONTAINERS,
    EMBEDDINGS,
    FRAME_FORMS,
    NOT_NUMBERS,
    NUMBER_FORMS,
    NUMBERS,
    SIZES,
    WIDTHS,
)
from tests.fuzz.mutations.changes import (
    BAD,
    ODD,
    OPTIONAL,
    array,
    names,
    of,
    only,
    put,
    renamed,
    without,
)

_SIZES = ("denormal", "all_huge_double", "large", "all_huge", "huge", "huge_single", "zeros")
PROBA = (
    NUMBERS
    + FRAME_FORMS
    + renamed(WIDTHS, BAD)
    + renamed(only(SIZES, *_SIZES), BAD)
    + of(
        BAD,
        logits=lambda given, at: np.log(array(given) + 0.1),
        negative=lambda given, at: array(given) - 0.25,
        twice=lambda given, at: array(given) * 2,
        one_minus=put(-0.5),
        whole_numbers_of_ten=lambda given, at: (array(given) * 10).astype(int),
    )
    + of(
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
_BAD = [m.name for m in PROBA if m.expected is BAD]
SMOOTHED = renamed(PROBA, ODD, *_BAD)
# What nearly sums to 1 is given back as it came.
SAID = without(PROBA, "nearly")
# Hard labels are answers, too.
ANSWERS = renamed(SAID, ODD, "one_dimension")

SAID_EMBEDDINGS = renamed(EMBEDDINGS, ODD, "dates", "nan", "inf", "minus_inf")
JOINED = NUMBERS + FRAME_FORMS + renamed(WIDTHS, BAD)  # P(subclass | class)
# One vector a layer or a token, (n, L, D).
HIDDEN = without(EMBEDDINGS, *names(CONTAINERS + FRAME_FORMS), "tuples") + OPTIONAL
# Of heads, queries and keys, (n, H, Q, K); some queries may be padding.
ATTENTION = HIDDEN + of(
    ODD,
    query_short=lambda given, at: array(given)[:, :, :-1],
    negative=lambda given, at: -array(given),
)

COEF = (
    ARRAY_FORMS
    + NUMBER_FORMS
    + FRAME_FORMS
    + OPTIONAL
    + without(NOT_NUMBERS, "no_columns")
    + SIZES
    + of(
        BAD,
        column_short=lambda given, at: array(given)[:, :-1],
        row_short=lambda given, at: array(given)[:-1],
        word=lambda given, at: "word",
        scalar=lambda given, at: 3.0,
    )
)
# A projector knows no classes; a student does.
SPLIT_COEF = renamed(COEF, ODD, "row_short")
