"""A scikit-learn classifier, or one with its interface, as a teacher."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import has_fit_parameter

from lelp_sklearn._checks import refuse_several_outputs
from lelp_sklearn._compat import HasMethods, Interval, fit_context
from lelp_sklearn._tables import in_class_order
from lelp_sklearn.teachers._embedders import Embedder, embedder_of
from lelp_sklearn.teachers._fitting import (
    first_row,
    gives_proba,
    is_fitted,
    resamples,
    weight_prefix,
)
from lelp_sklearn.teachers._trees import LeafReducer, truncated_svd


def _gives_proba(teacher: SklearnTeacher) -> bool:
    return gives_proba(getattr(teacher, "estimator_", teacher.estimator))


class SklearnTeacher(MetaEstimatorMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    r"""A scikit-learn classifier as a teacher: its probabilities, and embeddings by its kind.

    ===============================  =======================================================
    classifier                       embedding
    ===============================  =======================================================
    MLPClassifier                    last hidden layer
    linear model                     the columns it is given
    random forest, extra trees,      leaf co-occurrence: the leaves that a row falls into,
    (hist-)gradient boosting, a      one-hot, over the root of the number of trees, reduced
    tree; LightGBM, XGBoost,         by truncated SVD; inner products approximate the share
    CatBoost                         of trees in which two rows share a leaf
    TabPFN                           its ``get_embeddings``, the mean over its estimators
    one with ``transform``           that
    any other                        the columns it is given
    Pipeline                         its last step's, on what the steps before make of X
    CalibratedClassifierCV           its estimator's; those of several folds side by side
    a search                         its best estimator's
    ===============================  =======================================================

    Sparse embeddings with more than ``n_components`` columns (of a vectorizer, say) are reduced by
    truncated SVD too.

    The classifier comes fitted or not: around a fitted one the teacher answers at once, and fit
    fits a clone of it. What fit must not touch is to be a ``FrozenEstimator``.

    Parameters
    ----------
    estimator : classifier
        With ``fit`` and ``predict_proba``.
    n_components : int, default=64
        Columns of an embedding that is reduced by truncated SVD.
    random_state : int, RandomState or None, default=None
        Seed of the truncated SVD. None is a fixed one: the same rows and the same classifier give
        the same embeddings.

    Attributes
    ----------
    estimator_ : classifier
        The fitted clone; only after fit.
    classes_ : ndarray of shape (C,)
        Sorted labels.
    teacher_coef_ : ndarray of shape (C, D) or (1, D)
        Weights of the linear last layer, which reads the embedding; missing where there is none.
    reducer_ : object or None
        The fitted reduction of leaves or of sparse columns; None where there is none.
    n_features_in_ : int
        Columns of X, where the classifier counts them.

    Raises
    ------
    NotFittedError
        If it is asked while neither it nor its estimator is fitted; and by transform around a
        fitted estimator whose embedding needs reducing, until ``fit_embedding`` has seen rows.

    See Also
    --------
    as_teacher : Finds the adapter for any classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.neural_network import MLPClassifier
    >>> from lelp_sklearn.teachers import SklearnTeacher
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(n_estimators=10, random_state=0)
    >>> SklearnTeacher(forest, n_components=8, random_state=0).fit(X, y).transform(X).shape
    (150, 8)
    >>> mlp = MLPClassifier([16], solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
    >>> teacher = SklearnTeacher(mlp)
    >>> teacher.transform(X).shape, teacher.teacher_coef_.shape
    ((150, 16), (3, 16))
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "estimator": [HasMethods(["fit"])],  # others may come with it
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        n_components: int = 64,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.n_components = n_components
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, **fit_params: Any
    ) -> SklearnTeacher:
        """Fit a clone of the classifier, and the reduction of its embedding.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows, as the classifier takes them.
        y : array-like of shape (n_rows,)
            Labels.
        sample_weight : array-like of shape (n_rows,), optional
            Weights, for the classifier (the last step of a Pipeline).
        **fit_params : dict
            Passed to the classifier's fit.

        Returns
        -------
        self
        """
        refuse_several_outputs(y)
        if sample_weight is not None:
            if resamples(self.estimator):
                raise ValueError(
                    "sample_weight would go to other rows, as a sampler before the classifier "
                    "resamples them: leave either out, or fit with class_weight in place of both."
                )
            fit_params[f"{weight_prefix(self.estimator)}sample_weight"] = sample_weight
        self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        return self._fit_reducer(X)

    @fit_context(prefer_skip_nested_validation=False)
    def fit_embedding(self, X: Any, y: Any = None) -> SklearnTeacher:
        """Learn the reduction of the embedding only; the fitted classifier stays.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows, as the classifier takes them, with labels or without.
        y : ignored
            Not used.

        Returns
        -------
        self
        """
        self._fitted()
        return self._fit_reducer(X)

    def predict(self, X: Any) -> NDArray:
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_rows,)
        """
        predicted = np.asarray(self._fitted().predict(X))
        return predicted.ravel() if predicted.shape == (len(predicted), 1) else predicted

    @available_if(_gives_proba)
    def predict_proba(self, X: Any) -> NDArray:
        """Probability of each class, as the classifier says.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        proba : ndarray of shape (n_rows, C)
        """
        fitted = self._fitted()
        proba = fitted.predict_proba(X)
        return np.asarray(in_class_order(proba, fitted.classes_, "the teacher's probabilities"))

    def transform(self, X: Any) -> NDArray:
        """Embeddings.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        embeddings : ndarray of shape (n_rows, D)
        """
        estimator = self._fitted()
        embedder = embedder_of(estimator)
        reducer = getattr(self, "reducer_", None)
        raw = embedder.embed(X)
        if reducer is not None:
            return reducer.transform(raw)
        if self._needs_reducer(embedder, raw):
            raise NotFittedError(
                f"the embedding of {type(estimator).__name__} is reduced by truncated SVD, which "
                "has seen no rows yet: call fit_embedding(X) (or as_teacher(estimator, X)), which "
                "leaves the fitted estimator as it is, or fit(X, y)."
            )
        return raw.toarray() if sparse.issparse(raw) else np.asarray(raw)

    @property
    def classes_(self) -> NDArray:
        """Sorted labels."""
        return np.asarray(self._fitted().classes_)

    @property
    def teacher_coef_(self) -> NDArray:
        """Weights of the linear last layer."""
        coef = embedder_of(self._fitted()).coef
        if coef is None or getattr(self, "reducer_", None) is not None:
            raise AttributeError("no linear last layer of this teacher reads its embedding.")
        return coef

    @property
    def n_features_in_(self) -> int:
        """Columns of X."""
        return self._fitted().n_features_in_

    @property
    def feature_names_in_(self) -> NDArray:
        """Names of the columns of X."""
        return self._fitted().feature_names_in_

    def _fit_reducer(self, X: Any) -> SklearnTeacher:
        embedder = embedder_of(self._fitted())
        self.reducer_ = None
        # An embedding that needs no reduction is not computed; its first row tells.
        if not embedder.leaves and not self._needs_reducer(embedder, embedder.embed(first_row(X))):
            return self
        rows = embedder.embed(X)
        if embedder.leaves:
            self.reducer_ = LeafReducer(self.n_components, self.random_state).fit(rows)
        else:
            self.reducer_ = truncated_svd(rows, self.n_components, self.random_state)
        return self

    def _needs_reducer(self, embedder: Embedder, raw: Any) -> bool:
        return embedder.leaves or (sparse.issparse(raw) and raw.shape[1] > self.n_components)

    def _fitted(self) -> Any:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet, nor is its estimator "
                f"{type(self.estimator).__name__}: call fit, or pass a fitted estimator."
            )
        return getattr(self, "estimator_", self.estimator)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_") or is_fitted(self.estimator)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.classifier_tags = inner.classifier_tags
        tags.classifier_tags.multi_label = False
        return tags


def takes_weight(estimator: Any) -> bool:
    """Whether ``sample_weight`` reaches the classifier that an estimator fits."""
    if isinstance(estimator, SklearnTeacher):
        return takes_weight(estimator.estimator)
    if isinstance(estimator, Pipeline):
        return not resamples(estimator) and takes_weight(estimator.steps[-1][1])
    return has_fit_parameter(estimator, "sample_weight")
