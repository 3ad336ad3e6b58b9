"""Moments kept for the next fit on the same rows, as in a search over the number of subclasses."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_memory

from lelp_sklearn.subclasses._moments import ClassMoments

_BLOCK_ROWS = 2**16


def cached_moments(memory: Any, H: NDArray, y: NDArray, proba: NDArray | None) -> ClassMoments:
    """Moments of rows, taken from a joblib cache where the same rows went into it before.

    joblib's own hash would pickle the rows first; this one reads them where they are.
    """
    if memory is None:
        return ClassMoments.of(H, y, proba)
    keep = check_memory(memory).cache(_moments, ignore=["H", "y", "proba"])
    return keep(_content(H, y, proba), H, y, proba)


def _moments(content: str, H: NDArray, y: NDArray, proba: NDArray | None) -> ClassMoments:
    return ClassMoments.of(H, y, proba)


def _content(*arrays: NDArray | None) -> str:
    """Digest of all values, dtypes and shapes, and of the rows' order."""
    digest = blake2b(digest_size=16)
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        if array.dtype.hasobject:
            array = array.astype(str)
        digest.update(repr((array.dtype.str, array.shape)).encode())
        for start in range(0, len(array), _BLOCK_ROWS):
            block = np.ascontiguousarray(array[start : start + _BLOCK_ROWS])
            digest.update(block.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
