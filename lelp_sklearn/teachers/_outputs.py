"""Ask a teacher: probabilities and embeddings of rows, columns matched by label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import check_array

from lelp_sklearn._rows import n_rows
from lelp_sklearn._tables import check_same_rows, in_class_order
from lelp_sklearn.outputs import TeacherOutputs, check_proba


def teacher_outputs(
    teacher: Any, X: ArrayLike, classes: ArrayLike | None = None, y: ArrayLike | None = None
) -> TeacherOutputs:
    """Class probabilities and embeddings of a fitted teacher.

    Parameters
    ----------
    teacher : estimator
        With ``predict_proba`` and ``classes_``, and embeddings from ``transform`` where it has
        them; see :func:`as_teacher`. A method ``outputs(X)`` that gives both at once is preferred,
        so that a heavy encoder runs once.
    X : array-like
        Rows, as the teacher takes them.
    classes : array-like, optional
        Order of the columns of ``proba``; None is the teacher's own. Columns are matched by label,
        never by position.
    y : array-like, optional
        Labels of the rows, for a teacher that says by ``reads_labels`` that it uses them.

    Returns
    -------
    TeacherOutputs
        Without ``embeddings`` where the teacher has none.

    Raises
    ------
    TypeError
        If the teacher has no ``predict_proba``, or its embeddings are sparse.
    ValueError
        If its classes are not the wanted ones.

    See Also
    --------
    as_teacher : Finds the adapter that gives embeddings.
    TeacherCache.outputs : The same, asking about each row once.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import teacher_outputs
    >>> X, y = load_iris(return_X_y=True)
    >>> outputs = teacher_outputs(LinearDiscriminantAnalysis().fit(X, y), X)
    >>> outputs.proba.shape, outputs.embeddings.shape
    ((150, 3), (150, 2))
    """
    if not hasattr(teacher, "predict_proba"):
        raise TypeError(
            f"{type(teacher).__name__} has no predict_proba, so it cannot teach: wrap it in "
            "scikit-learn's CalibratedClassifierCV, or pass teacher_proba to a student's fit."
        )
    if hasattr(teacher, "outputs"):
        labels = (y,) if getattr(teacher, "reads_labels", False) else ()
        outputs = teacher.outputs(X, *labels)
    else:
        embeddings = teacher.transform(X) if hasattr(teacher, "transform") else None
        if sparse.issparse(embeddings):
            raise TypeError(
                f"{type(teacher).__name__}.transform gives a sparse matrix; embeddings are dense: "
                "wrap the teacher by as_teacher(teacher, X), which reduces them."
            )
        proba = teacher.predict_proba(X)
        if hasattr(teacher, "classes_"):
            proba = in_class_order(proba, teacher.classes_, "the teacher's probabilities")
        proba = _check_said(proba, "probabilities", teacher, X)
        if embeddings is not None:
            embeddings = _check_said(embeddings, "embeddings", teacher, X)
        outputs = TeacherOutputs(check_proba(proba, "the teacher's probabilities"), embeddings)
    if classes is None:
        return outputs
    return replace(outputs, proba=align_proba(outputs.proba, teacher.classes_, classes))


def _check_said(said: Any, what: str, teacher: Any, X: Any) -> NDArray:
    """What a teacher of the user's own says: numbers (n_rows, width)."""
    check_same_rows(said, X, f"the teacher's {what}")
    # Who reads embeddings looks for NaN in them, and knows the teacher's name.
    finite = what == "probabilities"
    # In C's order: of a frame, whose columns lie one after the other, BLAS would round otherwise.
    array: NDArray = check_array(
        said,
        input_name=f"the teacher's {what}",
        ensure_all_finite=finite,
        ensure_min_samples=0,
        order="C",
    )
    n = n_rows(X) if hasattr(X, "shape") or isinstance(X, list) else len(array)
    if len(array) != n:
        raise ValueError(
            f"{type(teacher).__name__} gives {what} of {len(array)} rows for {n} rows of X: "
            "expected one a row."
        )
    return array


def align_proba(proba: NDArray, teacher_classes: ArrayLike, classes: ArrayLike) -> NDArray:
    """Order the columns of a teacher's probabilities by the labels they are wanted in.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Columns in the order of ``teacher_classes``; those of a table are found by name.
    teacher_classes, classes : array-like of shape (C,)
        The same labels, as they are and as they are wanted.

    Returns
    -------
    ndarray of shape (n, C)

    Raises
    ------
    ValueError
        If the labels are not the same.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn.teachers import align_proba
    >>> align_proba(np.array([[0.9, 0.1]]), ["spam", "ham"], ["ham", "spam"])
    array([[0.1, 0.9]])
    """
    known, wanted = np.asarray(teacher_classes).tolist(), np.asarray(classes).tolist()
    if set(known) != set(wanted):
        raise ValueError(
            f"the teacher knows the classes {known}, the student is to learn {wanted}: both must "
            "have the same."
        )
    proba = np.asarray(in_class_order(proba, teacher_classes, "the teacher's probabilities"))
    if proba.ndim != 2 or proba.shape[1] != len(known):
        raise ValueError(
            f"the teacher's probabilities have shape {proba.shape}; expected (n_rows, "
            f"{len(known)}), one column for each of its classes {known}."
        )
    return proba[:, [known.index(label) for label in wanted]]
