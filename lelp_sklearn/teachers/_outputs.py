"""Ask any teacher: a fitted classifier with predict_proba, and embeddings where it has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from lelp_sklearn.outputs import TeacherOutputs


def teacher_outputs(teacher: Any, X: ArrayLike, classes: ArrayLike | None = None) -> TeacherOutputs:
    """Class probabilities and embeddings of a fitted teacher.

    Parameters
    ----------
    teacher : estimator
        With ``predict_proba``, ``classes_``, and embeddings from ``transform``; those of a
        Pipeline whose last step is a classifier without ``transform`` are what that step is given.
    X : array-like
        Rows, as the teacher takes them.
    classes : array-like, optional
        Order of the columns of ``proba``; None is the teacher's own. Columns are matched by label,
        never by position.

    Returns
    -------
    TeacherOutputs
        Without ``embeddings`` where the teacher has none.

    Raises
    ------
    TypeError
        If the teacher has no ``predict_proba``.
    ValueError
        If its classes are not the wanted ones.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from lelp_sklearn import teacher_outputs
    >>> X, y = load_iris(return_X_y=True)
    >>> teacher = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> outputs = teacher_outputs(teacher, X)
    >>> outputs.proba.shape, outputs.embeddings.shape
    ((150, 3), (150, 4))
    """
    if not hasattr(teacher, "predict_proba"):
        raise TypeError(
            f"{type(teacher).__name__} has no predict_proba, so it cannot teach: wrap it in "
            "scikit-learn's CalibratedClassifierCV, or pass teacher_proba to a student's fit."
        )
    proba = np.asarray(teacher.predict_proba(X))
    if classes is not None:
        proba = _align(proba, np.asarray(teacher.classes_), np.asarray(classes))
    embed = _embedder(teacher)
    return TeacherOutputs(proba, None if embed is None else np.asarray(embed(X)))


def _embedder(teacher: Any) -> Any:
    if hasattr(teacher, "transform"):
        return teacher.transform
    if isinstance(teacher, Pipeline) and len(teacher) > 1:
        return teacher[:-1].transform
    return None


def _align(proba: NDArray, teacher_classes: NDArray, classes: NDArray) -> NDArray:
    if set(teacher_classes.tolist()) != set(classes.tolist()):
        raise ValueError(
            f"the teacher knows the classes {teacher_classes.tolist()}, the student is to learn "
            f"{classes.tolist()}: both must have the same."
        )
    order = {label: column for column, label in enumerate(teacher_classes.tolist())}
    return proba[:, [order[label] for label in classes.tolist()]]
