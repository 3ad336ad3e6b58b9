"""From directions of embeddings to shares of subclasses: one product and a soft-max a class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted, validate_data

from lelp_sklearn._blas import blas_threads
from lelp_sklearn.subclasses._base import FLOATS, SubclassSplitter
from lelp_sklearn.subclasses._blocks import block_softmax
from lelp_sklearn.subclasses._tensors import is_tensor, stand_in, tensor_split, to_numpy

_CHUNK_ROWS = 2**15  # split at a time: scores are never there whole


class ProjectionSplitter(SubclassSplitter):
    """A splitter whose subclasses are directions around the mean of their class.

    ``P(s | c, x)`` is the soft-max over s of ``z_{c,s}(x) / beta``, the projections of
    ``x - means_[c]`` on ``components_``, divided by ``scale_[c]``.
    """

    means_: NDArray
    components_: NDArray
    scale_: NDArray
    subclass_temperature: float
    _problem: str | None = None  # for which there are no directions

    def transform(self, H: ArrayLike) -> NDArray:
        """Split every class for every row.

        Parameters
        ----------
        H : array-like of shape (n_rows, D)
            Teacher embeddings.

        Returns
        -------
        split : ndarray of shape (n_rows, sum of S_c)
            ``P(subclass | class, row)``: the columns of each class sum to 1. A tensor on the same
            device where ``H`` is a torch tensor.
        """
        if is_tensor(H):
            self._check_embeddings(stand_in(H))
            split = tensor_split(H, *self._weight_and_offset(np.float64), self.n_subclasses_)
            if split[:, 0].isnan().any():
                assert_all_finite(to_numpy(H), estimator_name=type(self).__name__, input_name="X")
            return split
        rows = self._check_embeddings(H)
        weight, offset = self._weight_and_offset(rows.dtype)
        split = np.empty((len(rows), len(weight)), rows.dtype)

        @np.errstate(invalid="ignore", over="ignore")
        def split_from(start: int) -> None:
            some = slice(start, start + _CHUNK_ROWS)
            scores = rows[some] @ weight.T
            block_softmax(scores, self.n_subclasses_, offset=offset, out=split[some])

        with blas_threads() as map_:
            list(map_(split_from, range(0, len(rows), _CHUNK_ROWS)))
        # NaN or infinity in a row makes all of its columns NaN, and one column is read faster
        # than the embeddings.
        if np.isnan(split[:, 0]).any():
            assert_all_finite(rows, estimator_name=type(self).__name__, input_name="X")
        return split

    def _check_embeddings(self, H: ArrayLike) -> NDArray:
        if self._problem:
            raise ValueError(self._problem)
        check_is_fitted(self)
        return validate_data(self, H, dtype=FLOATS, ensure_all_finite=False, reset=False)

    def _scores(self, H: NDArray) -> NDArray:
        """z_{c,s}(x) / beta."""
        assert_all_finite(H, estimator_name=type(self).__name__, input_name="X")
        weight, offset = self._weight_and_offset(H.dtype)
        return H @ weight.T - offset

    def _weight_and_offset(self, dtype: Any) -> tuple[NDArray, NDArray]:
        """What makes z_{c,s}(x) / beta of embeddings: one product, and a number a column."""
        sharpness = 1 / (self.scale_ * self.subclass_temperature)
        weight = self.components_ * np.repeat(sharpness, self.n_subclasses_)[:, None]
        offset = (weight * np.repeat(self.means_, self.n_subclasses_, axis=0)).sum(axis=1)
        largest = max(np.abs(weight).max(), np.abs(offset).max())
        if not largest < np.finfo(dtype).max:
            raise ValueError(
                f"the embeddings vary by {self.scale_.min():.2g} in a class, too little for "
                f"{np.dtype(dtype)}: scale them, or pass float64."
            )
        return weight.astype(dtype), offset.astype(dtype)
