"""New rows for a teacher to label: one way of making them a file."""

from lelp_sklearn.augmentation._base import Augmenter
from lelp_sklearn.augmentation._generative import GANAugmenter, VAEAugmenter
from lelp_sklearn.augmentation._mixup import Mixup
from lelp_sklearn.augmentation._munge import Munge
from lelp_sklearn.augmentation._resample import Resample
from lelp_sklearn.augmentation._smote import Smote
from lelp_sklearn.augmentation._words import WordAugmenter

__all__ = [
    "Augmenter",
    "GANAugmenter",
    "Mixup",
    "Munge",
    "Resample",
    "Smote",
    "VAEAugmenter",
    "WordAugmenter",
]
