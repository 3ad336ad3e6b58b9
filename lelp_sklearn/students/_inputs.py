"""What a user passes to a student's fit, checked row by row before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.class_weight import compute_class_weight

from lelp_sklearn._checks import (
    check_class_labels,
    check_groups,
    check_magnitude,
    check_one_type,
)
from lelp_sklearn._compat import check_sample_weight, safe_indexing
from lelp_sklearn._rows import n_rows
from lelp_sklearn._tables import check_same_series
from lelp_sklearn.inputs import Inputs
from lelp_sklearn.outputs import TeacherOutputs, check_teacher_coef, check_teacher_outputs
from lelp_sklearn.students._faults import NonFiniteError
from lelp_sklearn.students._unanswered import with_stand_ins, without_answer


@dataclass(frozen=True)
class TrainingRows:
    """Row-aligned inputs of a fit.

    ``y`` holds class numbers: the label where it is known, the teacher's prediction elsewhere.
    ``number`` is where a row stands in the user's X. Where ``answered`` is False there is no answer
    of the teacher, in whose place ``teacher.proba`` holds the label. ``groups`` are numbers.
    """

    X: Any
    y: NDArray
    labeled: NDArray
    weight: NDArray
    number: NDArray
    teacher: TeacherOutputs
    answered: NDArray
    groups: NDArray | None = None

    def take(self, rows: NDArray) -> TrainingRows:
        """The rows of a boolean mask; the same object where the mask keeps all."""
        if rows.all():
            return self
        return TrainingRows(
            safe_indexing(self.X, rows),
            self.y[rows],
            self.labeled[rows],
            self.weight[rows],
            self.number[rows],
            self.teacher.take(rows),
            self.answered[rows],
            None if self.groups is None else self.groups[rows],
        )

    def fit_params(self) -> dict[str, Any]:
        """What fit gets beside X and y, to train on these rows."""
        proba = self.teacher.proba
        if proba is not None and not self.answered.all():
            proba = np.where(self.answered[:, None], proba, np.nan)
        return {
            "sample_weight": self.weight,
            "labeled": self.labeled,
            "groups": self.groups,
            "teacher_coef": self.teacher.coef,
            **{f"teacher_{name}": getattr(self.teacher, name) for name in self.teacher.given},
            **({} if proba is None else {"teacher_proba": proba}),
        }

    @contextmanager
    def numbered_in_faults(self) -> Iterator[None]:
        """Have faults that name one of these rows name it as the user counts."""
        try:
            yield
        except NonFiniteError as fault:
            if fault.row is not None:
                fault.row = int(self.number[fault.row])
            raise


def check_training_rows(
    student: Any,
    inputs: Inputs,
    X: Any,
    y: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    class_weight: Any = None,
    sample_weight: ArrayLike | None = None,
    labeled: ArrayLike | None = None,
    teacher_proba: ArrayLike | None = None,
    teacher_embeddings: ArrayLike | None = None,
    teacher_coef: ArrayLike | None = None,
    teacher_hidden: ArrayLike | None = None,
    teacher_attention: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    reset: bool = True,
) -> tuple[TrainingRows, NDArray]:
    """Check a fit's arguments against each other; return the rows of positive weight, and classes.

    scikit-learn's searches pass fit parameters of a wrong length through unsliced, so each length
    is checked here against the rows of X.
    """
    series = {"y": y, "sample_weight": sample_weight, "labeled": labeled, "groups": groups}
    for name, values in series.items():
        check_same_series(values, X, name)
    given = X
    X = inputs.check(student, X, reset=reset)
    n = n_rows(X)
    if labeled is None:
        known = np.ones(n, dtype=bool)
        y_known = check_class_labels(y)
        check_consistent_length(X, y_known)
    else:
        known = _check_labeled(labeled, n)
        y_known = check_class_labels(_labels_of(y, known))
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        weight = check_sample_weight(
            sample_weight, np.empty((n, 1)), dtype=np.float32, ensure_non_negative=True
        )
    check_magnitude(weight, "sample_weight")
    if not weight.any():
        raise ValueError(f"sample_weight is zero in all {n} rows: give some row a positive weight.")
    if classes is None:
        classes = np.unique(y_known[weight[known] > 0])
    else:
        classes = check_class_labels(classes, "classes")
    classes = np.unique(classes)
    if len(classes) < 2:
        raise ValueError(
            f"{type(student).__name__} needs rows of at least two classes; the labelled rows of "
            f"positive weight hold only one class, {classes.tolist()}."
        )
    group_numbers = check_groups(groups, X)
    unanswered = np.zeros(n, dtype=bool)
    if teacher_proba is not None:
        unanswered = without_answer(teacher_proba, n)
        _check_unanswered(unanswered, known)
        teacher_proba = with_stand_ins(teacher_proba, unanswered)
    teacher = check_teacher_outputs(
        teacher_proba,
        teacher_embeddings,
        n,
        classes,
        teacher_hidden,
        teacher_attention,
        X=given,
        y=y,
    )
    if teacher_coef is not None:
        teacher = replace(teacher, coef=check_teacher_coef(teacher_coef, classes))
    codes = np.zeros(n, dtype=np.int64)
    if teacher.proba is not None:
        codes = teacher.proba.argmax(axis=1)
    codes[known] = class_codes(y_known, classes, weight[known] > 0)
    if teacher.proba is not None and unanswered.any():
        proba = teacher.proba.copy()
        proba[unanswered] = np.eye(len(classes), dtype=proba.dtype)[codes[unanswered]]
        teacher = replace(teacher, proba=proba)
    rows = TrainingRows(
        X, codes, known, weight, np.arange(n), teacher, ~unanswered, group_numbers
    ).take(weight > 0)
    if class_weight is not None:
        y_labeled = classes[rows.y[rows.labeled]]
        by_class = compute_class_weight(class_weight, classes=classes, y=y_labeled)
        weight = rows.weight * by_class[rows.y].astype(np.float32)
        rows = replace(rows, weight=weight)
    return rows, classes


def class_codes(y: NDArray, classes: NDArray, matters: NDArray) -> NDArray:
    """Class numbers of labels; those of rows that matter must be known."""
    try:
        codes = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    except TypeError as error:
        raise TypeError(
            f"y holds labels such as {y.tolist()[0]!r}, and the classes are {classes.tolist()}: "
            "expected labels of one type."
        ) from error
    strange = np.unique(y[matters & (classes[codes] != y)])
    if len(strange):
        raise ValueError(
            f"y holds {strange.tolist()}, which this student was not built for: its classes are "
            f"{classes.tolist()}. Name all of them in the first call to partial_fit, or fit anew."
        )
    return codes


def _check_unanswered(unanswered: NDArray, labeled: NDArray) -> None:
    if unanswered.all():
        raise ValueError(
            "teacher_proba is NaN in all rows: give the teacher's answers, or use "
            "StudentClassifier(objective=CrossEntropy()) to train on the labels alone."
        )
    if (unanswered & ~labeled).any():
        row = int((unanswered & ~labeled).argmax())
        raise ValueError(
            f"teacher_proba is NaN in row {row}, which says that no teacher answered, and the row "
            "has no label either: leave it out, or give one of the two."
        )


def _check_labeled(labeled: ArrayLike, n_rows: int) -> NDArray:
    mask = np.asarray(labeled)
    if mask.shape != (n_rows,) or mask.dtype != bool:
        raise ValueError(
            f"labeled has shape {mask.shape} and dtype {mask.dtype}; expected one bool for each of "
            f"the {n_rows} rows of X, True where y is known."
        )
    if not mask.any():
        raise ValueError(
            "labeled is False for all rows; at least one row of each class needs its label, "
            "since the classes are read from the labels."
        )
    return mask


def _labels_of(y: ArrayLike, known: NDArray) -> NDArray:
    # Of a list of words and numbers, numpy would make words.
    labels = np.array(y, dtype=object) if isinstance(y, list | tuple) else np.asarray(y)
    if labels.shape != known.shape:
        raise ValueError(
            f"y has shape {labels.shape} and X has {len(known)} rows: pass one label a row, "
            "with anything in place of unknown ones."
        )
    # Placeholders such as None make an object array; without them the labels' own type returns.
    if labels.dtype != object:
        return labels[known]
    check_one_type(labels[known], "y")
    return column_or_1d(labels[known].tolist())
