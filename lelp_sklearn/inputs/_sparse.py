"""Sparse matrices, never made dense."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import InputTags, assert_all_finite
from sklearn.utils.validation import validate_data

from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._bags import Bags
from lelp_sklearn.inputs._base import Inputs, refuse_texts

_FLOATS = (np.float32, np.float64)


class SparseInputs(Inputs):
    """Sparse rows as bags of weighted column numbers, in the memory of the CSR matrix.

    Values are float32: others are converted, which copies them once, but not their places. A dense
    array is made sparse.

    See Also
    --------
    BagOfNgrams : The body that reads them.

    Examples
    --------
    >>> from scipy import sparse
    >>> from lelp_sklearn import StudentClassifier
    >>> from lelp_sklearn.inputs import SparseInputs
    >>> X = sparse.csr_array([[0, 2.0, 1.0], [0, 0, 0]])
    >>> inputs = SparseInputs()
    >>> inputs.read(inputs.check(StudentClassifier(), X, reset=True)).lengths
    tensor([2, 0], dtype=torch.int32)
    """

    def check(self, student: Any, X: Any, *, reset: bool) -> sparse.csr_array:
        """Rows in CSR form; see :class:`Inputs`."""
        if sparse.issparse(X) and X.format == "csr" and X.dtype in _FLOATS and min(X.shape) > 0:
            # What scikit-learn's own checks would look at, without their fifth of a millisecond.
            assert_all_finite(X.data, input_name="X")
            known = not reset and not hasattr(student, "feature_names_in_")
            if known and X.shape[1] == student.n_features_in_:
                return X
            return validate_data(student, X, skip_check_array=True, reset=reset)
        try:
            X = validate_data(student, X, accept_sparse="csr", dtype=_FLOATS, reset=reset)
        except (TypeError, ValueError) as error:
            refuse_texts(X, error)
            raise
        return X if sparse.issparse(X) else sparse.csr_array(X)

    def read(self, X: sparse.csr_array) -> Bags:
        """Return the matrix's own memory as bags."""
        values = X.data
        if values.dtype != np.float32:
            with np.errstate(over="ignore"):
                values = values.astype(np.float32)
            large = np.flatnonzero(np.isinf(values))
            if len(large):
                row = int(np.searchsorted(X.indptr, large[0], side="right")) - 1
                raise ValueError(
                    f"row {row} of X holds {X.data[large[0]]:.3g}, a value too large for "
                    "dtype('float32'): scale its column, by MaxAbsScaler say, or leave it out."
                )
        return Bags(as_tensor(X.indices), as_tensor(X.indptr), as_tensor(values))

    def matrix(self, X: sparse.csr_array) -> sparse.csr_array:
        """Return the rows themselves."""
        return X

    def example(self, student: Any) -> Bags:
        """Two rows of the first column."""
        ids = torch.zeros(2, dtype=torch.int64)
        return Bags(ids, torch.arange(3), torch.ones(2))

    def input_tags(self) -> InputTags:
        """Sparse or dense."""
        return InputTags(sparse=True)
