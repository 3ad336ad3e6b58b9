"""The steps of a training: an objective fitted, rows turned to tensors, epochs run."""

from __future__ import annotations

import warnings
from dataclasses import fields
from typing import Any

import torch
from numpy.typing import NDArray

from lelp_sklearn.objectives import CrossEntropy, Objective, Stages
from lelp_sklearn.objectives._base import check_fitted, checked_targets
from lelp_sklearn.objectives._named import NamedObjectives
from lelp_sklearn.outputs import BodyOutputs, TeacherOutputs
from lelp_sklearn.students._batches import TensorRows
from lelp_sklearn.students._building import make_callbacks
from lelp_sklearn.students._checkpoint import Checkpoint
from lelp_sklearn.students._inputs import TrainingRows
from lelp_sklearn.students._staging import train_in_stages
from lelp_sklearn.students._unanswered import weights_apart

_FEW = 100  # rows
# Of what few teachers give.
_SOURCES = {
    "teacher_hidden": "TransformersTeacher(..., hidden_states=True)",
    "teacher_attention": "TransformersTeacher(..., attention=True, max_length=64)",
}


def used_rows(objective: Objective, rows: TrainingRows) -> TrainingRows:
    """Those that are trained on: unlabelled ones feed nothing but a teacher's terms."""
    return rows if objective.needs and rows.teacher.given else rows.take(rows.labeled)


def warn_of_few_rows(student: Any, n_rows: int) -> None:
    """Warn of a first partial_fit on few rows, which settle what no further call changes."""
    settled = student.inputs_.settled
    if student._skorch_params.get("module__n_bins"):
        settled += f"{' and ' * bool(settled)}the bins of numbers"
    if settled and n_rows < _FEW:
        warnings.warn(
            f"the first call of partial_fit has {n_rows} rows, and settles for all further calls: "
            f"{settled} ({type(student.inputs_).__name__}). Begin with more, {_FEW} or so that "
            "are like those to come; or call fit on some, then partial_fit.",
            UserWarning,
            stacklevel=5,
        )


def fitted_objective(
    student: Any, rows: TrainingRows, classes: NDArray, seed: int, partial: bool
) -> Objective:
    """The student's objective on its rows, and on labels alone where there is no teacher."""
    objective = student._make_objective()
    check_declared(objective)
    if objective.needs and not rows.teacher.given:
        warnings.warn(
            f"{type(student).__name__} got no teacher arrays and trains on the labels alone. Pass "
            f"{' and '.join('teacher_' + field for field in objective.needs)} to fit, or use "
            "StudentClassifier(objective=CrossEntropy()) to say that this is meant.",
            UserWarning,
            stacklevel=5,
        )
        objective = CrossEntropy()
    elif not objective.needs and rows.teacher.proba is not None:
        warnings.warn(
            f"teacher_proba is not used: the objective {objective} trains on labels alone.",
            UserWarning,
            stacklevel=5,
        )
    check_needs(objective, rows.teacher.given)
    objective = student._tuned(objective, rows, classes, seed, partial)
    matrix = student.inputs_.matrix(rows.X) if objective.reads_inputs else None
    made = objective.fit(rows.teacher, rows.y, classes, seed, matrix)
    return check_fitted(objective, made, len(classes))


def train(
    student: Any,
    rows: TrainingRows,
    device: torch.device,
    epochs: int,
    saved: Checkpoint | None,
    partial: bool,
) -> str:
    """Train the student's net; returns what Ctrl-C has left, empty if the user let it run."""
    objective, net = student.objective_, student.net_
    net.max_grad_norm, net.on_oom, net.bf16 = student.max_grad_norm, student.on_oom, student.bf16
    rows = used_rows(objective, rows)
    check_needs(objective, rows.teacher.given)
    batches = _tensors(student, rows, device)

    def callbacks(epochs: int) -> list[Any]:
        return make_callbacks(student, epochs, saved, partial)

    try:
        with rows.numbered_in_faults():
            if isinstance(objective, Stages) and not partial:
                first = 0 if saved is None else saved.stage
                return train_in_stages(net, objective, batches, callbacks, first)
            net.callbacks = callbacks(epochs)
            net.initialize_callbacks()
            return net.train_on(batches, epochs)
    finally:
        for name in ("unchecked", "head_trained"):
            vars(net).pop(name, None)
        if saved is not None:
            net.forget_callback(saved)


def _tensors(student: Any, rows: TrainingRows, device: torch.device) -> TensorRows:
    """Inputs and targets, the latter made once for all epochs."""
    objective = student.objective_
    n = len(rows.y)
    targets = checked_targets(objective, objective.targets(rows.teacher), n) | {
        "y": rows.y,
        "labeled": rows.labeled.astype("float32"),
        "weight": rows.weight * rows.answered,
    }
    targets = checked_targets(objective, objective.prepare(targets), n, taken=())
    targets |= weights_apart(rows.weight, rows.answered)
    return TensorRows(student.inputs_.read(rows.X), rows.y, targets, device, rows.groups)


def check_declared(objective: Objective) -> None:
    """Refuse an objective that names what there is not, or leaves the head untrained.

    Raises
    ------
    TypeError, ValueError
        Naming the objective, and the way out.
    """
    for _, part in objective._named() if isinstance(objective, NamedObjectives) else ():
        check_declared_names(part)
    check_declared_names(objective)
    if not objective.trains_head:
        raise ValueError(
            f"the objective {objective} leaves the student's head untrained, as nothing in it "
            "teaches the head to tell the classes: add a term that does, such as "
            f"{type(objective).__name__}(...) + KD(), or train the head in a stage of its own, "
            'Stages([("first", Stage(...)), ("head", Stage(KD()))]).'
        )


def check_declared_names(objective: Objective) -> None:
    """Refuse names in ``needs`` and ``sees`` that no teacher, or body, has."""
    for attribute, whose, known in (
        ("needs", "a teacher's outputs", [f.name for f in fields(TeacherOutputs)]),
        ("sees", "a body's outputs", list(BodyOutputs._fields)),
    ):
        names = getattr(objective, attribute)
        where = f"{type(objective).__name__}.{attribute}"
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise TypeError(f'{where} is {names!r}: expected a tuple of names, such as ("proba",).')
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"{where} names {', '.join(map(repr, unknown))}, which is none of {whose}: "
                f"expected some of {', '.join(map(repr, known))}."
            )


def check_needs(objective: Objective, fields: list[str]) -> None:
    """Raise ValueError for an objective that needs what is not among a teacher's fields."""
    missing = [f"teacher_{field}" for field in objective.needs if field not in fields]
    if missing:
        given = [f"teacher_{field}" for field in fields]
        sources = [source for name, source in _SOURCES.items() if name in missing]
        raise ValueError(
            f"the objective {type(objective).__name__} needs {' and '.join(missing)}; got "
            f"{' and '.join(given) or 'no teacher arrays'}."
            + "".join(f" A teacher that gives it is {source}." for source in sources)
        )
