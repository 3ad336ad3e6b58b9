"""LELP's pseudo-subclasses: linear projections of teacher embeddings, class by class."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from lelp_sklearn._checks import check_class_labels, check_magnitude, unchanged_on_error
from lelp_sklearn._compat import HasMethods, Interval, StrOptions, fit_context
from lelp_sklearn._tables import check_same_rows, check_same_series, in_class_order
from lelp_sklearn.outputs import check_proba
from lelp_sklearn.subclasses._base import FLOATS, one_class_message, subclass_counts
from lelp_sklearn.subclasses._cached_moments import cached_moments
from lelp_sklearn.subclasses._counts import auto_counts
from lelp_sklearn.subclasses._directions import class_directions, class_shortage
from lelp_sklearn.subclasses._moments import ClassMoments
from lelp_sklearn.subclasses._null_space import (
    NULL_SPACE_SKIPPED,
    NULL_SPACE_UNKNOWN,
    check_coef,
    complement,
    logit_basis,
)
from lelp_sklearn.subclasses._projection import ProjectionSplitter
from lelp_sklearn.subclasses._tensors import is_tensor, stand_in, tensor_moments, to_numpy


class LELPProjector(ProjectionSplitter):
    r"""Split each class into soft pseudo-subclasses along linear directions of its embeddings.

    For a class :math:`c` with embeddings of mean :math:`\mu_c`, directions :math:`v'_{c,s}` and
    scale :math:`r_c` (the root mean square of the projections over rows and directions),

    .. math::
        z_{c,s}(x) = \langle v'_{c,s}, h(x) - \mu_c \rangle / r_c, \qquad
        P(s \mid c, x) = \frac{\exp(z_{c,s}(x) / \beta)}{\sum_j \exp(z_{c,j}(x) / \beta)}.

    The fit needs one streaming pass for the count, mean and scatter of each class, and costs
    O(n D^2 + C D^3).

    Parameters
    ----------
    n_subclasses : int, mapping of label to int, or "auto", default="auto"
        Subclasses a class, S. A class with 1 is not split; where all are 1, a student learns as
        from KD, and its head has one logit a class. "auto" gives each class as many as the
        principal directions that explain 90 % of its variance without the null space (twice as
        many for "signed_pca"), from 2 to 24, with at least 10 rows a subclass; a class with fewer
        than 20 rows, or without variance, gets 1. So with many small classes "auto" is KD, and
        costs no more logits.
    subclass_temperature : float, default=0.3
        beta above 0. Low is sharp: near 0 each row falls into one subclass. As the projections are
        scaled to unit mean square, the number means the same for every teacher.
    directions : {"rotated", "pca", "signed_pca", "varimax", "random"}, default="rotated"
        "rotated" (the paper): the S principal directions mixed by a random rotation, drawn once a
        class. "pca": the principal directions themselves. "signed_pca": S / 2 principal
        directions, each with both signs (S even). "varimax": the S principal directions rotated so
        that each loads on few columns of the embeddings; the loadings follow from the moments, so
        parts still merge. "random": random orthonormal ones, a control.
    null_space : bool or "auto", default="auto"
        Whether to remove from the embeddings what the teacher's logits already say: the row space
        of its centred output weights. They are given to fit as ``teacher_coef``, or else recovered
        from ``teacher_proba`` by least squares. "auto" removes it where either is given and warns
        where neither is; True makes that an error. "auto" keeps embeddings of which the logits say
        all, as those of discriminant analysis. Needs D >= S + C - 1.
    random_state : int, RandomState or None, default=None
        Seed of the rotations and of random directions.
    memory : str or joblib.Memory, default=None
        Folder where the moments of rows are kept by the rows' content, C D^2 numbers each. A search
        over ``n_subclasses``, ``directions`` or ``subclass_temperature`` then takes the moments of
        each fold once. joblib keeps pickles: name a folder that only you write to.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class.
    means_ : ndarray of shape (C, D)
        Mean embedding of each class.
    components_ : ndarray of shape (sum of S_c, D)
        Directions v', class after class.
    scale_ : ndarray of shape (C,)
        r_c, in the embeddings' units.
    rotation_ : list of ndarray of shape (S_c, K_c)
        What mixed each class's K basis directions into its S directions.
    explained_variance_ratio_ : list of ndarray of shape (K_c,)
        Share of each class's variance along each basis direction.
    moments_ : ClassMoments
        Additive sums that all of the above follow from.

    Raises
    ------
    ValueError
        If a class has fewer rows than subclasses, or the same embedding in every row, if there is
        one class only, or if the embeddings have too few columns.

    See Also
    --------
    LELPStudentClassifier : A student trained on these subclasses.
    ICASplitter, ClusterSplitter : Independent directions; clusters.
    RandomSplitter, UniformSplitter, OracleSplitter : Controls.

    References
    ----------
    Loo, Iliopoulos, Hu and Vee (2024), Linear Projections of Teacher Embeddings for Few-Class
    Distillation, arXiv:2409.20449, sections 3.1 and 3.2. Centring and scale are this package's.

    Kaiser (1958), The varimax criterion for analytic rotation in factor analysis, Psychometrika 23.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import LELPProjector
    >>> X, digit = load_digits(return_X_y=True)
    >>> projector = LELPProjector(n_subclasses=3, null_space=False, random_state=0)
    >>> split = projector.fit(X, digit % 2).transform(X)
    >>> split.shape
    (1797, 6)
    >>> split.reshape(1797, 2, 3).sum(axis=2)[:2].round(6)
    array([[1., 1.],
           [1., 1.]])
    >>> projector.get_feature_names_out()[:4]
    array(['0_0', '0_1', '0_2', '1_0'], dtype=object)
    """

    moments_: ClassMoments

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_subclasses": [
            Interval(Integral, 1, None, closed="left"),
            Mapping,
            StrOptions({"auto"}),
        ],
        "subclass_temperature": [Interval(Real, 0, None, closed="neither")],
        "directions": [StrOptions({"rotated", "pca", "signed_pca", "varimax", "random"})],
        "null_space": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state"],
        "memory": [str, HasMethods(["cache"]), None],
    }

    def __init__(
        self,
        *,
        n_subclasses: int | Mapping[Any, int] | str = "auto",
        subclass_temperature: float = 0.3,
        directions: str = "rotated",
        null_space: bool | str = "auto",
        random_state: int | np.random.RandomState | None = None,
        memory: Any = None,
    ):
        self.n_subclasses = n_subclasses
        self.subclass_temperature = subclass_temperature
        self.directions = directions
        self.null_space = null_space
        self.random_state = random_state
        self.memory = memory

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        H: ArrayLike,
        y: ArrayLike,
        *,
        teacher_proba: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
    ) -> LELPProjector:
        """Find the directions of each class.

        Parameters
        ----------
        H : array-like of shape (n_rows, D)
            Teacher embeddings, float32 or float64; never copied whole. The products of a torch
            tensor are taken on its device.
        y : array-like of shape (n_rows,)
            Labels, or the teacher's predictions where labels are unknown.
        teacher_proba : array-like of shape (n_rows, C), optional
            Teacher probabilities, for ``null_space``.
        teacher_coef : array-like of shape (C, D) or (1, D), optional
            Output weights of the teacher's last layer, for ``null_space``.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            self._add_rows(H, y, teacher_proba, teacher_coef, first=True)
            self._find_directions()
            if self._problem:
                raise ValueError(self._problem)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        H: ArrayLike,
        y: ArrayLike,
        *,
        teacher_proba: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
    ) -> LELPProjector:
        """Add rows: in any split and any order they give what one fit gives.

        The directions are found anew in every call, O(C D^3), so prefer few large batches. While
        a class is short of rows there are none yet, and transform says which class.

        Parameters
        ----------
        H, y, teacher_proba, teacher_coef
            As in :meth:`fit`.

        Returns
        -------
        self
        """
        first = not hasattr(self, "moments_")
        with unchanged_on_error(self):
            self._add_rows(H, y, teacher_proba, teacher_coef, first=first)
            self._find_directions()
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def merge(self, other: LELPProjector) -> LELPProjector:
        """Add the rows that another part-fitted projector saw.

        Parameters
        ----------
        other : LELPProjector
            Fitted on other rows of the same teacher's embeddings; left as it is.

        Returns
        -------
        self
        """
        check_is_fitted(self, "moments_")
        check_is_fitted(other, "moments_")
        with unchanged_on_error(self):
            self.moments_ = self.moments_.merged(other.moments_)
            self._find_directions()
        return self

    def _add_rows(
        self,
        H: ArrayLike,
        y: ArrayLike,
        teacher_proba: ArrayLike | None,
        teacher_coef: ArrayLike | None,
        *,
        first: bool,
    ) -> None:
        # NaN and infinity show in the moments: a check of its own would read all rows once more.
        tensor = is_tensor(H)
        check_same_series(y, H, "y")
        check_same_rows(teacher_proba, H, "teacher_proba")
        y = None if y is None else check_class_labels(to_numpy(y))
        rows, labels = validate_data(
            self,
            stand_in(H) if tensor else H,
            y,
            dtype=FLOATS,
            ensure_all_finite=False,
            reset=first,
        )
        proba = None
        if teacher_proba is not None:
            seen = labels if first else np.concatenate([self.moments_.classes, labels])
            teacher_proba = in_class_order(
                teacher_proba, np.unique(seen), "teacher_proba", complete=False
            )
            proba = check_array(to_numpy(teacher_proba), dtype=FLOATS, input_name="teacher_proba")
            check_consistent_length(rows, proba)
            proba = check_proba(proba, "teacher_proba")
        if first:
            self._teacher_coef = check_coef(to_numpy(teacher_coef), self.n_features_in_)
            self._seed = check_random_state(self.random_state).randint(2**31 - 1)
        if tensor:
            added = tensor_moments(H, labels, proba)
        else:
            added = cached_moments(self.memory, rows, labels, proba)
        if not added.finite:
            assert_all_finite(to_numpy(H), estimator_name=type(self).__name__, input_name="X")
            raise ValueError(
                "the squares of the embeddings overflow their dtype: scale them, or pass float64."
            )
        check_magnitude(added.mean, "X")
        self.moments_ = added if first else self.moments_.merged(added)

    def _find_directions(self) -> None:
        """Find them, or keep what they lack; call it from a public method, for the warning."""
        V = logit_basis(self.moments_, self._teacher_coef) if self.null_space else None
        unknown = V is None
        if V is not None and self.null_space == "auto" and V.shape[1] >= self.n_features_in_:
            V = None  # of embeddings that are the logits, all is kept
        self._problem = self._shortage(V)
        if self._problem:
            return
        if unknown and self.null_space == "auto":
            warnings.warn(NULL_SPACE_SKIPPED, UserWarning, stacklevel=4)
        self._set_directions(None if V is None else complement(V))

    def _shortage(self, V: NDArray | None) -> str | None:
        """What keeps the directions from being found, in a sentence."""
        moments = self.moments_
        if len(moments.classes) < 2:
            return one_class_message(moments.classes, "LELPProjector")
        known = self._teacher_coef is not None or moments.n_proba is not None
        if self.null_space is True and not known:
            return NULL_SPACE_UNKNOWN
        n_left = self.n_features_in_ - (0 if V is None else V.shape[1])
        if not n_left:
            return (
                f"the embeddings have n_features={self.n_features_in_}, and the logits say all of "
                "it: nothing is left to split classes by. Set null_space=False."
            )
        if isinstance(self.n_subclasses, str):
            return None  # "auto" asks no class for more than it has
        counts = subclass_counts(self.n_subclasses, moments.classes)
        problems = (
            class_shortage(moments, c, count, self.directions, n_left)
            for c, count in enumerate(counts)
            if count > 1
        )
        return next((problem for problem in problems if problem), None)

    def _set_directions(self, outside: NDArray | None) -> None:
        """Sections 3.1 and 3.2 of the paper, from the moments alone."""
        moments = self.moments_
        self.classes_ = moments.classes
        self.n_subclasses_ = (
            auto_counts(moments, outside, self.directions)
            if isinstance(self.n_subclasses, str)
            else subclass_counts(self.n_subclasses, moments.classes)
        )
        found = [
            class_directions(
                moments.scatter[c] / moments.count[c],
                outside,
                count,
                self.directions,
                np.random.default_rng([self._seed, c]),
            )
            for c, count in enumerate(self.n_subclasses_)
        ]
        self.means_ = moments.mean.copy()
        self.components_ = np.concatenate([d.components for d in found])
        self.scale_ = np.array([d.scale for d in found])
        self.rotation_ = [d.rotation for d in found]
        self.explained_variance_ratio_ = [d.explained_variance_ratio for d in found]
