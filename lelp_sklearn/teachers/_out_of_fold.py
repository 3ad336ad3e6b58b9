"""A teacher's probabilities of rows that it did not see."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv
from sklearn.utils.validation import has_fit_parameter

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._fitting import is_fitted

Ask = Callable[[Any, Any, NDArray, NDArray | None], TeacherOutputs]


def out_of_fold_proba(
    teacher: Any,
    X: Any,
    y: NDArray,
    classes: NDArray,
    cv: Any,
    sample_weight: NDArray | None,
    ask: Ask,
    *,
    groups: NDArray | None = None,
    seed: int = 0,
    consequence: str = "They are learned from their labels alone.",
) -> tuple[NDArray, list[Any]]:
    """Probabilities of each row by clones of a teacher fitted without it, and these clones.

    A splitter may test a row in several folds, whose probabilities are then averaged.

    Parameters
    ----------
    teacher : estimator
        Cloned and fitted for each fold.
    X : array-like of shape (n, ...)
        Rows.
    y : ndarray of shape (n,)
        Labels.
    classes : ndarray of shape (C,)
        Order of the columns.
    cv : int or splitter
        As in scikit-learn; a number means shuffled, stratified folds that keep groups whole.
    sample_weight : ndarray of shape (n,) or None
        For the teacher's fit.
    ask : callable
        ``ask(teacher, X, classes, y)`` gives the outputs.
    groups : ndarray of shape (n,), optional
        For the splitter, and for a teacher whose fit takes them.
    seed : int, default=0
        Of the shuffle.
    consequence : str, optional
        What becomes of the rows without an answer, for the warning.

    Returns
    -------
    proba : ndarray of shape (n, C)
        NaN in the rows that no teacher can be asked about: those in no test fold, and those of a
        class that their fold's training rows lack. To the other rows of that fold, its teacher
        gives the class probability 0.
    teachers : list of estimator
        One a fold.

    Raises
    ------
    ValueError
        If no row is left with an answer.

    Warns
    -----
    UserWarning
        If there are rows without an answer, with their number; or if the teacher comes trained.
    """
    if is_fitted(clone(teacher)):
        warnings.warn(
            f"the teacher {type(teacher).__name__} comes trained and every fold asks the same one, "
            "so nothing is out of fold: cv='prefit' says so.",
            UserWarning,
            stacklevel=6,
        )
    total = np.zeros((len(y), len(classes)))
    times = np.zeros(len(y))
    tested = np.zeros(len(y), dtype=bool)
    teachers = []
    for number, (train, test) in enumerate(folds(cv, y, groups, seed)):
        tested[test] = True
        known = np.unique(y[train])
        if len(known) < 2:
            continue  # no classifier learns from one class
        try:
            fold = clone(teacher).fit(
                safe_indexing(X, train),
                y[train],
                **fit_params(teacher, sample_weight, groups, train),
            )
        except Exception as error:
            error.add_note(
                f"This was the teacher of fold {number} of cv={reprlib.repr(cv)}, on {len(train)} "
                f"rows of the classes {reprlib.repr(known.tolist())}."
            )
            raise
        rows = test[np.isin(y[test], known)]
        if len(rows) == 0:
            continue
        columns = np.searchsorted(classes, known)
        proba = ask(fold, safe_indexing(X, rows), known, y[rows]).proba
        total[rows[:, None], columns] += proba
        times[rows] += 1
        teachers.append(fold)
    if not times.any():
        raise ValueError(
            f"cv={reprlib.repr(cv)} leaves no row that a teacher can be asked about: in every fold "
            "the training rows are of a single class. A number, such as cv=5, shuffles the rows "
            "and keeps the classes' shares in each fold."
        )
    _warn_unanswered(cv, y, tested, times > 0, consequence)
    with np.errstate(invalid="ignore"):
        return total / times[:, None], teachers


def folds(
    cv: Any, y: NDArray, groups: NDArray | None, seed: int
) -> Iterable[tuple[NDArray, NDArray]]:
    """Training and test rows of each fold; a number makes shuffled, stratified folds.

    Raises
    ------
    ValueError
        If there are fewer rows, or groups, than folds.
    """
    if not isinstance(cv, Integral | type(None)):
        return check_cv(cv, y, classifier=True).split(np.zeros(len(y)), y, groups)
    n_folds = 5 if cv is None else int(cv)
    n_units = len(y) if groups is None else len(np.unique(groups))
    if n_units < n_folds:
        unit = "rows" if groups is None else "groups"
        raise ValueError(
            f"cv={n_folds} asks for {n_folds} folds, and there are {n_units} {unit} with a label: "
            "lower cv, or give a fitted teacher and cv='prefit'."
        )
    if groups is None:
        return _dealt(y, n_folds, seed)
    if np.unique(y, return_counts=True)[1].max() < n_folds:  # which StratifiedGroupKFold refuses
        by_group = GroupKFold(n_folds, shuffle=True, random_state=seed)
    else:
        by_group = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class of few rows is none of the user's faults; what follows from it is said below.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(by_group.split(np.zeros(len(y)), y, groups))


def _dealt(y: NDArray, n_folds: int, seed: int) -> list[tuple[NDArray, NDArray]]:
    """Shuffled rows, sorted by class and dealt out like cards.

    As in StratifiedKFold each fold has its share of each class, to a row; but a class may have
    fewer rows than there are folds, and no two of these come to lie in one.
    """
    shuffled = np.random.RandomState(seed).permutation(len(y))
    by_class = shuffled[np.argsort(y[shuffled], kind="stable")]
    fold = np.empty(len(y), dtype=int)
    fold[by_class] = np.arange(len(y)) % n_folds
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(n_folds)]


def fit_params(
    teacher: Any, sample_weight: NDArray | None, groups: NDArray | None, rows: Any = slice(None)
) -> dict[str, Any]:
    """Weights and groups of some rows, where there are any and the teacher's fit takes them."""
    if groups is not None and not has_fit_parameter(teacher, "groups"):
        groups = None
    arrays = given(sample_weight=sample_weight, groups=groups)
    return {name: values[rows] for name, values in arrays.items()}


