"""Losses as pure functions of tensors, one value a row; no state, no scikit-learn.

Types, shapes and parameters are checked. Contents are not, as that would have every step wait for
the device: NaN, rows that are no probabilities, and numbers of classes that there are not. No rows
have no values; where a value of the batch would be undefined, they are refused. Tensors that are
multiplied hold numbers of one type, unless autocast is on.
"""

from lelp_sklearn.losses._attention import align_heads
from lelp_sklearn.losses._blocks import fold, unfold
from lelp_sklearn.losses._classes import class_kl, label_loss, logit_mse
from lelp_sklearn.losses._contrastive import info_nce, noise_contrastive, supervised_contrast
from lelp_sklearn.losses._features import cka_distance, cosine_distance, gaussian_nll, log_sum
from lelp_sklearn.losses._layers import hidden_mse, patient_loss
from lelp_sklearn.losses._logits import dist_inter, dist_intra, dkd, z_scores
from lelp_sklearn.losses._relations import (
    probabilistic_transfer,
    rkd_angle,
    rkd_distance,
    similarity_preserving,
)
from lelp_sklearn.losses._scaffold import guide_help, scaffold_kl
from lelp_sklearn.losses._similarities import (
    cosines,
    similarity_kl,
    token_relation_kl,
    unit_rows,
)
from lelp_sklearn.losses._subclass_spread import subclass_spread
from lelp_sklearn.losses._subclasses import subclass_cross_entropy, subclass_kl

__all__ = [
    "align_heads",
    "cka_distance",
    "class_kl",
    "cosine_distance",
    "cosines",
    "dist_inter",
    "dist_intra",
    "dkd",
    "fold",
    "gaussian_nll",
    "guide_help",
    "hidden_mse",
    "info_nce",
    "label_loss",
    "log_sum",
    "logit_mse",
    "noise_contrastive",
    "patient_loss",
    "probabilistic_transfer",
    "rkd_angle",
    "rkd_distance",
    "scaffold_kl",
    "similarity_kl",
    "similarity_preserving",
    "subclass_cross_entropy",
    "subclass_kl",
    "subclass_spread",
    "supervised_contrast",
    "token_relation_kl",
    "unfold",
    "unit_rows",
    "z_scores",
]
