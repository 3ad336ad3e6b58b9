"""A failed fit leaves an estimator as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lelp_sklearn.students._faults import NonFiniteError
from lelp_sklearn.students._memory import OutOfMemoryError, out_of_memory


@contextmanager
def all_or_nothing(
    estimator: Any, *, forget: bool = True, but: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Give an estimator its attributes back if what is done inside fails.

    With ``forget``, nothing of an earlier fit is left inside, so that columns that were counted
    then do not outlive it. After the errors ``but``, a network that is there by then stays.
    """
    before = dict(vars(estimator))
    if forget:
        params = estimator.get_params(deep=False)
        for name in [n for n in before if n.endswith("_") and n not in params]:
            delattr(estimator, name)
    try:
        yield
    except BaseException as error:
        if isinstance(error, but) and hasattr(estimator, "net_"):
            raise
        vars(estimator).clear()
        vars(estimator).update(before)
        if isinstance(error, NonFiniteError):
            error.inside(estimator)
        raise


@contextmanager
def trained_or_nothing(student: Any, *, forget: bool) -> Iterator[None]:
    """The same for a student, which keeps what it has learned where training ends at NaN."""
    try:
        with all_or_nothing(student, forget=forget, but=(NonFiniteError,)):
            yield
    except OutOfMemoryError as error:
        raise out_of_memory(student, error) from error
