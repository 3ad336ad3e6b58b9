"""Metrics of two probabilities, of labels, and of embeddings."""

import numpy as np

from lelp_sklearn import metrics
from tests.fuzz.mutations.arrays import EMBEDDINGS
from tests.fuzz.mutations.changes import ABSENT
from tests.fuzz.mutations.counts import COUNTS
from tests.fuzz.mutations.labels import CLASSES, SCORED
from tests.fuzz.mutations.teacher import PROBA
from tests.fuzz.mutations.weights import WEIGHTS
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.subject import Subject, finite


def of_metrics():
    pair = {"teacher_proba": v.PROBA, "student_proba": v.OTHER_PROBA, "sample_weight": v.WEIGHT}
    pair_changes = {
        "teacher_proba": PROBA + ABSENT,
        "student_proba": PROBA + ABSENT,
        "sample_weight": WEIGHTS,
    }
    labels = {"y": v.Y, "proba": v.PROBA, "classes": None, "sample_weight": v.WEIGHT}
    label_changes = {
        "y": SCORED,
        "proba": PROBA + ABSENT,
        "classes": CLASSES,
        "sample_weight": WEIGHTS,
    }
    labels["classes"] = np.arange(v.C)
    found = {}

    def share(function):
        def call(**arguments):
            return np.nan_to_num(function(**arguments).share)

        return call

    for name in ("top1_agreement", "predictive_kl", "jensen_shannon"):
        found[name] = Subject(getattr(metrics, name), pair, pair_changes, finite, tuple(pair))
    found["agreement_by_confidence"] = Subject(
        share(metrics.agreement_by_confidence),
        {**pair, "n_bins": 5},
        {**pair_changes, "n_bins": COUNTS},
        finite,
        tuple(pair),
    )
    aligned = ("y", "proba", "sample_weight")
    for name in ("brier_score", "expected_calibration_error", "log_loss"):
        found[name] = Subject(getattr(metrics, name), labels, label_changes, finite, aligned)
    found["reliability_bins"] = Subject(
        share(metrics.reliability_bins),
        {**labels, "n_bins": 5},
        {**label_changes, "n_bins": COUNTS},
        finite,
        aligned,
    )
    found["cka"] = Subject(
        lambda **a: metrics.cka(**a) + metrics.cka(**a, unbiased=True),
        {"teacher_embeddings": v.H, "student_embeddings": v.X},
        dict.fromkeys(("teacher_embeddings", "student_embeddings"), EMBEDDINGS + ABSENT),
        finite,
        ("teacher_embeddings", "student_embeddings"),
        atol=1e-2,
    )
    return found
