"""What every metric asks of its arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array, check_consistent_length

from lelp_sklearn._checks import check_class_labels, check_magnitude
from lelp_sklearn._compat import check_sample_weight
from lelp_sklearn._tables import check_same_series, in_class_order, in_same_order
from lelp_sklearn.outputs import check_proba

# A probability of 0 counts as this much where its logarithm is taken: 36.04 nats at the most.
SMALLEST = float(np.finfo(np.float64).eps)


def check_rows(proba: ArrayLike, name: str) -> NDArray:
    """Probabilities in float64, whose rows sum to 1 exactly."""
    p = check_proba(check_array(proba, dtype=np.float64, input_name=name), name)
    # Those of float16 and float32 miss 1 by what would pass for divergence.
    return p / p.sum(axis=1, keepdims=True)


def check_pair(teacher_proba: ArrayLike, student_proba: ArrayLike) -> tuple[NDArray, NDArray]:
    """Probabilities of a teacher and a student, of one shape.

    Columns of two tables are matched by name.
    """
    check_same_series(student_proba, teacher_proba, "student_proba", whose="teacher_proba")
    student_proba = in_same_order(student_proba, teacher_proba, "student_proba", "teacher_proba")
    teacher = check_rows(teacher_proba, "teacher_proba")
    student = check_rows(student_proba, "student_proba")
    if teacher.shape != student.shape:
        raise ValueError(
            f"teacher_proba has shape {teacher.shape} and student_proba {student.shape}: expected "
            "the same rows and classes."
        )
    return teacher, student


def check_labels(
    y: ArrayLike, proba: ArrayLike, classes: ArrayLike | None
) -> tuple[NDArray, NDArray]:
    """Column number of each row's label, and the probabilities; a table's columns by name."""
    labels = check_class_labels(y, warn=False)
    names = np.unique(labels) if classes is None else check_class_labels(classes, "classes")
    check_same_series(proba, y, "proba", whose="y")
    p = check_rows(in_class_order(proba, names, "proba"), "proba")
    check_consistent_length(labels, p)
    if len(names) != p.shape[1]:
        raise ValueError(
            f"proba has {p.shape[1]} columns and the classes are {names.tolist()}: pass classes, "
            "one label a column."
        )
    order = np.argsort(names)
    try:
        codes = order[np.minimum(np.searchsorted(names, labels, sorter=order), len(names) - 1)]
    except TypeError as error:
        raise TypeError(
            f"y holds labels such as {labels.tolist()[0]!r}, and the classes are "
            f"{names.tolist()}: expected labels of one type."
        ) from error
    strange = names[codes] != labels
    if strange.any():
        raise ValueError(
            f"y holds {np.unique(labels[strange]).tolist()}, and the classes are "
            f"{names.tolist()}: pass classes, one label a column."
        )
    return codes, p


def mean(rows: NDArray, sample_weight: ArrayLike | None) -> float:
    """Mean over the rows, weighted where weights are given."""
    return float(np.average(rows, weights=check_weight(sample_weight, rows)))


def check_weight(sample_weight: ArrayLike | None, rows: NDArray) -> NDArray:
    """Weights of the rows, not negative; ones where none are given."""
    weight = check_sample_weight(
        sample_weight, rows.reshape(len(rows), -1), dtype=np.float64, ensure_non_negative=True
    )
    if not weight.any():
        raise ValueError("sample_weight is 0 in every row: expected some row to count.")
    check_magnitude(weight, "sample_weight")
    return weight
