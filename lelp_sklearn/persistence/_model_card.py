"""What a reader wants to know of a model before using it: as text, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from numpy.typing import ArrayLike
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from lelp_sklearn._writing import write_whole
from lelp_sklearn.distillation import DistilledClassifier
from lelp_sklearn.persistence._card_facts import (
    class_facts,
    data_facts,
    latency_facts,
    lookup_facts,
    metric_facts,
    name_of,
    pickled_bytes,
    shown,
    training_facts,
)
from lelp_sklearn.report import DistillationReport, n_parameters
from lelp_sklearn.students._retrieval import RetrievalAugmentedClassifier

_PACKAGES = ("lelp-sklearn", "torch", "scikit-learn", "skorch", "numpy")


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
        - distillation: teacher, objective, body, widths of embeddings, epochs and last losses;
          entries and weight of a retrieval-augmented student.
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
    last = predictor
    while isinstance(last, Pipeline):
        last = last.steps[-1][1]
    student = last.student_ if isinstance(last, RetrievalAugmentedClassifier) else last
    return ModelCard(
        {
            "model": {
                "name": type(last).__name__,
                "estimator": " ".join(shown(predictor).split()),
                "made": datetime.now(UTC).date().isoformat(),
            },
            "data": data_facts(predictor, student, X),
            "classes": class_facts(predictor, student),
            "distillation": {
                "teacher": name_of(teacher),
                **training_facts(student),
                **lookup_facts(last),
            },
            "metrics": metric_facts(predictor, X, y, teacher, metrics),
            "size": {"parameters": n_parameters(predictor), "bytes": pickled_bytes(predictor)},
            "latency": latency_facts(predictor, X),
            "versions": {
                "python": platform.python_version(),
                **{package: version(package) for package in _PACKAGES},
            },
        }
    )


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
