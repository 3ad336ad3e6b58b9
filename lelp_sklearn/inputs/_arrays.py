"""Dense numbers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data
from torch import Tensor

from lelp_sklearn._checks import check_reach
from lelp_sklearn._compat import StrOptions
from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._base import Inputs, refuse_texts
from lelp_sklearn.inputs._columns import is_frame, not_numbers
from lelp_sklearn.inputs._moments import Moments, chunks

_READY = (np.dtype(np.float32), np.dtype(np.float64))
# Kept as they are until they are standardised; the first is what all others become.
_KEPT = [np.float64, np.float32, np.float16, np.bool_] + [
    np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)
]
_EXACT = 2**24  # whole numbers up to here are float32s
_APART = 2**23  # multiples of its scale that a float32 can lie from 0 and still move by that scale


class ArrayInputs(Inputs):
    """Dense columns of numbers, standardised: what a body reads that names nothing else.

    A column's mean and standard deviation are learnt in float64 from the rows that are trained on,
    unlabelled ones among them where a teacher speaks, each of which counts alike; what is left
    after subtraction and division is float32. Integers beyond 2^24, offsets of 1e8 and columns of
    any unit thus reach the body alike. A column that is constant in training is only shifted.

    A student's ``partial_fit`` goes on learning both from every call, so that a small first call
    does not fix them; ``warm_start`` keeps those of the first fit. They are saved and exported with
    the student.

    Parameters
    ----------
    standardize : bool or "auto", default=True
        Whether columns are standardised. False hands the numbers on as float32, for a body that
        reads codes from them or has a scaling of its own. "auto", which a student takes for a
        module that names no inputs in ``reads``, does so for arrays of integers or booleans up to
        2^24, which may be codes that the module looks up, and standardises all others.

    Attributes
    ----------
    standardized_ : bool
        Whether they are; without, there is nothing else.
    mean_, std_ : ndarray of shape (n_features,), float64
        Of the training rows.
    scale_ : ndarray of shape (n_features,), float64
        What is divided by: ``std_``, or 1 where a column is constant.
    n_samples_seen_ : int
        Rows that they are of.

    Raises
    ------
    ValueError
        If numbers are missing or infinite, or so far from those in fit that float32 overflows.
    TypeError
        If columns hold something else than numbers; strings that spell numbers are read as these.

    Warns
    -----
    UserWarning
        Without ``standardize``, if float32 cannot hold the values of a column apart.

    See Also
    --------
    SparseInputs : Sparse matrices, which are not standardised.
    TableInputs : Data frames of numbers, categories and dates.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn import StudentClassifier
    >>> from lelp_sklearn.inputs import ArrayInputs
    >>> X = np.array([[10_000_000_001, 5.0], [10_000_000_003, 5.0]])
    >>> inputs = ArrayInputs()
    >>> X = inputs.check(StudentClassifier(), X, reset=True)
    >>> inputs.fit(X).read(X)
    tensor([[-1.,  0.],
            [ 1.,  0.]])
    """

    _parameter_constraints: dict = {"standardize": ["boolean", StrOptions({"auto"})]}  # noqa: RUF012

    def __init__(self, *, standardize: bool | str = True):
        self.standardize = standardize

    def check(self, student: Any, X: Any, *, reset: bool) -> NDArray:
        """Rows as an array of numbers, of their own type; see :class:`Inputs`."""
        if not reset and _is_ready(X, student):
            # All that scikit-learn would look at, without its quarter of a millisecond.
            with np.errstate(over="ignore", invalid="ignore"):
                total = X.sum()
            if not np.isfinite(total):
                assert_all_finite(X, estimator_name=type(student).__name__, input_name="X")
            return X
        if sparse.issparse(X):
            raise TypeError(
                f"X is sparse, of shape {X.shape}, and the body reads dense rows: use "
                "module=BagOfNgrams, which reads CSR, or X.toarray() where that fits into memory."
            )
        if isinstance(X, np.ndarray) and X.dtype.kind in "mM":
            raise TypeError(f"X holds dates or times ({X.dtype}): expected numbers.")
        try:
            # What float64 cannot hold is infinite, and refused.
            with np.errstate(over="ignore", invalid="ignore"):
                return validate_data(student, X, dtype=_KEPT, reset=reset)
        except (TypeError, ValueError) as error:
            refuse_texts(X, error)
            if not (is_frame(X) and (others := not_numbers(X))):
                raise
            raise TypeError(
                f"the body reads numbers, and these columns hold none: {others}. Use "
                "module=TabularMLP, which embeds categories and reads dates, or put a "
                "ColumnTransformer before the student."
            ) from error

    def fit(self, X: NDArray) -> ArrayInputs:
        """Learn the mean and the standard deviation of each column.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows from :meth:`check`.

        Returns
        -------
        self
        """
        self._validate_params()
        self.standardized_ = bool(self.standardize)
        if self.standardize == "auto" and X.dtype.kind in "biu":
            self.standardized_ = bool(X.max() > _EXACT or X.min() < -_EXACT)
        if self.standardized_:
            self._learn(Moments.of(X))
        elif X.dtype.itemsize > 4:
            _warn_of_rounding(Moments.of(X))
        return self

    def partial_fit(self, X: NDArray) -> ArrayInputs:
        """Go on learning both from further rows.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows from :meth:`check`.

        Returns
        -------
        self
        """
        if not hasattr(self, "standardized_"):
            return self.fit(X)
        if not self.standardized_:
            return self
        known = Moments(self.n_samples_seen_, self.mean_, self.std_)
        self._learn(known.then(Moments.of(X)))
        return self

    def read(self, X: NDArray) -> Tensor:
        """Standardised rows, float32; as they are before :meth:`fit`."""
        return as_tensor(self.matrix(X))

    def matrix(self, X: NDArray) -> NDArray:
        """Return what :meth:`read` does, as an array."""
        if not hasattr(self, "mean_"):
            with np.errstate(over="ignore", invalid="ignore"):
                rows = X.astype(np.float32, order="C", copy=False)
                if rows is not X:
                    assert_all_finite(rows, input_name="X")  # it may be too large for float32
            return rows
        rows = np.empty(X.shape, np.float32)
        exact: NDArray | None = None
        factor = 1 / self.scale_  # to multiply by takes a third of the time of a division
        with np.errstate(over="ignore"):
            for part in chunks(X):
                some = X[part]
                if exact is None or len(exact) != len(some):
                    exact = np.empty(some.shape)  # float64, used again by the next rows
                np.subtract(some, self.mean_, out=exact)
                exact *= factor
                rows[part] = exact
                check_reach(rows[part], part.start)
        return rows

    def example(self, student: Any) -> Tensor:
        """Two rows of zeros."""
        return torch.zeros(2, student.n_features_in_)

    @property
    def needs_float64(self) -> bool:
        """Whether the columns, as float32 holds them, are off by a thousandth of their scale."""
        if not hasattr(self, "mean_"):
            return False
        off = self.largest_offset * float(np.finfo(np.float32).eps)
        return off > 1e-3 or bool((self.scale_ < 1e-30).any() or (self.scale_ > 1e30).any())

    @property
    def largest_offset(self) -> float:
        """How many of its scales a column's mean lies from 0, at most."""
        return float((np.abs(self.mean_) / self.scale_).max())

    def _learn(self, moments: Moments) -> None:
        finite = np.isfinite(moments.mean) & np.isfinite(moments.std)
        if not finite.all():
            raise ValueError(
                f"column {int(finite.argmin())} of X holds NaN, infinity or numbers whose "
                "differences overflow float64: leave such rows out, or scale the column."
            )
        self.n_samples_seen_ = moments.n
        self.mean_, self.std_, self.scale_ = moments.mean, moments.std, moments.scale


def inputs_of(module: Any) -> Inputs:
    """What reads the rows for a student's module: what it names in ``reads``, or dense numbers."""
    if hasattr(module, "reads"):
        return module.reads()
    return ArrayInputs(standardize=True if module is None else "auto")


def _is_ready(X: Any, student: Any) -> bool:
    """Whether it is a plain array, of the width seen in fit, that can be read as it lies."""
    is_plain = type(X) is np.ndarray and X.dtype in _READY and X.ndim == 2
    nameless = not hasattr(student, "feature_names_in_")
    return is_plain and nameless and len(X) > 0 and X.shape[1] == student.n_features_in_


def _warn_of_rounding(moments: Moments) -> None:
    lost = np.flatnonzero((moments.std > 0) & (np.abs(moments.mean) > _APART * moments.std))
    if len(lost):
        warnings.warn(
            f"with standardize=False, float32 cannot hold apart the values of the columns "
            f"{lost.tolist()}, which lie too far from 0 for how little they differ: subtract their "
            "means, or use ArrayInputs(standardize=True).",
            UserWarning,
            stacklevel=6,
        )
