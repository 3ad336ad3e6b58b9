"""Numbers that are parameters of estimators.

True is a whole number to scikit-learn's checks, and 1, so it is left out.
"""

import numpy as np

from tests.fuzz.mutations.changes import BAD, ODD, of

_NO_NUMBERS = of(
    BAD,
    nan=lambda given, at: float("nan"),
    word=lambda given, at: "many",
    list=lambda given, at: [given],
    array=lambda given, at: np.array([given, given]),
    complex_number=lambda given, at: 1j,
)
NUMBER = _NO_NUMBERS + of(
    ODD,
    numpy=lambda given, at: np.array(given)[()],
    none=lambda given, at: None,
    zero=lambda given, at: 0,
    below_0=lambda given, at: -1,
    half=lambda given, at: 0.5,
    one=lambda given, at: 1,
    three=lambda given, at: 3.0,
    many=lambda given, at: 40,
    inf=lambda given, at: float("inf"),
    vast=lambda given, at: 1e30,
    tiny=lambda given, at: 1e-30,
    function=lambda given, at: float,
)
WEIGHTS_OF_TERMS = of(
    BAD,
    one_less=lambda given, at: given[:-1],
    one_more=lambda given, at: [*given, 1.0],
    nan=lambda given, at: [float("nan"), *given[1:]],
    inf=lambda given, at: [float("inf"), *given[1:]],
    words=lambda given, at: ["heavy"] * len(given),
    word=lambda given, at: "heavy",
    number=lambda given, at: 1.0,
) + of(
    ODD,
    below_0=lambda given, at: [-1.0, *given[1:]],
    none=lambda given, at: None,
    tuple=lambda given, at: tuple(given),
    array=lambda given, at: np.array(given),
    zeros=lambda given, at: [0.0] * len(given),
    vast=lambda given, at: [1e30] * len(given),
)
