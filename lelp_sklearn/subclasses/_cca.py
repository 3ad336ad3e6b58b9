"""Subclasses that a given student can see, by canonical correlation with its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array

from lelp_sklearn._checks import check_magnitude, unchanged_on_error
from lelp_sklearn._compat import HasMethods, Interval, fit_context
from lelp_sklearn._rows import n_rows, plain_rows
from lelp_sklearn._tables import check_same_rows
from lelp_sklearn.subclasses._base import FLOATS
from lelp_sklearn.subclasses._centroids import CentroidSplit
from lelp_sklearn.subclasses._per_class import ClassSplit, PerClassSplitter, seeded_clone


class CCASplitter(PerClassSplitter):
    r"""Split each class along what the student's inputs say of the teacher's embeddings.

    Other splitters look at the embeddings alone, and may find subclasses that a small student
    cannot tell apart. This one is told the student's inputs. Within each class, embeddings
    :math:`h` (standardised on the training rows) and inputs :math:`v` are centred on the class's
    means, and canonical correlation finds directions :math:`a_k, b_k` with

    .. math::
        \rho_k = a_k^\top C_{hv} b_k \text{ greatest}, \qquad
        a_k^\top (C_{hh} + \gamma \bar{c}_h I) a_k = b_k^\top (C_{vv} + \gamma \bar{c}_v I) b_k = 1,

    :math:`\bar{c}` being a side's mean variance and :math:`\gamma` the ``regularization``, each
    direction uncorrelated with those before it. Rows are clustered by k-means in the coordinates
    :math:`\rho_k \, a_k^\top (h - \mu_c)`, k to S, in which a direction counts as much as the
    inputs say of it, and split by their distances to the centroids :math:`m_{c,s}` as in
    :class:`ClusterSplitter`. The inputs are needed in fit only.

    Parameters
    ----------
    n_subclasses : int, mapping of label to int, or "auto", default="auto"
        Subclasses a class, S. A class with 1 is not split. "auto" is the rule of
        :class:`LELPProjector`, on the standardised embeddings.
    subclass_temperature : float, default=0.1
        beta above 0, a pure number, of the distances' soft-max; low is sharp.
    regularization : float, default=0.1
        gamma of at least 0: what is added to each side's variances, as a share of their mean. 0 is
        plain canonical correlation, which in a class of fewer rows than columns is 1 by chance.
    view : transformer or None, default=None
        What is correlated instead of the inputs themselves: cloned, fitted to inputs and labels,
        and asked to transform the inputs. ``Nystroem()`` lets directions bend;
        ``StudentClassifier(MLP, objective=CrossEntropy(), max_epochs=3)`` gives what such a student
        has learned early on. The view may read any rows that its fit does.
    max_features : int, default=256
        Wider inputs (or views) are reduced to so many columns by
        :class:`~sklearn.decomposition.TruncatedSVD`.
    null_space : bool or "auto", default="auto"
        Whether to remove from the embeddings what the teacher's logits already say; see
        :class:`LELPProjector`.
    random_state : int, RandomState or None, default=None
        Seed of k-means and of the reduction, and of the view where it has none.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class.
    correlations_ : list of ndarray of shape (K_c,)
        rho of each class's directions, from 0 to 1, falling: S of them, or as many as embeddings
        and inputs have columns. Empty for a class that is not split.

    Raises
    ------
    ValueError
        If ``student_inputs`` are missing, not numbers, of another length, or equal in all rows of a
        class; if a class has fewer rows than subclasses, or the same embedding in every row; or if
        there is one class only.

    See Also
    --------
    ClusterSplitter : Clusters of the embeddings, whoever the student is.
    compare_splitters : Gives the inputs to splitters that take them.

    Notes
    -----
    The inputs are taken in their own units, as the student takes them: scale them for both.

    References
    ----------
    Hotelling (1936), Relations between two sets of variates, Biometrika 28. Vinod (1976), Canonical
    ridge and econometrics of joint production, Journal of Econometrics 4: the regularisation.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import CCASplitter
    >>> X, digit = load_digits(return_X_y=True)
    >>> H = LinearDiscriminantAnalysis().fit_transform(X, digit)
    >>> splitter = CCASplitter(n_subclasses=5, null_space=False, random_state=0)
    >>> splitter.fit(H, digit % 2, student_inputs=X[:, :32]).transform(H).shape
    (1797, 10)
    >>> splitter.correlations_[0].round(1)
    array([0.9, 0.9, 0.9, 0.8, 0.7])
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **PerClassSplitter._parameter_constraints,
        "regularization": [Interval(Real, 0, None, closed="left")],
        "view": [HasMethods(["fit", "transform"]), None],
        "max_features": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_subclasses: int | Mapping[Any, int] | str = "auto",
        subclass_temperature: float = 0.1,
        regularization: float = 0.1,
        view: BaseEstimator | None = None,
        max_features: int = 256,
        null_space: bool | str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_subclasses = n_subclasses
        self.subclass_temperature = subclass_temperature
        self.regularization = regularization
        self.view = view
        self.max_features = max_features
        self.null_space = null_space
        self.random_state = random_state

    @property
    def correlations_(self) -> list[NDArray]:
        """Canonical correlations of each class's directions."""
        return [getattr(split, "correlations", np.empty(0)) for split in self._splits]

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        H: ArrayLike,
        y: ArrayLike,
        *,
        student_inputs: Any = None,
        teacher_proba: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
    ) -> CCASplitter:
        """Find the subclasses of each class.

        Parameters
        ----------
        H : array-like of shape (n_rows, D)
            Teacher embeddings.
        y : array-like of shape (n_rows,)
            Labels, or the teacher's predictions where labels are unknown.
        student_inputs : array-like or sparse matrix of shape (n_rows, n_inputs)
            What the student reads of the same rows; with a ``view``, anything that it reads.
            Required: the default only says so.
        teacher_proba : array-like of shape (n_rows, C), optional
            Teacher probabilities, for ``null_space``.
        teacher_coef : array-like of shape (C, D) or (1, D), optional
            Output weights of the teacher's last layer, for ``null_space``.

        Returns
        -------
        self
        """

        def fit_class(Z: NDArray, own: NDArray, label: Any, count: int, seed: int) -> ClassSplit:
            inputs = seen[own].astype(np.float64, copy=False)
            if np.ptp(inputs, axis=0).max() <= 1e-6 * np.abs(inputs).max():
                raise ValueError(
                    f"class {label!r} has the same student_inputs in all of its {len(inputs)} "
                    "rows, so they say nothing of its subclasses: check them, or give it "
                    "n_subclasses 1."
                )
            return CanonicalSplit(Z, inputs, count, self.regularization, seed)

        with unchanged_on_error(self):
            rows, labels = self._check_rows(H, y)
            check_same_rows(teacher_proba, H, "teacher_proba")
            seen = self._seen(student_inputs, labels)
            self._fit_classes(rows, labels, teacher_proba, teacher_coef, fit_class)
        return self

    def _seen(self, student_inputs: Any, labels: NDArray) -> NDArray:
        """The inputs, or what the view makes of them, dense and of at most max_features columns."""
        if student_inputs is None:
            raise ValueError(
                "CCASplitter needs what the student reads: pass fit(H, y, student_inputs=X). "
                "LELPStudentClassifier does so by itself where its inputs are a table; for texts, "
                "fit the splitter with a view, and give the student a FrozenEstimator of it."
            )
        if n_rows(student_inputs) != len(labels):
            raise ValueError(
                f"student_inputs has {n_rows(student_inputs)} rows; expected {len(labels)}, one "
                "for each embedding."
            )
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        seen = student_inputs
        if self.view is not None:
            seen = plain_rows(
                seeded_clone(self.view, seed).fit(student_inputs, labels).transform(seen)
            )
        try:
            seen = check_array(
                seen, accept_sparse=["csr", "csc"], dtype=FLOATS, input_name="student_inputs"
            )
        except (TypeError, ValueError) as error:
            hint = (
                "student_inputs must be a table of finite numbers: set view to a transformer that "
                "makes one of them"
                if self.view is None
                else f"view {type(self.view).__name__} must give a table of finite numbers"
            )
            raise ValueError(f"{hint}. {error}") from error
        check_magnitude(seen.data if sparse.issparse(seen) else seen, "student_inputs")
        if seen.shape[1] > self.max_features:
            n_components = min(self.max_features, len(labels))
            svd = TruncatedSVD(n_components, random_state=seed)
            return svd.set_output(transform="default").fit_transform(seen)
        return seen.toarray() if sparse.issparse(seen) else seen


