"""Fidelity and calibration, over whole arrays: numpy in, floats out."""

from lelp_sklearn.metrics._bins import ConfidenceBins, agreement_by_confidence, reliability_bins
from lelp_sklearn.metrics._calibration import brier_score, expected_calibration_error, log_loss
from lelp_sklearn.metrics._cka import cka
from lelp_sklearn.metrics._fidelity import jensen_shannon, predictive_kl, top1_agreement
from lelp_sklearn.metrics._scorers import fidelity_scorer

__all__ = [
    "ConfidenceBins",
    "agreement_by_confidence",
    "brier_score",
    "cka",
    "expected_calibration_error",
    "fidelity_scorer",
    "jensen_shannon",
    "log_loss",
    "predictive_kl",
    "reliability_bins",
    "top1_agreement",
]
