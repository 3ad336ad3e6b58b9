"""The one place that touches scikit-learn's private names: what changes there is mended here."""

from typing import Any

import numpy as np
from sklearn import calibration
from sklearn.base import _clone_parametrized as clone_parameters
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

# What is within a CalibratedClassifierCV; the last since scikit-learn 1.8.
_WITHIN = ("_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling")
PARTS_OF_CALIBRATION: tuple[type, ...] = tuple(
    getattr(calibration, name) for name in _WITHIN if hasattr(calibration, name)
)


class Interval(_Interval):
    """An interval of numbers as numpy and torch have them: no fractions, which are real, too."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a parameter lies in it."""
        return isinstance(val, int | float | np.number) and super().is_satisfied_by(val)


__all__ = [
    "PARTS_OF_CALIBRATION",
    "BaseComposition",
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_feature_names_in",
    "check_sample_weight",
    "clone_parameters",
    "fit_context",
    "safe_indexing",
]
