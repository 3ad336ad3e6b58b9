"""Dense numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data
from torch import Tensor

from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._base import Inputs, refuse_texts
from lelp_sklearn.inputs._columns import is_frame, not_numbers


class ArrayInputs(Inputs):
    """Dense columns of numbers, as float32: what a body reads that names nothing else.

    See Also
    --------
    SparseInputs : Sparse matrices.
    TableInputs : Data frames of numbers, categories and dates.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn import StudentClassifier
    >>> from lelp_sklearn.inputs import ArrayInputs
    >>> X, student = np.eye(3), StudentClassifier()
    >>> inputs = ArrayInputs()
    >>> inputs.read(inputs.check(student, X, reset=True)).dtype
    torch.float32
    """

    def check(self, student: Any, X: Any, *, reset: bool) -> NDArray:
        """Rows as a float32 array; see :class:`Inputs`."""
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
            # What float32 cannot hold is infinite, and refused.
            with np.errstate(over="ignore", invalid="ignore"):
                return validate_data(student, X, dtype=np.float32, order="C", reset=reset)
        except (TypeError, ValueError) as error:
            refuse_texts(X, error)
            if not (is_frame(X) and (others := not_numbers(X))):
                raise
            raise TypeError(
                f"the body reads numbers, and these columns hold none: {others}. Use "
                "module=TabularMLP, which embeds categories and reads dates, or put a "
                "ColumnTransformer before the student."
            ) from error

    def read(self, X: NDArray) -> Tensor:
        """Return the same memory as a tensor."""
        return as_tensor(X)

    def matrix(self, X: NDArray) -> NDArray:
        """Return the rows themselves."""
        return X

    def example(self, student: Any) -> Tensor:
        """Two rows of zeros."""
        return torch.zeros(2, student.n_features_in_)


def _is_ready(X: Any, student: Any) -> bool:
    """Whether it is a plain array, of the width seen in fit, that can be read as it lies."""
    is_plain = type(X) is np.ndarray and X.dtype == np.float32 and X.ndim == 2
    nameless = not hasattr(student, "feature_names_in_")
    return (
        is_plain
        and nameless
        and len(X) > 0
        and X.flags.c_contiguous
        and X.shape[1] == student.n_features_in_
    )
