"""The student with its teacher's alignment and without, and the weight of what it looks up."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from lelp_sklearn.objectives import RelationalAlignment, Stages
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._classifier import StudentClassifier
from lelp_sklearn.students._inputs import TrainingRows
from lelp_sklearn.students._tuning import ChoiceInterruptedError, fits_of_a_choice

RETRIEVAL_WEIGHTS = tuple(i / 10 for i in range(11))
ENOUGH_HELD_OUT = 500  # rows: of fewer, the noise is as large as what a weight may bring


def plain_student(retrieval: Any, seed: int) -> BaseStudentClassifier:
    """A clone of the student as it was given."""
    student = clone(retrieval._or_default("student"))
    if student.random_state is None:
        student.set_params(random_state=seed)
    return student


def aligned_student(retrieval: Any, seed: int) -> StudentClassifier:
    """A clone of the student whose objective has the alignment as its last term."""
    student = plain_student(retrieval, seed)
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
    return student.set_params(objective=objective + retrieval.alignment_weight * alignment)


def choose_weight(
    retrieval: Any, rows: TrainingRows, classes: NDArray, seed: int
) -> tuple[float, dict[float, float]]:
    """The weight, and the held-out log-loss of each."""
    parts = held_out_parts(rows.y, rows.labeled, seed, rows.groups)
    losses = np.hstack([_losses_on(part, retrieval, rows, classes, seed) for part in parts])
    by_weight = dict(zip(RETRIEVAL_WEIGHTS, losses, strict=True))
    row_weight = np.concatenate([rows.weight[part] for part in parts])
    scores = {w: float(np.average(by_weight[w], weights=row_weight)) for w in by_weight}
    return smallest_as_good(by_weight, row_weight), scores


def held_out_parts(
    y: NDArray, labeled: NDArray, seed: int, groups: NDArray | None = None
) -> list[NDArray]:
    """Masks of a fifth of each class's labelled rows and, where few, of the next fifths too.

    Of rows in groups, masks of a fifth of the groups.
    """
    rng = np.random.default_rng(seed)
    fifth = np.full(len(y), -1)
    if groups is not None:
        own = rng.permutation(np.unique(groups[labeled]))
        if len(own) > 1:
            place = dict(zip(own.tolist(), (np.arange(len(own)) % 5).tolist(), strict=True))
            fifth[labeled] = [place[group] for group in groups[labeled].tolist()]
    for c in np.unique(y[labeled]) if groups is None else ():
        own = rng.permutation(np.flatnonzero(labeled & (y == c)))
        if len(own) > 1:  # some have to stay
            fifth[own] = np.arange(len(own)) % 5
    parts = [fifth == i for i in range(5) if (fifth == i).any()]
    if not parts:
        raise ValueError(
            "retrieval_weight='auto' holds out labelled rows to choose by, and each class has a "
            f"single one ({labeled.sum()} in all), or all are of one group: give a number, such as "
            "0.3."
        )
    before = np.cumsum([0, *(part.sum() for part in parts)])
    return [part for part, n in zip(parts, before, strict=False) if n < ENOUGH_HELD_OUT]


def _losses_on(
    held: NDArray, retrieval: Any, rows: TrainingRows, classes: NDArray, seed: int
) -> NDArray:
    """Log-losses of the held-out rows, a line a weight.

    Two students are trained on the other rows: a plain one for weight 0, and an aligned one, which
    looks the rows up, for all others.
    """
    train, test = rows.take(~held), rows.take(held)
    given = train.fit_params()
    # Weights of the classes are in those of the rows by now.
    student = plain_student(retrieval, seed).set_params(class_weight=None)
    model = clone(retrieval).set_params(student=student, retrieval_weight=1.0, random_state=seed)
    with fits_of_a_choice():
        # The fit on all rows says them again.
        warnings.filterwarnings("ignore", ".*got no teacher arrays", UserWarning)
        warnings.filterwarnings("ignore", "teacher_proba is not used", UserWarning)
        student.fit(train.X, classes[train.y], **given)
        if not student._interrupted:
            model.fit(train.X, classes[train.y], **given)
    if student._interrupted or model.student_._interrupted:
        raise ChoiceInterruptedError(
            "retrieval_weight",
            "nothing is looked up (retrieval_weight_=0), and the student is the plain one"
            f"{', as far as it came' if student._interrupted else ''}, trained on {len(train.y)} "
            f"of {len(rows.y)} rows",
            {"student_": student, "retrieval_weight_": 0.0},
        )
    aligned = model.student_.predict_proba(test.X)
    votes, found = model._votes(test.X)
    proba = [mixed(aligned, votes, found, weight) for weight in RETRIEVAL_WEIGHTS]
    proba[RETRIEVAL_WEIGHTS.index(0)] = student.predict_proba(test.X)
    own = np.stack(proba)[:, np.arange(len(test.y)), test.y].astype(float)
    return -np.log(own.clip(np.finfo(np.float32).eps, 1))


def smallest_as_good(losses: dict[float, NDArray], row_weight: NDArray) -> float:
    """The smallest weight whose mean loss is within a standard error of the best one's.

    The error is of the difference, row by row: weights near one another are right and wrong
    together, and the spread of either's losses would say nothing of which is better.
    """
    share = row_weight / row_weight.sum()
    best = min(losses, key=lambda weight: share @ losses[weight])

    def as_good(weight: float) -> bool:
        worse = losses[weight] - losses[best]
        mean = share @ worse
        return bool(mean <= np.sqrt(share**2 @ (worse - mean) ** 2))

    return min(filter(as_good, losses))


def mixed(student: NDArray, votes: NDArray, found: NDArray, weight: float) -> NDArray:
    """The student's probabilities and the votes; the student's alone where none was found."""
    share = np.where(found, weight, 0.0)[:, None]
    proba = (1 - share) * student + share * votes
    return (proba / proba.sum(axis=1, keepdims=True)).astype(np.float32)
