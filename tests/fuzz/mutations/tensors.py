"""Tensors, as losses take them, and the numbers beside them."""

import numpy as np
import torch

from tests.fuzz.mutations.changes import BAD, FORM, ODD, of, only, renamed, without


def _put(value):
    def change(given, at):
        tensor = given.clone()
        tensor.view(-1)[at % tensor.numel()] = value
        return tensor

    return change


def _strided(given, at):
    return given.repeat_interleave(2, dim=0)[::2]


FORMS = of(
    FORM,
    non_contiguous=_strided,
    transposed=lambda given, at: given.movedim(0, -1).contiguous().movedim(-1, 0),
    expanded=lambda given, at: given.expand(2, *given.shape)[at % 2],
)
NO_TENSORS = of(
    BAD,
    none=lambda given, at: None,
    numpy=lambda given, at: given.numpy(),
    lists=lambda given, at: given.tolist(),
    word=lambda given, at: "word",
    number=lambda given, at: 3.0,
    complex_numbers=lambda given, at: given + 1j,
)
SHAPES = of(
    BAD,
    row_short=lambda given, at: given[:-1],
    row_long=lambda given, at: torch.cat([given, given[:1]]),
    no_rows=lambda given, at: given[:0],
    one_row=lambda given, at: given[:1],
    scalar=lambda given, at: given.flatten()[0],
    one_dimension_less=lambda given, at: given[..., 0],
    one_dimension_more=lambda given, at: given[..., None],
)
WIDTHS = of(
    BAD,
    column_short=lambda given, at: given[..., :-1],
    one_column=lambda given, at: given[..., :1],
    no_columns=lambda given, at: given[..., :0],
    doubled_columns=lambda given, at: torch.cat([given, given], dim=-1),
)
_PRECISIONS = of(
    ODD,  # those beside it hold others
    double=lambda given, at: given.double(),
    half=lambda given, at: given.half(),
    brain_half=lambda given, at: given.bfloat16(),
)
_CONTENTS = of(
    ODD,
    nan=_put(float("nan")),
    inf=_put(float("inf")),
    minus_inf=_put(float("-inf")),
    huge=lambda given, at: given * 1e38,
    large=lambda given, at: given * 1e15,
    denormal=lambda given, at: given * 1e-40,
    small=lambda given, at: given * 1e-20,
    zeros=lambda given, at: given * 0,
    zero_row=lambda given, at: (
        given * (torch.arange(len(given)) != at % len(given)).view(-1, *[1] * (given.ndim - 1))
    ),
    alike=lambda given, at: given[:1].expand_as(given),
    constant=lambda given, at: torch.full_like(given, 0.5),
    negative=lambda given, at: -given,
    twice=lambda given, at: 2 * given,
)
_NOT_FLOATS = of(
    BAD,
    whole_numbers=lambda given, at: given.long(),
    booleans=lambda given, at: given > 0.5,
)
FLOATS = (
    FORMS
    + of(FORM, learned=lambda given, at: torch.nn.Parameter(given.clone()))
    + NO_TENSORS
    + SHAPES
    + _PRECISIONS
    + _CONTENTS
    + _NOT_FLOATS
)
MATRIX = FLOATS + WIDTHS
ANY_WIDTH = FLOATS + renamed(WIDTHS, ODD)
_COUNTS = ("row_short", "row_long", "no_rows", "one_row")
# With no rows beside them.
ANY_ROWS = renamed(MATRIX, ODD, *_COUNTS)
ALONE = renamed(ANY_WIDTH, ODD, *_COUNTS)
VECTORS = renamed(ALONE, ODD, "one_dimension_less", "one_dimension_more")
# With a column a class; class numbers of none are not looked at.
CLASSES = FLOATS + renamed(only(WIDTHS, "doubled_columns"), ODD)
# With further columns for others.
PAIRS = renamed(ANY_WIDTH, ODD, "row_short", "no_rows", "one_row")
PAIRS = renamed(PAIRS, BAD, "column_short", "one_column", "no_columns")
ROW_WEIGHTS = renamed(without(FLOATS, "small"), ODD, "none")  # so small are as good as 0

_OF_ANOTHER_TYPE = of(
    BAD,
    floats=lambda given, at: given.float(),
    bytes=lambda given, at: given.to(torch.uint8),
    short=lambda given, at: given.int(),
)
CLASS_NUMBERS = (
    FORMS
    + NO_TENSORS
    + SHAPES
    + _OF_ANOTHER_TYPE
    + of(BAD, booleans=lambda given, at: given > 0, one_hot=lambda given, at: given[:, None] > 0)
    + of(ODD, one_class=lambda given, at: given * 0)
)
_MASK = (
    FORMS
    + NO_TENSORS
    + _OF_ANOTHER_TYPE
    + of(
        ODD,
        all=lambda given, at: given | True,
        nothing=lambda given, at: given & False,
        none_of_a_row=lambda given, at: (
            given & (torch.arange(len(given)) != at % len(given)).view(-1, *[1] * (given.ndim - 1))
        ),
    )
)
MASK = _MASK + SHAPES + WIDTHS
OPTIONAL_MASK = renamed(MASK, ODD, "none")
SOME_ROWS = renamed(CLASS_NUMBERS, ODD, *_COUNTS, "none")

_NUMBERS = of(
    FORM,
    numpy=lambda given, at: np.float64(given),
    numpy_single=lambda given, at: np.float32(given),
) + of(
    BAD,
    below_0=lambda given, at: -1.0,
    nan=lambda given, at: float("nan"),
    inf=lambda given, at: float("inf"),
    none=lambda given, at: None,
    word=lambda given, at: "warm",
    list=lambda given, at: [given],
    complex_number=lambda given, at: 1j,
)
NOT_NEGATIVE = _NUMBERS + of(ODD, zero=lambda given, at: 0.0, whole=lambda given, at: 3)
POSITIVE = (
    _NUMBERS
    + of(
        ODD,
        whole=lambda given, at: 3,
        tiny=lambda given, at: 1e-30,
        vast=lambda given, at: 1e30,
    )
    + of(BAD, zero=lambda given, at: 0)
)
BLOCKS = (
    of(
        FORM,
        tuple=lambda given, at: tuple(given),
        numpy_numbers=lambda given, at: [np.int64(n) for n in given],
        array=lambda given, at: np.array(given),
    )
    + of(
        BAD,
        one_less=lambda given, at: given[:-1],
        one_more=lambda given, at: [*given, 1],
        zero_wide=lambda given, at: [*given[:-2], given[-2] + given[-1], 0],
        below_0=lambda given, at: [*given[:-2], given[-2] + given[-1] + 1, -1],
        floats=lambda given, at: [float(n) for n in given],
        none=lambda given, at: None,
        nothing=lambda given, at: [],
        number=lambda given, at: 6,
        word=lambda given, at: "222",
        words=lambda given, at: ["2", "2", "2"],
        lists=lambda given, at: [given],
    )
    + of(ODD, otherwise=lambda given, at: [given[0] + 1, *given[1:-1], given[-1] - 1])
)
# All tensors of a call at once.
PRECISION = of(FORM, double=lambda given, at: torch.float64) + of(
    ODD, half=lambda given, at: torch.float16, brain_half=lambda given, at: torch.bfloat16
)
VARIANT = of(
    BAD,
    another=lambda given, at: "cosine",
    none=lambda given, at: None,
    number=lambda given, at: 1,
) + of(ODD, mse=lambda given, at: "mse", token=lambda given, at: "token")
FLAG = of(ODD, true=lambda given, at: True)
