"""Several splits of the same classes at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from lelp_sklearn._checks import unchanged_on_error
from lelp_sklearn._compat import BaseComposition, fit_context
from lelp_sklearn._rows import plain_rows
from lelp_sklearn._tables import check_same_rows
from lelp_sklearn.subclasses._base import SubclassSplitter


class EnsembleSplitter(SubclassSplitter, BaseComposition):
    r"""Split each class in several ways side by side: an even mixture of M splitters.

    A class's block holds the subclasses of every splitter, one splitter after the other, as if each
    row were drawn to one splitter by chance and then to one of its subclasses:

    .. math::
        P(m, s \mid c, x) = P_m(s \mid c, x) / M.

    So each splitter's part of a block sums to 1 / M. A student has as many logits a class as all
    splitters together, and its one divergence on them is the mean of the splitters' own, plus how
    far its mixture is from even: no splitter has to be right alone.

    Parameters
    ----------
    splitters : list of (str, SubclassSplitter)
        Named splitters, cloned. Parameters go by name: ``lelp__n_subclasses``.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class, of all splitters together.
    splitters_ : list of SubclassSplitter
        The fitted splitters.

    See Also
    --------
    LELPProjector : A splitter to put in.
    compare_splitters : Splitters against one another.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import EnsembleSplitter, LELPProjector
    >>> X, digit = load_digits(return_X_y=True)
    >>> members = [
    ...     (kind, LELPProjector(n_subclasses=2, directions=kind, null_space=False))
    ...     for kind in ("pca", "signed_pca")
    ... ]
    >>> split = EnsembleSplitter(members).fit_transform(X, digit % 2)
    >>> split.shape
    (1797, 8)
    >>> split[:2, :4].reshape(2, 2, 2).sum(axis=2).round(6)
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """

    _parameter_constraints: dict = {"splitters": [list]}  # noqa: RUF012

    def __init__(self, splitters: list[tuple[str, SubclassSplitter]]):
        self.splitters = splitters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this estimator; the splitters and theirs by name.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the splitters and their parameters.

        Returns
        -------
        params : dict of str to any
        """
        return self._get_params("splitters", deep=deep)

    def set_params(self, **params: Any) -> EnsembleSplitter:
        """Set parameters; a splitter can be replaced by its name.

        Parameters
        ----------
        **params : dict
            Parameters.

        Returns
        -------
        self
        """
        self._set_params("splitters", **params)
        return self

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        H: ArrayLike,
        y: ArrayLike,
        *,
        student_inputs: Any = None,
        teacher_proba: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
    ) -> EnsembleSplitter:
        """Fit each splitter.

        Parameters
        ----------
        H : array-like of shape (n_rows, D)
            Teacher embeddings.
        y : array-like of shape (n_rows,)
            Labels.
        student_inputs : array-like or sparse matrix of n_rows rows, optional
            For the splitters that take them, as in :meth:`CCASplitter.fit`.
        teacher_proba, teacher_coef : array-like, optional
            For the splitters that take them, as in :meth:`LELPProjector.fit`.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            rows, labels = self._check_fit(H, y)
            check_same_rows(teacher_proba, H, "teacher_proba")
            if not self.splitters:
                raise ValueError("splitters is empty; expected a list of (name, splitter).")
            self._validate_names([name for name, _ in self.splitters])
            said = {
                "student_inputs": student_inputs,
                "teacher_proba": teacher_proba,
                "teacher_coef": teacher_coef,
            }
            fitted = []
            for _, splitter in self.splitters:
                extra = {name: v for name, v in said.items() if has_fit_parameter(splitter, name)}
                fitted.append(clone(splitter).fit(rows, labels, **extra))
            self.splitters_ = fitted
            self.classes_ = self.splitters_[0].classes_
            self.n_subclasses_ = np.sum([s.n_subclasses_ for s in self.splitters_], axis=0)
        return self

    def _scores(self, H: NDArray) -> NDArray:
        blocks: list[list[NDArray]] = []
        with np.errstate(divide="ignore"):  # a subclass that is ruled out stays so
            for splitter in self.splitters_:
                stops = np.cumsum(splitter.n_subclasses_)[:-1]
                blocks.append(np.split(np.log(plain_rows(splitter.transform(H))), stops, axis=1))
        return np.concatenate(
            [part for block in zip(*blocks, strict=True) for part in block], axis=1
        )
