"""A failed fit leaves a student as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lelp_sklearn.students._faults import NonFiniteError
from lelp_sklearn.students._memory import OutOfMemoryError, out_of_memory


@contextmanager
def all_or_nothing(student: Any, *, forget: bool) -> Iterator[None]:
    """Give a student its attributes back if what is done inside fails.

    A training that ends at NaN is no failure in this sense: the student keeps what it has learned
    so far. With ``forget``, nothing of an earlier fit is left inside, so that columns that were
    counted then do not outlive it.
    """
    before = dict(vars(student))
    if forget:
        params = student.get_params(deep=False)
        for name in [n for n in before if n.endswith("_") and n not in params]:
            delattr(student, name)
    try:
        yield
    except NonFiniteError:
        raise
    except BaseException as error:
        vars(student).clear()
        vars(student).update(before)
        if isinstance(error, OutOfMemoryError):
            raise out_of_memory(student, error) from error
        raise
