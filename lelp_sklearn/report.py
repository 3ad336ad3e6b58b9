"""Teacher and student side by side: what was lost, and what was gained."""

from __future__ import annotations

import io
import pickle
import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, average_precision_score, log_loss
from skorch import NeuralNet
from torch import nn

from lelp_sklearn.metrics import expected_calibration_error, top1_agreement
from lelp_sklearn.networks import StudentNetwork
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.teachers import align_proba

_COLUMNS = {
    "accuracy": "{:.4f}",
    "average_precision": "{:.4f}",
    "log_loss": "{:.4f}",
    "ece": "{:.4f}",
    "agreement": "{:.4f}",
    "parameters": "{:,.0f}",
    "bytes": "{:,.0f}",
    "rows_per_second": "{:,.0f}",
}


class DistillationReport:
    """A table of a teacher and its student on the same rows; printing it shows the table.

    Parameters
    ----------
    rows : dict of str to dict
        Figures of "teacher" and "student": accuracy, average_precision (of two classes the second,
        of more the mean of each against the rest), log_loss, ece (expected calibration error),
        agreement (share of rows where the teacher names the same class), parameters (numbers in
        torch parameters or fitted float arrays), bytes (of a pickle) and rows_per_second
        (``predict_proba``, on the threads it is given).

    See Also
    --------
    DistilledClassifier.report : Makes one.

    Examples
    --------
    >>> from lelp_sklearn.report import DistillationReport
    >>> print(DistillationReport({"teacher": {"accuracy": 0.99}, "student": {"accuracy": 0.97}}))
             accuracy
    teacher    0.9900
    student    0.9700
    """

    def __init__(self, rows: dict[str, dict[str, float]]):
        self.rows = rows

    def to_frame(self) -> Any:
        """The table as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame.from_dict(self.rows, orient="index")

    def _cells(self) -> list[list[str]]:
        names = [name for name in _COLUMNS if any(name in row for row in self.rows.values())]
        body = [
            [who, *(_COLUMNS[name].format(row[name]) if name in row else "" for name in names)]
            for who, row in self.rows.items()
        ]
        return [["", *names], *body]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in cells
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
        title = "".join(f"<th>{cell}</th>" for cell in head)
        return f"<table><tr>{title}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def report_on(
    teacher: Any, student: Any, X: ArrayLike, y: NDArray, classes: NDArray
) -> DistillationReport:
    """Measure a fitted teacher and a fitted student on the same rows."""
    answers, rows = {}, {}
    for who, model in {"teacher": teacher, "student": student}.items():
        start = time.perf_counter()
        proba = model.predict_proba(X)
        seconds = time.perf_counter() - start
        answers[who] = proba = align_proba(proba, model.classes_, classes)
        rows[who] = {
            "accuracy": accuracy_score(y, classes[proba.argmax(axis=1)]),
            "average_precision": _average_precision(y, proba, classes),
            "log_loss": log_loss(y, proba, labels=classes),
            "ece": expected_calibration_error(y, proba, classes=classes),
            "agreement": top1_agreement(answers["teacher"], proba),
            "parameters": n_parameters(model),
            "bytes": len(pickle.dumps(model)),
            "rows_per_second": len(proba) / seconds,
        }
    return DistillationReport(rows)


def _average_precision(y: NDArray, proba: NDArray, classes: NDArray) -> float:
    """NaN where no row is of a class that counts."""
    counted = [1] if len(classes) == 2 else range(len(classes))
    scores = [
        average_precision_score(y == classes[c], proba[:, c])
        for c in counted
        if (y == classes[c]).any()
    ]
    return float(np.mean(scores)) if scores else float("nan")


def n_parameters(model: Any) -> int:
    """Numbers in a model's torch parameters, float arrays and tree nodes."""
    counter = _ParameterCounter()
    counter.dump(model)
    return counter.total


class _ParameterCounter(pickle.Pickler):
    """A pickler sees every part of a model, wherever it lies; this one only counts."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.total = 0

    def persistent_id(self, part: Any) -> str | None:
        """Count a part; a name in place of None keeps the pickler from looking into it."""
        if isinstance(part, BaseStudentClassifier):
            part = getattr(part, "net_", None)  # the parameter of a meta-estimator is not fitted
        module = part.module_ if isinstance(part, NeuralNet) else part
        if isinstance(module, nn.Module):
            # What was trained beside a student is left behind at prediction.
            kept = [module.body, module.head] if isinstance(module, StudentNetwork) else [module]
            self.total += sum(w.numel() for one in kept for w in one.parameters())
            return "counted"
        if isinstance(part, np.ndarray) and part.dtype.kind in "fV":
            self.total += part.size * max(len(part.dtype.names or ()), 1)
        return None
