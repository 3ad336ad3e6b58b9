"""Subclasses along the independent components of a class."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from lelp_sklearn._compat import Interval
from lelp_sklearn.subclasses._base import too_few_columns_message
from lelp_sklearn.subclasses._per_class import ClassSplit, PerClassSplitter


class ICASplitter(PerClassSplitter):
    r"""Split each class into soft subclasses along its independent components.

    As :class:`LELPProjector`, with the class's S leading principal directions of standardised
    embeddings turned by FastICA instead of at random: towards the directions whose projections are
    furthest from normal, as those of a class with hidden groups or outliers are. With sources
    :math:`z_{c,s}` of unit variance,

    .. math::
        P(s \mid c, x) \propto \exp(z_{c,s}(x) / \beta).

    A source points to its heavier tail. It needs the rows, not only their moments, so there is no
    ``partial_fit``; for rotations from moments see ``LELPProjector(directions="varimax")``.

    Parameters
    ----------
    n_subclasses : int, mapping of label to int, or "auto", default="auto"
        Subclasses a class, S. A class with 1 is not split. "auto" is the rule of
        :class:`LELPProjector`, on the standardised embeddings.
    subclass_temperature : float, default=0.3
        beta above 0; low is sharp.
    max_iter : int, default=1000
        Iterations of FastICA at most. Where they do not suffice, one warning a class says so, and
        the last rotation is taken: a class whose projections are all near normal settles on none.
    null_space : bool or "auto", default="auto"
        Whether to remove from the embeddings what the teacher's logits already say; see
        :class:`LELPProjector`.
    random_state : int, RandomState or None, default=None
        Seed of FastICA's start.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class.
    converged_ : ndarray of bool of shape (C,)
        Whether FastICA settled; True for a class that is not split.
    n_iter_ : int
        Iterations of FastICA, in the class that took most.

    Raises
    ------
    ValueError
        If a class has fewer rows than subclasses, or the same embedding in every row, if there is
        one class only, or if the embeddings have too few columns.

    See Also
    --------
    LELPProjector : Principal directions, turned at random or by varimax.

    References
    ----------
    Hyvarinen and Oja (2000), Independent component analysis: algorithms and applications, Neural
    Networks 13.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import ICASplitter
    >>> X, digit = load_digits(return_X_y=True)
    >>> splitter = ICASplitter(n_subclasses=3, null_space=False, random_state=0)
    >>> splitter.fit_transform(X, digit % 2).shape
    (1797, 6)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **PerClassSplitter._parameter_constraints,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_subclasses: int | Mapping[Any, int] | str = "auto",
        subclass_temperature: float = 0.3,
        max_iter: int = 1000,
        null_space: bool | str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_subclasses = n_subclasses
        self.subclass_temperature = subclass_temperature
        self.max_iter = max_iter
        self.null_space = null_space
        self.random_state = random_state

    @property
    def n_iter_(self) -> int:
        """Iterations of FastICA, in the class that took most; 0 where no class is split."""
        return max(getattr(split, "n_iter", 0) for split in self._splits)

    @property
    def converged_(self) -> NDArray[np.bool_]:
        """Whether FastICA settled, for each class."""
        return np.array([getattr(split, "converged", True) for split in self._splits])

    def _fit_class(self, Z: NDArray, label: Any, n_subclasses: int, seed: int) -> ClassSplit:
        if n_subclasses > Z.shape[1]:
            left = f"n_features={self.n_features_in_}, of which {Z.shape[1]} can be used"
            raise ValueError(too_few_columns_message(label, n_subclasses, n_subclasses, left))
        ica = FastICA(
            n_subclasses, whiten="unit-variance", max_iter=self.max_iter, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said below, with the class
            sources = ica.set_output(transform="default").fit_transform(Z)
        converged = ica.n_iter_ < self.max_iter
        if not converged:
            warnings.warn(
                f"class {label!r}: FastICA did not settle in max_iter={self.max_iter} iterations, "
                "and the last rotation is taken. Raise max_iter, or ignore this if the class has "
                "no independent components; LELPProjector needs none.",
                ConvergenceWarning,
                stacklevel=6,
            )
        heavier = np.where((sources**3).mean(axis=0) < 0, -1.0, 1.0)
        return LinearSplit(ica.mean_, ica.components_ * heavier[:, None], ica.n_iter_, converged)


class LinearSplit:
    """Projections of rows minus a mean, found in so many iterations."""

    def __init__(self, mean: NDArray, components: NDArray, n_iter: int, converged: bool):
        self.components = components
        self.offset = self.components @ mean
        self.n_subclasses = len(components)
        self.n_iter = n_iter
        self.converged = converged

    def log_proba(self, Z: NDArray) -> NDArray:
        """The projections, shape (n, n_subclasses)."""
        return Z @ self.components.T - self.offset
