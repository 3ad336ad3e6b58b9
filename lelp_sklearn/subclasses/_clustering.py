"""Subclasses as clusters: any clusterer or mixture of scikit-learn, fitted class by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from lelp_sklearn._compat import HasMethods, Interval
from lelp_sklearn._defaults import DefaultObjects
from lelp_sklearn._rows import plain_rows
from lelp_sklearn.subclasses._centroids import CentroidSplit, PosteriorSplit, Reduced
from lelp_sklearn.subclasses._per_class import (
    ClassSplit,
    PerClassSplitter,
    seeded_clone,
    subsample,
)


class ClusterSplitter(DefaultObjects, PerClassSplitter):
    r"""Split each class into the clusters of its embeddings, softly.

    The embeddings are standardised on the training rows. A clone of the clusterer is fitted to the
    rows of each class; its labels give centroids :math:`m_{c,s}`, and every row is split by

    .. math::
        P(s \mid c, x) \propto \exp(-\lVert h(x) - m_{c,s} \rVert^2 / (\beta v_c)),

    :math:`v_c` being the mean squared distance of the class's rows to the nearest centroid. A
    mixture (anything with ``predict_proba``) gives its own posteriors, to the power of
    :math:`1 / \beta`.

    Parameters
    ----------
    estimator : clusterer or mixture, optional
        Any of scikit-learn's; None is :class:`~sklearn.cluster.KMeans`. Where it has the parameter
        ``n_clusters`` or ``n_components`` and that is not None, it is set to the class's number of
        subclasses.
    n_subclasses : int, mapping of label to int, or "auto", default="auto"
        Subclasses a class, S. A clusterer that counts for itself may find fewer, down to one; of
        more, the smallest cluster is merged into the nearest one until S are left. A class with 1
        is not split. "auto" is the rule of :class:`LELPProjector`, on the standardised embeddings
        before ``reduce``.
    subclass_temperature : float, default=0.1
        beta above 0, a pure number; 1 leaves a mixture's posteriors as they are.
    reduce : int, transformer or None, default=None
        Fitted to each class before it is clustered; an int is a PCA to so many dimensions.
        Distances are then those of the reduced space. A transformer without ``transform`` (t-SNE)
        only serves to find labels, and centroids are taken in the space before it.
    null_space : bool or "auto", default="auto"
        Whether to remove from the embeddings what the teacher's logits already say; see
        :class:`LELPProjector`.
    max_rows : int or None, default=5000
        Rows a class shown to estimators without ``predict`` and transformers without
        ``transform``, whose cost grows faster than the rows; a draw from the class. None shows all.
    random_state : int, RandomState or None, default=None
        Seed of the draw, and of the estimator and transformer where they have none.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses found in each class, the largest first; a mixture's in its own order.

    Raises
    ------
    ValueError
        If a class has fewer rows than subclasses or than ``reduce``, or the same embedding in every
        row, if there is one class only, or if ``reduce`` is more than the embeddings' columns.

    See Also
    --------
    LELPProjector : Subclasses along directions of the embeddings.
    GraphSplitter : Clusters of any shape.
    AutoencoderSplitter : Clusters in a learned space.

    Notes
    -----
    Noise (label -1) takes no part in the centroids, and is split like any other row.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.mixture import GaussianMixture
    >>> from lelp_sklearn import ClusterSplitter
    >>> X, digit = load_digits(return_X_y=True)
    >>> splitter = ClusterSplitter(n_subclasses=5, null_space=False, random_state=0)
    >>> splitter.fit_transform(X, digit % 2).shape
    (1797, 10)
    >>> mixture = GaussianMixture(covariance_type="diag", reg_covar=1e-3)
    >>> splitter.set_params(estimator=mixture, reduce=8).fit(X, digit % 2).n_subclasses_
    array([5, 5])
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **PerClassSplitter._parameter_constraints,
        "estimator": [HasMethods(["fit", "fit_predict"]), None],
        "reduce": [
            Interval(Integral, 1, None, closed="left"),
            HasMethods(["fit", "fit_transform"]),
            None,
        ],
        "max_rows": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        estimator: BaseEstimator | None = None,
        *,
        n_subclasses: int | Mapping[Any, int] | str = "auto",
        subclass_temperature: float = 0.1,
        reduce: int | BaseEstimator | None = None,
        null_space: bool | str = "auto",
        max_rows: int | None = 5000,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.n_subclasses = n_subclasses
        self.subclass_temperature = subclass_temperature
        self.reduce = reduce
        self.null_space = null_space
        self.max_rows = max_rows
        self.random_state = random_state

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {"estimator": KMeans}

    def _fit_class(self, Z: NDArray, label: Any, n_subclasses: int, seed: int) -> ClassSplit:
        model = seeded_clone(self._or_default("estimator"), seed)
        counted = model.get_params(deep=False)
        for name in ("n_clusters", "n_components"):
            if counted.get(name) is not None:
                model.set_params(**{name: n_subclasses})
        reducer = self._reducer(Z, label, seed)
        keeps = reducer is None or hasattr(reducer, "transform")
        if not (keeps and hasattr(model, "predict")):
            Z = subsample(Z, self.max_rows, seed)
        reduced = Z if reducer is None else plain_rows(reducer.fit_transform(Z))
        labels = model.fit_predict(reduced)
        if not keeps:
            return CentroidSplit(Z, labels, n_subclasses)
        split: ClassSplit = (
            PosteriorSplit(model, n_subclasses)
            if hasattr(model, "predict_proba")
            else CentroidSplit(reduced, labels, n_subclasses)
        )
        return split if reducer is None else Reduced(reducer, split)

    def _reducer(self, Z: NDArray, label: Any, seed: int) -> Any:
        if self.reduce is None:
            return None
        if isinstance(self.reduce, Integral):
            if self.reduce > min(Z.shape):
                raise ValueError(
                    f"reduce={self.reduce} dimensions are more than the {min(Z.shape)} that class "
                    f"{label!r} has: {Z.shape[0]} rows of {Z.shape[1]} columns. Lower reduce, or "
                    "give small classes n_subclasses 1."
                )
            return PCA(self.reduce, random_state=seed)
        return seeded_clone(self.reduce, seed)
