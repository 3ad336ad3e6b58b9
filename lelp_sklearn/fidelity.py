"""Is a student faithful, or only as good: figures, controls and intervals in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state, check_scalar

from lelp_sklearn._tables import check_same_series
from lelp_sklearn.metrics._bins import assign
from lelp_sklearn.metrics._calibration import squared_rows, surprise_rows
from lelp_sklearn.metrics._checks import check_labels
from lelp_sklearn.metrics._cka import check_embeddings, cka_rows
from lelp_sklearn.metrics._fidelity import agreement_rows, js_rows, kl_rows
from lelp_sklearn.teachers import teacher_outputs

_N_BINS = 15  # of expected_calibration_error, as it comes


def fidelity_report(
    teacher: Any,
    student: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    X_train: ArrayLike | None = None,
    y_train: ArrayLike | None = None,
    independent_teacher: Any = None,
    independent_student: Any = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    """Accuracy, calibration and fidelity of a teacher and a student, with controls and intervals.

    Accurate models agree anyway, for all are mostly right. So the student's fidelity to its teacher
    is compared with that among models that never met: to an ``independent_teacher`` (another seed
    or kind, on the same data), or of an ``independent_student`` that was distilled from that one.
    A student that is no closer to its own teacher has learned the task, and not the teacher.

    Parameters
    ----------
    teacher, student : estimator
        Fitted, with ``predict_proba`` and ``classes_``; and ``transform``, for CKA.
    X : array-like of shape (n_rows, n_features)
        Test rows, as both take them.
    y : array-like of shape (n_rows,)
        Labels.
    X_train, y_train : array-like, optional
        Rows the student was trained on, for the same figures beside those of the test rows. Poor
        fidelity there is a matter of optimisation or of width; good there and poor on test rows,
        one of too few or the wrong rows.
    independent_teacher : estimator, optional
        Fitted, and not the student's teacher.
    independent_student : estimator, optional
        Distilled from the independent teacher, by the same recipe.
    n_bootstrap : int, default=1000
        Resamples of the rows; the same rows for all figures.
    confidence : float, default=0.95
        Of the intervals, which are between percentiles of the resampled figures. They say what
        other test rows would give, and nothing of other seeds.
    random_state : int, RandomState or None, default=None
        Seed of the resamples.

    Returns
    -------
    pandas DataFrame
        Columns are (rows, figure): "train" if given, and "test"; "value", "low" and "high". Rows
        are (models, metric):

        - a model: accuracy, log_loss, brier_score, ece (expected calibration error);
        - two of them, the one named last as the teacher: top1_agreement, predictive_kl,
          reverse_kl, jensen_shannon, and cka where both have embeddings;
        - "own less independent teacher" and "own less independent student": the student's fidelity
          to its teacher, less the control's. An interval that holds 0 is no sign of fidelity.

    Raises
    ------
    ImportError
        Without pandas.
    ValueError
        If only one of X_train and y_train is given, or the models' classes differ.

    See Also
    --------
    FidelityDisplay : Draws agreement and accuracy by confidence.
    DistilledClassifier.report : Sizes and speeds, in a line a model.
    lelp_sklearn.metrics.fidelity_scorer : Fidelity in a search.

    Notes
    -----
    ECE is biased upwards, and more so on resampled rows, so that its interval may lie above the
    value. CKA's interval is that of its first-order expansion.

    References
    ----------
    Stanton, Izmailov, Kirichenko, Alemi and Wilson (2021), Does Knowledge Distillation Really
    Work?, NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from lelp_sklearn import fidelity_report
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = LogisticRegression(C=0.01).fit(X[:900], y[:900])
    >>> student = LogisticRegression(C=0.02).fit(X[:900], teacher.predict(X[:900]))
    >>> other = GaussianNB(var_smoothing=0.1).fit(X[:900], y[:900])
    >>> table = fidelity_report(teacher, student, X[900:], y[900:], independent_teacher=other)
    >>> agreement = table.xs("top1_agreement", level="metric")["test", "value"]
    >>> bool(agreement["student to teacher"] > agreement["student to independent teacher"])
    True
    >>> bool(table["test", "low"]["own less independent teacher", "top1_agreement"] > 0)
    True
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "fidelity_report gives a pandas DataFrame: install pandas, or use the functions of "
            "lelp_sklearn.metrics."
        ) from error
    if (X_train is None) != (y_train is None):
        raise ValueError("only one of X_train and y_train is given: pass both, or neither.")
    check_scalar(n_bootstrap, "n_bootstrap", Integral, min_val=1)
    check_scalar(confidence, "confidence", Real, min_val=0, max_val=1, include_boundaries="neither")
    models = {
        "teacher": teacher,
        "student": student,
        "independent teacher": independent_teacher,
        "independent student": independent_student,
    }
    models = {name: model for name, model in models.items() if model is not None}
    tail = (1 - confidence) / 2
    rng = check_random_state(random_state)
    splits = {} if X_train is None else {"train": (X_train, y_train)}
    splits["test"] = X, y
    columns = {}
    for split, (rows, labels) in splits.items():
        measures = _measure(models, rows, labels)
        values, resampled = _bootstrap(measures, n_bootstrap, rng)
        low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
        for figure, column in (("value", values), ("low", low), ("high", high)):
            columns[split, figure] = pd.Series(
                column, pd.MultiIndex.from_tuples(measures, names=["models", "metric"])
            )
    return pd.DataFrame(columns)


