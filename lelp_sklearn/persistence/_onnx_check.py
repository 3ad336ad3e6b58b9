"""Whether an ONNX model answers as its estimator does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.serving import OnnxStudent

_SHOWN = 5  # rows of a mismatch
_OWN_ENTRIES = (
    "In ONNX a row of the training data finds the entry that it has itself, which the "
    "RetrievalAugmentedClassifier leaves out, and of entries equally near others may vote: give "
    "rows that it was not trained on, or export its student_. "
)


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
        raise ValueError(
            f"the ONNX model differs from its estimator in {len(wrong)} of {len(other)} rows of "
            f"the sample, by up to {difference.max():.2g} in a probability (atol={atol:g}):\n"
            + "\n".join(lines)
            + "\nNothing was written. "
            + (_OWN_ENTRIES if looks_up else "")
            + "Where the numbers are large, a float64 sample makes a model that scales them in "
            "float64; otherwise a step means something else in ONNX."
        )
    return summary
