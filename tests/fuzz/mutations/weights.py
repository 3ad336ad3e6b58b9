"""Weights of rows, and masks of those whose labels are known."""

import numpy as np
import pandas as pd
from scipy import sparse

from tests.fuzz.mutations.arrays import ARRAY_FORMS, LENGTHS, NUMBER_FORMS
from tests.fuzz.mutations.changes import BAD, FORM, ODD, array, of, put, renamed, without

WEIGHTS = (
    without(ARRAY_FORMS + NUMBER_FORMS, "tuples")
    + without(LENGTHS, "scalar", "one_row")
    + of(
        FORM,
        series=lambda given, at: pd.Series(array(given)),
        tuple=lambda given, at: tuple(array(given).tolist()),
    )
    + of(
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
    + of(
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
    without(ARRAY_FORMS, "swapped_bytes")
    + LENGTHS
    + of(FORM, series=lambda given, at: pd.Series(array(given)))
    + of(
        BAD,
        whole_numbers=lambda given, at: array(given).astype(int),
        none_known=lambda given, at: array(given) & False,
        nan=put(np.nan),
        column=lambda given, at: array(given)[:, None],
        words=lambda given, at: ["yes"] * len(array(given)),
        one_known=lambda given, at: np.arange(len(array(given))) == 0,
    )
    + of(ODD, absent=lambda given, at: None, objects=lambda g, at: array(g).astype(object))
)
# None known here may have been known before.
LATER_MASK = renamed(MASK, ODD, "one_known")
