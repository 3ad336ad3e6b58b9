"""Whose words an error or a warning is in, and what a right answer looks like."""

import dis
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, UndefinedMetricWarning

import lelp_sklearn
from lelp_sklearn.students._faults import NonFiniteError

OURS = Path(lelp_sklearn.__file__).parent
SKLEARN = Path(sklearn.__file__).parent
# Where scikit-learn checks what users pass; what else it says is about its own insides.
VALIDATION = [
    SKLEARN / "base.py",
    *(
        SKLEARN / "utils" / f"{name}.py"
        for name in ("validation", "_param_validation", "multiclass", "class_weight", "_array_api")
    ),
]
PLAIN_WARNINGS = (DataConversionWarning, ConvergenceWarning, UndefinedMetricWarning)


class ForeignError(AssertionError):
    """An error or a warning from the depths."""


@contextmanager
def own_words(also=()):
    """Turn errors and warnings that are not in our own words into failures.

    ``also`` names packages that answer for themselves: those of an estimator that a user chose.
    """
    strange = []

    def show(message, category, filename, lineno, file=None, line=None):
        if not issubclass(category, PLAIN_WARNINGS) and not _issued_by_us(category, also):
            strange.append(f"{category.__name__}: {message} ({filename}:{lineno})")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show
            yield
    except ForeignError:
        raise
    except Exception as error:
        if not in_own_words(error, also):
            raise ForeignError(f"{type(error).__name__}: {error}") from error
        if strange:
            raise ForeignError(f"warned before an error of ours: {strange[0]}") from error
        raise
    if strange:
        raise ForeignError(f"warned: {strange[0]}")


def in_own_words(error, also=()):
    """Whether it was raised on purpose: by a statement of ours, or in scikit-learn's checks."""
    if not isinstance(error, ValueError | TypeError | NonFiniteError) or not str(error):
        return False
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lasti))
        trace = trace.tb_next
    frame, last = frames[-1]
    path = Path(frame.f_code.co_filename)
    if path in VALIDATION or _theirs((f for f, _ in reversed(frames)), also):
        return True
    # Without a raise statement it comes from compiled code that ours has called.
    raised = dis.opname[frame.f_code.co_code[last]] == "RAISE_VARARGS"
    checked = any(Path(f.f_code.co_filename) in VALIDATION for f, _ in frames)
    names_twice = checked and "narwhals" in path.parts  # says which columns come twice
    return raised and (OURS in path.parents or names_twice)


def _issued_by_us(category, also):
    frame = sys._getframe(2)
    while frame.f_code.co_filename.endswith(("warnings.py", "contextlib.py")):
        frame = frame.f_back
    if _theirs(_outwards(frame), also):
        return True
    path = Path(frame.f_code.co_filename)
    mine = OURS in path.parents or SKLEARN in path.parents
    # Compiled code warns in our name, too.
    return mine and issubclass(category, UserWarning) and "warn" in frame.f_code.co_names


def _theirs(frames, also):
    """Whether a package of the user's choice comes before us, from the inside outwards."""
    for frame in frames:
        path = Path(frame.f_code.co_filename)
        if OURS in path.parents:
            return False
        if any(name in path.parts for name in also):
            return True
    return False


def _outwards(frame):
    while frame is not None:
        yield frame
        frame = frame.f_back


def check_proba(proba, n_rows, n_classes):
    """Rows of probabilities."""
    assert proba.shape == (n_rows, n_classes)
    assert np.isfinite(proba).all()
    assert (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-4)
