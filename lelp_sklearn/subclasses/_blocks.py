"""Arrays whose columns are blocks, one a class: arithmetic within each block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CHUNK_SIZE = 2**18  # numbers turned at a time: 1 MB in float32 stays near the processor


def block_starts(n_subclasses: NDArray) -> NDArray:
    """First column of each class's block."""
    return np.concatenate([[0], np.cumsum(n_subclasses)[:-1]]).astype(np.intp)


def block_softmax(
    scores: NDArray,
    n_subclasses: NDArray,
    *,
    offset: NDArray | float = 0.0,
    out: NDArray | None = None,
) -> NDArray:
    """Soft-max of ``scores - offset`` within each class's block; each block of a row sums to 1."""
    split = np.empty(scores.shape, np.result_type(scores, np.float32)) if out is None else out
    step = max(16, _CHUNK_SIZE // scores.shape[1])
    columns = np.empty((scores.shape[1], min(step, len(scores))), split.dtype)
    below = np.reshape(offset, (-1, 1))
    for start in range(0, len(scores), step):
        rows = scores[start : start + step]
        # With a row a column, numpy's reductions and broadcasts run along a thousand rows and not
        # along six subclasses: three times as fast.
        weight = np.subtract(rows.T, below, out=columns[:, : len(rows)])
        for block in _equal_blocks(weight, n_subclasses):
            block -= block.max(axis=1, keepdims=True)
            np.exp(block, out=block)
            block /= block.sum(axis=1, keepdims=True)
        split[start : start + step] = weight.T
    return split


def _equal_blocks(columns: NDArray, n_subclasses: NDArray) -> list[NDArray]:
    """Views (classes, S, rows) of neighbouring blocks of equal height S."""
    runs = np.split(n_subclasses, np.flatnonzero(np.diff(n_subclasses)) + 1)
    parts = np.split(columns, np.cumsum([run.sum() for run in runs])[:-1])
    return [part.reshape(len(run), run[0], -1) for part, run in zip(parts, runs, strict=True)]
