"""Whether an ONNX model answers as its estimator does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.inputs._columns import is_frame
from lelp_sklearn.persistence._onnx_probes import probes
from lelp_sklearn.serving import OnnxStudent

_SHOWN = 5  # rows of a mismatch
_OWN_ENTRIES = (
    "In ONNX a row of the training data finds the entry that it has itself, which the "
    "RetrievalAugmentedClassifier leaves out, and of entries equally near others may vote: give "
    "rows that it was not trained on, or export its student_. "
)


class AnswersOtherwise(ValueError):  # noqa: N818
    """An ONNX model does not answer as its estimator: for the sample, or for made-up rows."""

    rows: Any = None  # made up


def differences(
    found: OnnxStudent, sample: Any, expected: tuple[NDArray, NDArray]
) -> tuple[dict[str, Any], NDArray, NDArray]:
    """A summary, the largest difference of a probability in each row, and whose labels differ."""
    proba = found.predict_proba(sample)
    difference = np.abs(proba - expected[0]).max(axis=1)
    other = found.predict(sample) != expected[1]
    summary = {
        "rows": len(proba),
        "max_difference": float(difference.max()),
        "label_agreement": float(1 - other.mean()),
    }
    return summary, difference, other


def check_answers(
    found: OnnxStudent, sample: Any, expected: tuple[NDArray, NDArray], atol: float, looks_up: bool
) -> dict[str, Any]:
    """The summary; ValueError where the model does not answer as its estimator does."""
    summary, difference, other = differences(found, sample, expected)
    top = np.sort(expected[0], axis=1)
    wrong = np.flatnonzero(~(difference <= atol) | (other & (top[:, -1] - top[:, -2] > atol)))
    if len(wrong):
        proba = found.predict_proba(sample)
        lines = [
            f"  row {i}: {np.round(expected[0][i], 6)} {expected[1][i]!s}, in ONNX "
            f"{np.round(proba[i], 6)}"
            for i in wrong[:_SHOWN]
        ]
        raise AnswersOtherwise(
            f"the ONNX model differs from its estimator in {len(wrong)} of {len(other)} rows of "
            f"the sample, by up to {difference.max():.2g} in a probability (atol={atol:g}):\n"
            + "\n".join(lines)
            + "\nNothing was written. "
            + (_OWN_ENTRIES if looks_up else "")
            + "Where the numbers are large, a float64 sample makes a model that scales them in "
            "float64; otherwise a step means something else in ONNX."
        )
    return summary


def check_made_up_rows(found: OnnxStudent, model: Any, sample: Any, atol: float) -> None:
    """Raise AnswersOtherwise for rows made from the sample that the estimator alone answers."""
    for what, rows, proba in probes(model, sample, _kinds(found, sample)):
        try:
            difference = np.abs(found.predict_proba(rows) - proba).max(axis=1)
            problem = f"differs by {difference.max():.2g} in a probability"
            wrong = not (difference <= atol).all()
        except Exception as error:  # of any class, by onnxruntime
            problem, wrong = f"fails ({said(error)})", True
        if wrong:
            otherwise = AnswersOtherwise(
                "the ONNX model answers for the sample as its estimator does, but not for rows "
                f"made from it with {what}, where it {problem}. Nothing was written."
            )
            otherwise.rows = rows
            raise otherwise


def said(error: BaseException) -> str:
    """The first line of what went wrong, in the words of the package in which it did."""
    error = error.__cause__ or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300].rstrip(". ")


def _kinds(found: OnnxStudent, sample: Any) -> dict[Any, str]:
    """What the model takes in each column of the sample."""
    names = list(sample.columns) if is_frame(sample) else list(range(found.n_features_in_))
    dtypes = found._dtypes if len(found._dtypes) == len(names) else found._dtypes * len(names)
    known = {np.float32: "float", np.float64: "float", np.int64: "integer", np.bool_: "bool"}
    kinds = {name: known.get(dtype, "string") for name, dtype in zip(names, dtypes, strict=True)}
    whole = [name for name in names if {str(name), "X"} & found._whole]
    return {**kinds, **dict.fromkeys(whole, "whole")}


def same_values(found: Any, expected: Any) -> bool:
    """Whether a step's outputs are equal, but for rounding."""
    dense = expected.toarray() if hasattr(expected, "toarray") else np.asarray(expected)
    if dense.dtype.kind not in "biuf":
        return bool(np.array_equal(np.asarray(found, dtype=object), dense.astype(object)))
    if found.shape != dense.shape:
        return False
    scale = np.abs(dense[np.isfinite(dense)]).max(initial=1.0)
    return bool(np.allclose(found, dense, rtol=1e-4, atol=1e-5 * scale, equal_nan=True))