class CanonicalSplit:
    """Clusters of one class's rows, in canonical variates times their correlations.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, D)
        Embeddings.
    seen : ndarray of shape (n_rows, n_inputs)
        Inputs.
    n_subclasses : int
        Clusters at most, and directions at most.
    regularization : float
        As in :class:`CCASplitter`.
    seed : int
        Seed of k-means.
    """

    def __init__(
        self, Z: NDArray, seen: NDArray, n_subclasses: int, regularization: float, seed: int
    ):
        directions, rho = canonical_directions(Z, seen, regularization)
        self.correlations = rho[:n_subclasses]
        self.weight = directions[:, :n_subclasses] * self.correlations
        self.offset = Z.mean(axis=0) @ self.weight
        rows = self.coordinates(Z)
        labels = KMeans(n_subclasses, n_init=4, random_state=seed).fit_predict(rows)
        self.clusters = CentroidSplit(rows, labels, n_subclasses)
        self.n_subclasses = self.clusters.n_subclasses

    def coordinates(self, Z: NDArray) -> NDArray:
        """Canonical variates times their correlations, shape (n, n_directions)."""
        return Z @ self.weight - self.offset

    def log_proba(self, Z: NDArray) -> NDArray:
        """Minus squared distances to the centroids, in units of the class's own."""
        return self.clusters.log_proba(self.coordinates(Z))


def canonical_directions(
    Z: NDArray, seen: NDArray, regularization: float
) -> tuple[NDArray, NDArray]:
    """Directions (D, K) of Z and their correlations (K,) with ``seen``, the greatest first.

    K is the smaller number of columns. A direction without variance has correlation 0.
    """
    Zc, Vc = Z - Z.mean(axis=0), seen - seen.mean(axis=0)
    white_Z, white_V = (_whitening(part.T @ part / len(Z), regularization) for part in (Zc, Vc))
    U, rho, _ = np.linalg.svd(white_Z.T @ (Zc.T @ Vc / len(Z)) @ white_V, full_matrices=False)
    return white_Z @ U, np.minimum(rho, 1.0)


def _whitening(covariance: NDArray, regularization: float) -> NDArray:
    """W with W' (covariance + ridge) W = 1 where there is variance, and 0 where there is none."""
    variance, vectors = np.linalg.eigh(covariance)
    known = variance > 1e-10 * variance.max()
    variance = variance + regularization * np.maximum(variance, 0).mean()
    return vectors * np.where(known, 1 / np.sqrt(np.where(known, variance, 1.0)), 0.0)
