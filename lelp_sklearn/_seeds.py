"""Seeds for the parts of an estimator that have none."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted


def seed_unseeded(estimator: Any, seed: int) -> Any:
    """Set each ``random_state`` that is None, the nested ones too, to a seed of its own.

    Parameters
    ----------
    estimator : estimator
        Changed in place. Parts that come fitted have drawn their numbers, may be shared, and stay
        as they are.
    seed : int
        The first of the seeds.

    Returns
    -------
    estimator
    """
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        return estimator
    params = estimator.get_params()
    unseeded = [
        name
        for name, value in params.items()
        if name.rpartition("__")[2] == "random_state"
        and value is None
        and not any(_has_its_own(params.get(holder)) for holder in _holders(name))
    ]
    # Seeds of their own, as two parts of a kind would otherwise draw the same.
    return estimator.set_params(**{name: seed + i for i, name in enumerate(unseeded)})


def _holders(name: str) -> list[str]:
    parts = name.split("__")
    return ["__".join(parts[:i]) for i in range(1, len(parts))]


def _has_its_own(part: Any) -> bool:
    """Whether a part is fitted, or stands for a default object, which its holder seeds."""
    if part is None:
        return True
    if not isinstance(part, BaseEstimator) or not hasattr(part, "fit"):
        return False
    try:
        check_is_fitted(part)
    except (NotFittedError, TypeError):
        return False
    return True
