"""What a model card says of a model, section by section."""

from __future__ import annotations

import os
import pickle
import platform
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import column_or_1d

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn._rows import n_rows
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.metrics import expected_calibration_error
from lelp_sklearn.report import DistillationReport, report_on
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._retrieval import RetrievalAugmentedClassifier

_CALLS = 100  # of one row, for the latency
_NAMES = 50  # of columns that are listed


def name_of(teacher: Any) -> str | None:
    """The teacher's name, or the names of its steps."""
    if isinstance(teacher, Pipeline):
        return ", ".join(type(step).__name__ for _, step in teacher.steps)
    return teacher if teacher is None or isinstance(teacher, str) else type(teacher).__name__


def data_facts(predictor: Any, student: Any, X: Any) -> dict[str, Any]:
    """Columns, their names, what reads them, and rows measured on."""
    names = getattr(predictor, "feature_names_in_", None)
    return {
        "n_features": getattr(predictor, "n_features_in_", None),
        "feature_names": None if names is None else [str(name) for name in names[:_NAMES]],
        "student_n_features": getattr(student, "n_features_in_", None),
        "inputs": type(student.inputs_).__name__ if hasattr(student, "inputs_") else None,
        "rows_measured_on": None if X is None else n_rows(X),
    }


def class_facts(predictor: Any, student: Any) -> dict[str, Any]:
    """Labels, and how many subclasses each has."""
    objective = getattr(student, "objective_", None)
    counts = None if objective is None else [int(n) for n in objective.n_subclasses_]
    return {"labels": np.asarray(predictor.classes_).tolist(), "subclasses": counts}


def shown(estimator: Any) -> str:
    """Its text, the same however the surrounding program has numbers and estimators printed."""
    with config_context(print_changed_only=True), np.printoptions(legacy="1.25"):
        return estimator.__repr__(N_CHAR_MAX=10_000)


def training_facts(student: Any) -> dict[str, Any]:
    """Objective, body, widths of embeddings, epochs and last losses."""
    if not isinstance(student, BaseStudentClassifier):
        return {}
    last = student.history_[-1] if student.history_ else {}
    projector = getattr(student.objective_, "projector_", None)
    network = student.net_.module_
    return {
        "objective": shown(student.objective_),
        "body": type(network.body).__name__,
        "student_embedding_width": network.width,
        "teacher_embedding_width": getattr(projector, "n_features_in_", None),
        "epochs": len(student.history_),
        "train_loss": last.get("train_loss"),
        "valid_loss": last.get("valid_loss"),
    }


def lookup_facts(last: Any) -> dict[str, Any]:
    """What a retrieval-augmented student looks up."""
    if not isinstance(last, RetrievalAugmentedClassifier):
        return {}
    return {
        "entries": last.knowledge_base_.n_entries,
        "retrieval_weight": last.retrieval_weight_,
    }


def metric_facts(predictor: Any, X: Any, y: Any, teacher: Any, given: Any) -> dict[str, Any]:
    """Figures that were given, and those on labelled rows."""
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


def pickled_bytes(predictor: Any) -> int | None:
    """Size of a pickle, where there can be one."""
    try:
        return len(pickle.dumps(predictor))
    except (pickle.PicklingError, AttributeError, TypeError):  # a body made in a notebook's cell
        return None


def latency_facts(predictor: Any, X: Any) -> dict[str, Any]:
    """Time of one row's probabilities, and the machine."""
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
