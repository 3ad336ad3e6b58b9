"""Small questions about estimators and rows that adapters ask."""

from __future__ import annotations

from inspect import getattr_static
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.exceptions import NotFittedError
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from lelp_sklearn._searches import candidates


def is_fitted(estimator: Any) -> bool:
    """Whether an estimator was fitted; what cannot be fitted always is."""
    if not hasattr(estimator, "fit"):
        return True
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def gives_proba(estimator: Any) -> bool:
    """Whether an estimator has ``predict_proba``, or may well have it when it is fitted.

    Meta-estimators show some methods only then: what they hold decides.
    """
    if hasattr(estimator, "predict_proba"):
        return True
    if is_fitted(estimator) or getattr_static(type(estimator), "predict_proba", None) is None:
        return False
    if isinstance(estimator, Pipeline):
        return gives_proba(estimator.steps[-1][1])
    if isinstance(estimator, BaseSearchCV):
        try:
            return any(gives_proba(candidate) for candidate in candidates(estimator))
        except ValueError:  # of a name that is no parameter, as its fit will say
            return True
    held = [vars(estimator)[n] for n in ("estimator", "final_estimator") if n in vars(estimator)]
    return bool(held) and all(part is None or gives_proba(part) for part in held)


def resamples(estimator: Any) -> bool:
    """Whether the rows that reach a Pipeline's classifier are others than those given to its fit.

    Its samplers are those of imblearn. What goes with a row would not go with them.
    """
    while isinstance(estimator, Pipeline):
        if any(hasattr(step, "fit_resample") for _, step in estimator.steps[:-1]):
            return True
        estimator = estimator.steps[-1][1]
    return False


def weight_prefix(estimator: Any) -> str:
    """Of fit parameters for the last step of a Pipeline, which takes none of its own."""
    prefix = ""
    while isinstance(estimator, Pipeline) and not get_config()["enable_metadata_routing"]:
        name, estimator = estimator.steps[-1]
        prefix += f"{name}__"
    return prefix


def first_row(X: Any) -> Any:
    """One row, of whatever X is made of."""
    if hasattr(X, "iloc"):
        return X.iloc[:1]
    if sparse.issparse(X):
        return X.tocsr()[:1]
    return X[:1] if hasattr(X, "__getitem__") else np.asarray(X)[:1]
