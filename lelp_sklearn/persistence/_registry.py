"""The allow-list: every class, and every function, that a file may name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.feature_selection import (
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    chi2,
    f_classif,
    f_regression,
    mutual_info_classif,
    mutual_info_regression,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from lelp_sklearn import augmentation, inputs, networks, objectives, students, subclasses
from lelp_sklearn._compat import PARTS_OF_CALIBRATION
from lelp_sklearn.distillation import DistilledClassifier
from lelp_sklearn.inputs._columns import as_categories, as_numbers
from lelp_sklearn.students._knowledge_base import KnowledgeBase
from lelp_sklearn.students._optimizers import SparseAdamW
from lelp_sklearn.subclasses._autoencoder import CodeSplit
from lelp_sklearn.subclasses._cca import CanonicalSplit
from lelp_sklearn.subclasses._centroids import CentroidSplit, PosteriorSplit, Reduced
from lelp_sklearn.subclasses._ica import LinearSplit
from lelp_sklearn.subclasses._moments import ClassMoments
from lelp_sklearn.subclasses._per_class import Whole
from lelp_sklearn.subclasses._propagation import neighbour_weights
from lelp_sklearn.subclasses._space import EmbeddingSpace

# What holds our estimators, lies within them or often stands before them: written attribute by
# attribute, all of which are plain. Importing skops for them would take seconds.
_SCIKIT_LEARN = (
    ColumnTransformer,
    CountVectorizer,
    FeatureUnion,
    FrozenEstimator,
    FunctionTransformer,
    HashingVectorizer,
    KNeighborsClassifier,
    MissingIndicator,
    OrdinalEncoder,
    PCA,
    Pipeline,
    QuantileTransformer,
    SimpleImputer,
    StandardScaler,
    TfidfTransformer,
    TfidfVectorizer,
)
# What may hold our estimators and predicts by them.
_METAESTIMATORS = (
    AdaBoostClassifier,
    BaggingClassifier,
    CalibratedClassifierCV,
    ClassifierChain,
    LabelEncoder,
    MultiOutputClassifier,
    SelfTrainingClassifier,
    StackingClassifier,
    VotingClassifier,
)
# Plain attributes, too, and written so where skops trusts a part of them less than we do.
_IF_SKOPS_REFUSES = (
    GenericUnivariateSelect,
    IsotonicRegression,
    KBinsDiscretizer,
    OneHotEncoder,
    SelectFdr,
    SelectFpr,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SplineTransformer,
)
# Of TableInputs with dates: imported where a file has them.
_SKRUB = {
    "All": "skrub.selectors._base",
    "ApplyToCols": "skrub._apply_to_cols",
    "ApplyToEachCol": "skrub._apply_to_each_col",
    "DatetimeEncoder": "skrub._datetime_encoder",
}
_PARTS = (
    CanonicalSplit,
    CentroidSplit,
    ClassMoments,
    CodeSplit,
    EmbeddingSpace,
    KnowledgeBase,
    LinearSplit,
    PosteriorSplit,
    Reduced,
    Whole,
)
_FUNCTIONS = (
    *(as_categories, as_numbers, neighbour_weights),
    # Scores of columns, which only fit asks for.
    *(chi2, f_classif, f_regression, mutual_info_classif, mutual_info_regression),
)
# Of a FunctionTransformer: they compute one number of another, and do nothing else.
_UFUNCS: tuple[np.ufunc, ...] = (
    *(np.absolute, np.cbrt, np.exp, np.expm1, np.log, np.log10, np.log1p, np.log2),
    *(np.sign, np.sqrt, np.square, np.tanh),
)
_TORCH = {"torch.nn": torch.nn.Module, "torch.optim": torch.optim.Optimizer}
_NUMBERS = (np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_)  # as dtypes


# What a prediction does not need, and a file must not carry: the teacher and what is its own, and
# folders of a machine, which a later fit would write to. They are None after loading.
_LEFT_OUT: dict[type, tuple[str, ...]] = {
    DistilledClassifier: ("teacher", "cache", "teacher_"),
    subclasses.LELPProjector: ("memory",),
    Pipeline: ("memory",),
    inputs.TokenInputs: ("vectors",),
}


def names_left_out(cls: type) -> tuple[str, ...]:
    """Attributes that no file has."""
    return next((names for listed, names in _LEFT_OUT.items() if issubclass(cls, listed)), ())


@cache
def _classes() -> dict[str, type]:
    public = [
        value
        for module in (augmentation, inputs, objectives, students, subclasses)
        for value in (getattr(module, name) for name in module.__all__)
        if isinstance(value, type) and issubclass(value, BaseEstimator)
    ]
    others = (*_PARTS, *_SCIKIT_LEARN, *_METAESTIMATORS, *_IF_SKOPS_REFUSES)
    listed = (*public, DistilledClassifier, *others, *PARTS_OF_CALIBRATION)
    return {cls.__name__: cls for cls in listed}


def listed_class(name: str) -> type | None:
    """The class on the list whose objects are built; None for any other name."""
    if name in _SKRUB:
        return getattr(import_module(_SKRUB[name]), name)
    return _classes().get(name)


def is_listed(cls: type) -> bool:
    """Whether objects of a class are built from any file."""
    return cls.__module__ == _SKRUB.get(cls.__name__) or _classes().get(cls.__name__) is cls


def prefers_skops(cls: type) -> bool:
    """Whether a listed class is written attribute by attribute only where skops refuses it."""
    return cls in _IF_SKOPS_REFUSES


@cache
def references() -> dict[str, Any]:
    """Classes and functions that are only referred to, by the name in files."""
    bodies = [getattr(networks, name) for name in networks.__all__]
    named = {value.__name__: value for value in (*bodies, SparseAdamW, *_FUNCTIONS)}
    of_numpy: tuple[Any, ...] = (*_NUMBERS, *_UFUNCS)
    return named | {f"numpy.{value.__name__}": value for value in of_numpy}


def reference_name(value: Any) -> str | None:
    """Name of a class or function that any file may refer to; None for a user's."""
    name = getattr(value, "__name__", "")
    for listed in (name, f"numpy.{name}"):
        if references().get(listed) is value:
            return listed
    for module, base in _TORCH.items():
        if isinstance(value, type) and issubclass(value, base):
            name = f"{module}.{value.__name__}"
            return name if _of_torch(name) is value else None
    return None


def reference(name: str) -> Any:
    """The class or function of a name; None where it is not on the list."""
    return references().get(name) or _of_torch(name)


def _of_torch(name: str) -> type | None:
    """A public network layer or optimizer."""
    module, _, attribute = name.rpartition(".")
    if module not in _TORCH or not attribute.isidentifier():
        return None
    found = vars({"torch.nn": torch.nn, "torch.optim": torch.optim}[module]).get(attribute)
    return found if isinstance(found, type) and issubclass(found, _TORCH[module]) else None


def find_allowed(allow: Iterable[Any], name: str, *, instance: bool) -> Any:
    """The user's class of a name, or the user's module of that class; None where there is none."""
    for value in allow:
        if instance != isinstance(value, type):
            cls = value if isinstance(value, type) else type(value)
            if cls.__qualname__ == name:
                return value
    return None