def mean_proba(teachers: list[Any], X: Any, classes: NDArray, ask: Ask) -> NDArray:
    """Mean probability of several teachers; 0 by one that does not know a class."""
    total = np.zeros((1, len(classes)))
    for teacher in teachers:
        known = np.asarray(teacher.classes_)
        answer = ask(teacher, X, np.sort(known), None).proba
        assert answer is not None
        placed = np.zeros((len(answer), len(classes)))
        placed[:, np.searchsorted(classes, np.sort(known))] = answer
        total = total + placed
    return total / len(teachers)


def given(**params: Any) -> dict[str, Any]:
    """The parameters that are not None."""
    return {name: value for name, value in params.items() if value is not None}


def _warn_unanswered(
    cv: Any, y: NDArray, tested: NDArray, answered: NDArray, consequence: str
) -> None:
    """Say which rows are without an answer, and why."""
    if answered.all():
        return
    reasons = []
    if not tested.all():
        reasons.append(f"{int((~tested).sum())} rows lie in no test fold")
    lacking = tested & ~answered
    if lacking.any():
        names, counts = np.unique(y[lacking], return_counts=True)
        shown = [f"{int(n)} of class {c!r}" for c, n in zip(names.tolist(), counts, strict=True)]
        more = f" and {len(shown) - 10} more classes" if len(shown) > 10 else ""
        reasons.append(
            f"the teachers of their folds saw no row of their class, or no other one: "
            f"{', '.join(shown[:10])}{more}"
        )
    warnings.warn(
        f"{int((~answered).sum())} of {len(y)} rows get no answer of a teacher with "
        f"cv={reprlib.repr(cv)}: {'; '.join(reasons)}. {consequence} A number as cv, or a splitter "
        "that shuffles and tests each row, and more rows of rare classes give them one.",
        UserWarning,
        stacklevel=7,
    )
