"""Numbers: how many of something, and how much."""

import numpy as np

from tests.fuzz.mutations.changes import BAD, FORM, ODD, of

COUNTS = (
    of(FORM, numpy=lambda given, at: np.int64(given), small=lambda given, at: np.uint8(given))
    + of(
        BAD,
        zero=lambda given, at: 0,
        negative=lambda given, at: -1,
        half=lambda given, at: 2.5,
        nan=lambda given, at: float("nan"),
        word=lambda given, at: "three",
        absent=lambda given, at: None,
        array=lambda given, at: np.array([given]),
    )
    + of(
        ODD,
        one=lambda given, at: 1,
        many=lambda given, at: 36,
        too_many=lambda given, at: 10**4,
        whole_float=lambda given, at: float(given),
        boolean=lambda given, at: True,
    )
)
