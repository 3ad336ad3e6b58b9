"""Arrays whose columns are blocks, one a class: arithmetic within each block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def block_starts(n_subclasses: NDArray) -> NDArray:
    """First column of each class's block."""
    return np.concatenate([[0], np.cumsum(n_subclasses)[:-1]]).astype(np.intp)


def block_softmax(scores: NDArray, n_subclasses: NDArray) -> NDArray:
    """Soft-max within each class's block of columns; each block of a row sums to 1."""
    starts = block_starts(n_subclasses)
    peak = np.maximum.reduceat(scores, starts, axis=1)
    weight = np.exp(scores - np.repeat(peak, n_subclasses, axis=1))
    weight /= np.repeat(np.add.reduceat(weight, starts, axis=1), n_subclasses, axis=1)
    return weight
