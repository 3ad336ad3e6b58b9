"""A student aligned with its teacher's space, and the weight of what it looks up."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import log_loss

from lelp_sklearn.networks import MLP
from lelp_sklearn.objectives import RelationalAlignment, Stages
from lelp_sklearn.students._classifier import StudentClassifier
from lelp_sklearn.students._inputs import TrainingRows
from lelp_sklearn.students._tuning import held_out_rows

RETRIEVAL_WEIGHTS = tuple(i / 10 for i in range(11))


def aligned_student(retrieval: Any, seed: int) -> StudentClassifier:
    """A clone of the student whose objective has the alignment as its last term."""
    student = StudentClassifier(MLP) if retrieval.student is None else clone(retrieval.student)
    objective = student._make_objective()
    if isinstance(objective, Stages):
        raise ValueError(
            "the student's objective is Stages, to which no alignment can be added: expected "
            "one objective or a sum."
        )
    if getattr(student, "subclass_weight", None) == "auto":
        raise ValueError(
            "subclass_weight='auto' cannot be chosen beside the alignment: give a number, such "
            "as 0.1."
        )
    alignment = RelationalAlignment(
        projection=retrieval.projection,
        n_components=retrieval.n_components,
        temperature=retrieval.temperature,
    )
    if not isinstance(student, StudentClassifier):
        names = {*StudentClassifier().get_params(deep=False), *student._skorch_names}
        params = student.get_params(deep=False)
        student = StudentClassifier(**{n: params[n] for n in params if n in names})
    student.set_params(objective=objective + retrieval.alignment_weight * alignment)
    if student.random_state is None:
        student.set_params(random_state=seed)
    return student


def weight_scores(
    retrieval: Any, rows: TrainingRows, classes: NDArray, seed: int
) -> dict[float, float]:
    """Held-out log-loss of each weight: one fit, whose entries are the rows trained on."""
    held = held_out_rows(rows.y, rows.labeled, seed, "retrieval_weight")
    train, test = rows.take(~held), rows.take(held)
    student = StudentClassifier(MLP) if retrieval.student is None else clone(retrieval.student)
    # Weights of the classes are in those of the rows by now.
    student.set_params(class_weight=None)
    candidate = clone(retrieval).set_params(
        student=student, retrieval_weight=1.0, random_state=seed
    )
    with warnings.catch_warnings():
        # The fit on all rows says it again.
        warnings.filterwarnings("ignore", ".*got no teacher arrays", UserWarning)
        candidate.fit(
            train.X,
            classes[train.y],
            train.weight,
            labeled=train.labeled,
            teacher_coef=train.teacher.coef,
            **{f"teacher_{name}": getattr(train.teacher, name) for name in train.teacher.given},
        )
    alone = candidate.student_.predict_proba(test.X)
    votes, found = candidate._votes(test.X)
    return {
        weight: float(
            log_loss(
                test.y,
                mixed(alone, votes, found, weight),
                sample_weight=test.weight,
                labels=np.arange(len(classes)),
            )
        )
        for weight in RETRIEVAL_WEIGHTS
    }


def mixed(student: NDArray, votes: NDArray, found: NDArray, weight: float) -> NDArray:
    """The student's probabilities and the votes; the student's alone where none was found."""
    share = np.where(found, weight, 0.0)[:, None]
    proba = (1 - share) * student + share * votes
    return (proba / proba.sum(axis=1, keepdims=True)).astype(np.float32)
