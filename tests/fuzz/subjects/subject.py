"""What is called: its arguments, the kinds of change for each, and what a result has to be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from lelp_sklearn.students._faults import NonFiniteError
from tests.fuzz.judging import check_proba
from tests.fuzz.mutations.changes import Mutation
from tests.fuzz.subjects.values import VALUES

NOT_ALIGNED = ("teacher_coef", "classes")


@dataclass
class Subject:
    """One call: its arguments, the kinds of change for each, and what a result has to be."""

    call: Callable[..., Any]
    arguments: dict[str, Any]
    changes: dict[str, list[Mutation]]
    check: Callable[[Any, dict[str, Any]], None]
    aligned: tuple[str, ...] = ()  # arguments that share the rows
    also: tuple[str, ...] = ()  # packages whose refusals are the user's estimator's
    atol: float = 1e-5
    of_none: bool = False  # whether no rows have an answer, too


class Refit:
    """An estimator that is fitted again and again; a failed fit has to leave it as it was."""

    def __init__(self, estimator, arguments, answer, method="fit"):
        self.estimator, self.arguments = estimator, arguments
        self.answer, self.method = answer, method
        self.fitted = None

    def once(self, **arguments):
        """The answer of a fresh one."""
        fresh = clone(self.estimator)
        getattr(fresh, self.method)(**arguments)
        return self.answer(fresh, **arguments)

    def __call__(self, **arguments):
        if self.fitted is None or self.method == "partial_fit":
            fitted = clone(self.estimator)
            getattr(fitted, self.method)(**self.arguments)
            self.before = self.answer(fitted, **self.arguments)
            self.fitted = fitted
        try:
            getattr(self.fitted, self.method)(**arguments)
        except NonFiniteError:  # says so, and keeps the weights of the step before
            self.fitted = None
            raise
        except Exception:
            now = self.answer(self.fitted, **self.arguments)
            np.testing.assert_array_equal(now, self.before, "another answer after a failed fit")
            raise
        fitted, self.fitted = self.fitted, None
        return self.answer(fitted, **arguments)


def finite(result, arguments):
    assert np.isfinite(np.asarray(result, dtype=float)).all()


def is_proba(result, arguments):
    check_proba(result, len(result), result.shape[1])
    assert result.shape[1] >= 2


def number_of_rows(rows):
    return rows.shape[0] if hasattr(rows, "shape") else len(rows)


def one_a_row(result, arguments):
    is_proba(result, arguments)
    assert len(result) == number_of_rows(arguments["X"])


def splits(result, arguments):
    assert np.isfinite(result).all()
    assert (result >= 0).all()
    totals = result.sum(axis=1)
    np.testing.assert_allclose(totals, np.round(totals[0]), rtol=1e-3)
    assert len(result) == number_of_rows(arguments["H"])


def predicted(estimator, X, **_):
    return estimator.predict_proba(X)


def fitting(estimator, changes, answer=predicted, check=one_a_row, method="fit", **more):
    values = more.pop("values", {})
    arguments = {name: values.get(name, VALUES.get(name)) for name in changes}
    return Subject(
        Refit(estimator, arguments, answer, method),
        arguments,
        changes,
        check,
        tuple(n for n in changes if n not in NOT_ALIGNED and arguments[n] is not None),
        **{"atol": 1e-3, **more},
    )
