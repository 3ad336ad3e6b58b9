"""Losses as pure functions of tensors, one value a row; no state, no scikit-learn."""

from lelp_sklearn.losses._blocks import fold, unfold
from lelp_sklearn.losses._classes import class_kl, label_loss, logit_mse
from lelp_sklearn.losses._subclasses import subclass_kl

__all__ = ["class_kl", "fold", "label_loss", "logit_mse", "subclass_kl", "unfold"]
