"""What a reader wants to know of a model before using it: as text, and as JSON."""

from __future__ import annotations

import json
import os
import pickle
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, column_or_1d

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn._rows import n_rows
from lelp_sklearn._writing import write_whole
from lelp_sklearn.distillation import DistilledClassifier
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.metrics import expected_calibration_error
from lelp_sklearn.report import DistillationReport, n_parameters, report_on
from lelp_sklearn.students._base import BaseStudentClassifier

_CALLS = 100  # of one row, for the latency
_PACKAGES = ("lelp-sklearn", "torch", "scikit-learn", "skorch", "numpy")
_NAMES = 50  # of columns that are listed


class ModelCard:
    """Facts on a fitted model; printing it shows them as Markdown.

    Parameters
    ----------
    facts : dict of str to dict
        Sections of facts, which JSON can hold: see :func:`model_card`.

    See Also
    --------
    model_card : Makes one.

    Examples
    --------
    >>> from lelp_sklearn import ModelCard
    >>> print(ModelCard({"model": {"name": "Student"}, "classes": {"labels": ["no", "yes"]}}))
    # Model card: Student
    <BLANKLINE>
    ## Model
    <BLANKLINE>
    - name: Student
    <BLANKLINE>
    ## Classes
    <BLANKLINE>
    - labels: no, yes
    """

    def __init__(self, facts: dict[str, dict[str, Any]]):
        self.facts = facts

    def to_json(self) -> str:
        """The facts as JSON."""
        return json.dumps(self.facts, indent=2, default=float)

    def to_markdown(self) -> str:
        """The facts as Markdown, without those that are unknown."""
        lines = [f"# Model card: {self.facts['model']['name']}"]
        for title, facts in self.facts.items():
            known = {name: value for name, value in facts.items() if value is not None}
            if not known:
                continue
            lines += ["", f"## {title.capitalize()}", ""]
            if all(isinstance(value, dict) for value in known.values()):
                lines += _table(known)
            else:
                lines += [f"- {name.replace('_', ' ')}: {_text(v)}" for name, v in known.items()]
        return "\n".join(lines)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write both beside a model's file.

        Parameters
        ----------
        path : path
            Of the model, or any other: ``path.md`` and ``path.json`` are written.
        """
        name = os.fspath(path)
        write_whole(f"{name}.md", f"{self.to_markdown()}\n".encode())
        write_whole(f"{name}.json", f"{self.to_json()}\n".encode())

    __str__ = __repr__ = to_markdown


def model_card(
    estimator: Any,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    teacher: Any = None,
    metrics: Mapping[str, Any] | DistillationReport | None = None,
) -> ModelCard:
    """Gather what is known of a fitted student, and measure it on rows, if there are any.

    Parameters
    ----------
    estimator : estimator
        A student, a Pipeline that ends in one, a DistilledClassifier or a search.
    X : array-like of shape (n_rows, n_features), optional
        Rows that were not trained on, for latency and metrics. Without them, the latency of a
        student of dense numbers is that of a row of zeros, and others have none.
    y : array-like of shape (n_rows,), optional
        Their labels, for the metrics.
    teacher : estimator or str, optional
        The teacher, fitted, or its name. None is the ``teacher_`` of a DistilledClassifier. A
        fitted one is measured beside the student.
    metrics : mapping of str to float, or DistillationReport, optional
        Further figures, such as those of ``report`` on other rows.

    Returns
    -------
    ModelCard
        Its facts are, by section:

        - model: name, parameters that are not defaults, date.
        - data: columns, their names, what reads them, and rows measured on.
        - classes: labels, and how many subclasses each has.
        - distillation: teacher, objective, body, widths of embeddings, epochs and last losses.
        - metrics: of student and teacher, as in :class:`~lelp_sklearn.report.DistillationReport`.
        - size: parameters and bytes of a pickle.
        - latency: median and 99th percentile of one row's ``predict_proba``, in milliseconds, and
          the machine.
        - versions: of Python and packages.

    Raises
    ------
    ValueError
        If there is y and no X.

    See Also
    --------
    DistilledClassifier.report : The table of the metrics.

    Examples
    --------
    >>> from lelp_sklearn import CrossEntropy, StudentClassifier, model_card
    >>> X, y = [[-2], [-1], [1], [2]], ["no", "no", "yes", "yes"]
    >>> student = StudentClassifier(objective=CrossEntropy(), lr=0.1, random_state=0).fit(X, y)
    >>> card = model_card(student, X, y)
    >>> card.facts["metrics"]["student"]["accuracy"]
    1.0
    >>> card.facts["size"]["parameters"]
    4
    """
    check_is_fitted(estimator)
    if y is not None and X is None:
        raise ValueError("y without X: give the rows that the labels are of.")
    predictor = estimator
    while isinstance(predictor, DistilledClassifier | BaseSearchCV):
        if isinstance(predictor, DistilledClassifier):
            teacher = getattr(predictor, "teacher_", None) if teacher is None else teacher
            predictor = predictor.student_
        else:
            predictor = predictor.best_estimator_
    student = predictor
    while isinstance(student, Pipeline):
        student = student.steps[-1][1]
    return ModelCard(
        {
            "model": {
                "name": type(student).__name__,
                "estimator": " ".join(predictor.__repr__(N_CHAR_MAX=10_000).split()),
                "made": datetime.now(UTC).date().isoformat(),
            },
            "data": _data(predictor, student, X),
            "classes": _classes(predictor, student),
            "distillation": {"teacher": _name(teacher), **_training(student)},
            "metrics": _metrics(predictor, X, y, teacher, metrics),
            "size": {"parameters": n_parameters(predictor), "bytes": _bytes(predictor)},
            "latency": _latency(predictor, X),
            "versions": {
                "python": platform.python_version(),
                **{package: version(package) for package in _PACKAGES},
            },
        }
    )


def _name(teacher: Any) -> str | None:
    if isinstance(teacher, Pipeline):
        return ", ".join(type(step).__name__ for _, step in teacher.steps)
    return teacher if teacher is None or isinstance(teacher, str) else type(teacher).__name__


def _data(predictor: Any, student: Any, X: Any) -> dict[str, Any]:
    names = getattr(predictor, "feature_names_in_", None)
    return {
        "n_features": getattr(predictor, "n_features_in_", None),
        "feature_names": None if names is None else [str(name) for name in names[:_NAMES]],
        "student_n_features": getattr(student, "n_features_in_", None),
        "inputs": type(student.inputs_).__name__ if hasattr(student, "inputs_") else None,
        "rows_measured_on": None if X is None else n_rows(X),
    }


def _classes(predictor: Any, student: Any) -> dict[str, Any]:
    objective = getattr(student, "objective_", None)
    counts = None if objective is None else [int(n) for n in objective.n_subclasses_]
    return {"labels": np.asarray(predictor.classes_).tolist(), "subclasses": counts}


def _training(student: Any) -> dict[str, Any]:
    if not isinstance(student, BaseStudentClassifier):
        return {}
    last = student.history_[-1] if student.history_ else {}
    projector = getattr(student.objective_, "projector_", None)
    network = student.net_.module_
    return {
        "objective": str(student.objective_),
        "body": type(network.body).__name__,
        "student_embedding_width": network.width,
        "teacher_embedding_width": getattr(projector, "n_features_in_", None),
        "epochs": len(student.history_),
        "train_loss": last.get("train_loss"),
        "valid_loss": last.get("valid_loss"),
    }


def _metrics(predictor: Any, X: Any, y: Any, teacher: Any, given: Any) -> dict[str, Any]:
    if isinstance(given, DistillationReport):
        given = given.rows
    found: dict[str, Any] = dict(given or {})
    if not all(isinstance(value, Mapping) for value in found.values()):
        found = {"given": found}
    if y is None:
        return found
    y = column_or_1d(y)
    if hasattr(teacher, "predict_proba"):
        return found | report_on(teacher, predictor, X, y, predictor.classes_).rows
    proba = predictor.predict_proba(X)
    return found | {
        "student": {
            "accuracy": accuracy_score(y, predictor.predict(X)),
            "log_loss": log_loss(y, proba, labels=predictor.classes_),
            "ece": expected_calibration_error(y, proba, classes=predictor.classes_),
        }
    }


def _bytes(predictor: Any) -> int | None:
    try:
        return len(pickle.dumps(predictor))
    except (pickle.PicklingError, AttributeError, TypeError):  # a body made in a notebook's cell
        return None


def _latency(predictor: Any, X: Any) -> dict[str, Any]:
    if X is None:
        dense = isinstance(getattr(predictor, "inputs_", None), ArrayInputs)
        if not dense or hasattr(predictor, "feature_names_in_"):
            return {}
        X = np.zeros((1, predictor.n_features_in_), np.float32)
    row = safe_indexing(X, slice(0, 1))
    predictor.predict_proba(row)
    times = np.empty(_CALLS)
    for i in range(_CALLS):
        start = time.perf_counter()
        predictor.predict_proba(row)
        times[i] = 1000 * (time.perf_counter() - start)
    median, slow = np.percentile(times, [50, 99])
    return {
        "one_row_median_ms": round(median, 4),
        "one_row_p99_ms": round(slow, 4),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(rows: dict[str, dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ["| | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for who, row in rows.items():
        cells = [_text(row[name]) if name in row else "" for name in names]
        lines.append(f"| {who} | " + " | ".join(cells) + " |")
    return lines