@dataclass
class _Measure:
    """Values a row, and what makes a figure of their (weighted) means."""

    rows: NDArray  # (n, K)
    finish: Callable[[NDArray], NDArray] = lambda means: means[..., 0]  # (..., K) -> (...)


def _measure(models: dict[str, Any], X: Any, y: Any) -> dict[tuple[str, str], _Measure]:
    check_same_series(y, X, "y")
    classes = np.asarray(models["student"].classes_)
    answers = {}  # probabilities and embeddings of each model
    measures: dict[tuple[str, str], _Measure] = {}
    for name, model in models.items():
        given = teacher_outputs(model, X, classes)
        assert given.proba is not None
        codes, proba = check_labels(y, given.proba, classes)
        answers[name] = proba, given.embeddings
        measures |= {(name, metric): m for metric, m in _of_model(codes, proba).items()}
    pairs = [("student", "teacher")]
    if "independent teacher" in models:
        pairs.append(("student", "independent teacher"))
    if "independent student" in models:
        pairs.append(("independent student", "teacher"))
    of_pairs = [_of_pair(*answers[by], *answers[taught]) for taught, by in pairs]
    for (taught, by), found in zip(pairs, of_pairs, strict=True):
        measures |= {(f"{taught} to {by}", metric): m for metric, m in found.items()}
    for (taught, by), found in zip(pairs[1:], of_pairs[1:], strict=True):
        control = by if taught == "student" else taught
        for metric in (m for m in of_pairs[0] if m in found):
            difference = of_pairs[0][metric].rows - found[metric].rows
            measures[f"own less {control}", metric] = _Measure(difference)
    return measures


def _of_model(codes: NDArray, proba: NDArray) -> dict[str, _Measure]:
    right = (proba.argmax(axis=1) == codes).astype(np.float64)
    brier = squared_rows(codes, proba) / (2 if proba.shape[1] == 2 else 1)
    sure = proba.max(axis=1)
    _, number = assign(sure, _N_BINS, "uniform")
    gaps = np.eye(_N_BINS)[number] * (right - sure)[:, None]
    return {
        "accuracy": _Measure(right[:, None]),
        "log_loss": _Measure(surprise_rows(codes, proba)[:, None]),
        "brier_score": _Measure(brier[:, None]),
        "ece": _Measure(gaps, lambda means: np.abs(means).sum(axis=-1)),
    }


def _of_pair(p: NDArray, T: NDArray | None, q: NDArray, S: NDArray | None) -> dict[str, _Measure]:
    """Probabilities and embeddings of the one that is the teacher, then of the other."""
    rows = {
        "top1_agreement": agreement_rows(p, q),
        "predictive_kl": kl_rows(p, q),
        "reverse_kl": kl_rows(q, p),
        "jensen_shannon": js_rows(p, q),
    }
    if T is not None and S is not None:
        rows["cka"] = cka_rows(*check_embeddings(T, S))
    return {name: _Measure(values[:, None]) for name, values in rows.items()}


def _bootstrap(
    measures: dict[tuple[str, str], _Measure], n_resamples: int, rng: np.random.RandomState
) -> tuple[NDArray, NDArray]:
    """Figures of the rows, and of resamples of them, (n_resamples, n_measures)."""
    rows = np.hstack([measure.rows for measure in measures.values()])
    n = len(rows)
    means = np.empty((n_resamples + 1, rows.shape[1]))
    means[0] = rows.mean(axis=0)
    for b in range(n_resamples):
        means[b + 1] = np.bincount(rng.randint(n, size=n), minlength=n) @ rows / n
    stops = np.cumsum([measure.rows.shape[1] for measure in measures.values()])[:-1]
    parts = zip(measures.values(), np.split(means, stops, axis=1), strict=True)
    figures = np.column_stack([measure.finish(part) for measure, part in parts])
    return figures[0], figures[1:]
