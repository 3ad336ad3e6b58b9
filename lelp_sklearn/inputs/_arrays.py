"""Dense numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import validate_data
from torch import Tensor

from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._base import Inputs


class ArrayInputs(Inputs):
    """Dense columns of numbers, as float32: what a body reads that names nothing else.

    See Also
    --------
    SparseInputs : Sparse matrices.

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
        if sparse.issparse(X):
            raise TypeError(
                f"X is sparse, of shape {X.shape}, and the body reads dense rows: use "
                "module=BagOfNgrams, which reads CSR, or X.toarray() where that fits into memory."
            )
        return validate_data(student, X, dtype=np.float32, order="C", reset=reset)

    def read(self, X: NDArray) -> Tensor:
        """Return the same memory as a tensor."""
        return as_tensor(X)

    def example(self, student: Any) -> Tensor:
        """Two rows of zeros."""
        return torch.zeros(2, student.n_features_in_)
