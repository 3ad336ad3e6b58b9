"""What every way of making new rows has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from lelp_sklearn._checks import check_class_labels, unchanged_on_error
from lelp_sklearn._rows import n_rows


class Augmenter(BaseEstimator, ABC):
    """Makes new rows from given ones, in the same container, for a teacher to label.

    An augmenter is a scikit-learn parameter object with :meth:`fit` and :meth:`sample`. One of your
    own implements :meth:`draw`, and :meth:`learn` where there is something to learn once.

    Parameters
    ----------
    random_state : int, RandomState or None, default=None
        Seed of the rows: with an int, every ``sample`` of as many rows gives the same.

    Attributes
    ----------
    X_ : array-like
        The rows of fit.

    See Also
    --------
    DistilledClassifier : Takes one as ``augment``.
    Mixup, Munge, Resample, Smote, VAEAugmenter, GANAugmenter : For tables of numbers or more.
    WordAugmenter : For texts.

    Examples
    --------
    >>> from lelp_sklearn import Augmenter
    >>> class Noisy(Augmenter):
    ...     def draw(self, n_samples, rng):
    ...         rows = self.X_[rng.randint(len(self.X_), size=n_samples)]
    ...         return rows + 0.1 * rng.standard_normal(rows.shape)
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> Noisy(random_state=0).fit(X).sample(10).shape
    (10, 4)
    """

    _parameter_constraints: dict = {"random_state": ["random_state"]}  # noqa: RUF012

    def __init__(self, *, random_state: int | np.random.RandomState | None = None):
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike | None = None) -> Augmenter:
        """Take the rows that new ones are made from.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Rows.
        y : array-like of shape (n_rows,), optional
            Labels, for those that make rows of a class.

        Returns
        -------
        self
        """
        self._validate_params()
        if n_rows(X) == 0:
            raise ValueError("X has 0 rows; expected at least one to make new rows from.")
        if y is not None:
            y = check_class_labels(y)
            if len(y) != n_rows(X):
                raise ValueError(f"y has {len(y)} labels and X has {n_rows(X)} rows: one a row.")
        with unchanged_on_error(self):
            self.X_ = X
            self.learn(X, y)
        return self

    def sample(self, n_samples: int) -> Any:
        """New rows.

        Parameters
        ----------
        n_samples : int
            How many.

        Returns
        -------
        X_new : array-like of shape (n_samples, ...)
            In the container, and with the dtypes, of the rows of fit.
        """
        check_is_fitted(self, "X_")
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        return self.draw(int(n_samples), check_random_state(self.random_state))

    def learn(self, X: Any, y: NDArray | None) -> None:
        """Check the rows, which are ``self.X_`` too, and learn from them what ``draw`` needs.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Rows.
        y : ndarray of shape (n_rows,) or None
            Labels.
        """

    @abstractmethod
    def draw(self, n_samples: int, rng: np.random.RandomState) -> Any:
        """Make new rows; the only source of chance is ``rng``.

        Parameters
        ----------
        n_samples : int
            How many, at least 1.
        rng : RandomState
            Random numbers.

        Returns
        -------
        X_new : array-like of shape (n_samples, ...)
        """


def in_turns(n: int, n_samples: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Row numbers below n in random order, each before any comes again."""
    rounds = -(-n_samples // n)
    return np.concatenate([rng.permutation(n) for _ in range(rounds)])[:n_samples]
