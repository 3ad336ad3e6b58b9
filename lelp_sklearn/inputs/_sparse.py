"""Sparse matrices, never made dense."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import InputTags
from sklearn.utils.validation import validate_data

from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._bags import Bags
from lelp_sklearn.inputs._base import Inputs


class SparseInputs(Inputs):
    """Sparse rows as bags of weighted column numbers, in the memory of the CSR matrix.

    Values are float32: others are converted, which copies the matrix once. A dense array is made
    sparse.

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
        X = validate_data(student, X, accept_sparse="csr", dtype=np.float32, reset=reset)
        return X if sparse.issparse(X) else sparse.csr_array(X)

    def read(self, X: sparse.csr_array) -> Bags:
        """Return the matrix's own memory as bags."""
        return Bags(as_tensor(X.indices), as_tensor(X.indptr), as_tensor(X.data))

    def example(self, student: Any) -> Bags:
        """Two rows of the first column."""
        ids = torch.zeros(2, dtype=torch.int64)
        return Bags(ids, torch.arange(3), torch.ones(2))

    def input_tags(self) -> InputTags:
        """Sparse or dense."""
        return InputTags(sparse=True)
