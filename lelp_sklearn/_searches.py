"""What a search of scikit-learn will try, as far as that is known before its fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import islice
from typing import Any

from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler

_CANDIDATES = 32  # of each grid


def candidates(search: Any) -> list[Any]:
    """Unfitted estimators of a search's first candidates, some of each of its grids.

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name that is searched over.
    """
    return [
        clone(search.estimator).set_params(**clone(params, safe=False)) for params in _drawn(search)
    ]


def _drawn(search: Any) -> list[dict[str, Any]]:
    given = getattr(search, "param_grid", getattr(search, "param_distributions", None))
    if given is None:  # of another package
        return [{}]
    parts = [given] if isinstance(given, dict) else list(given)
    if hasattr(search, "param_grid"):
        every: list[Iterable[dict[str, Any]]] = [ParameterGrid(part) for part in parts]
    else:
        # As far as lists go they are grids; of distributions there is no other way than to draw.
        every = [ParameterSampler(part, _CANDIDATES, random_state=0) for part in parts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a list shorter than the number to be drawn
        drawn = [list(islice(iter(part), _CANDIDATES)) for part in every]
    return [params for part in drawn for params in part]
