"""A hash of rows of equal width, many at once.

MULTILINEAR of Lemire and Kaser (2014), "Strongly universal string hashing is fast", section 2. It
withstands nobody who seeks collisions; but who may write into a cache may write anything there.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 2**16  # of the input, so that a block and its 64-bit words stay near the processor


def multilinear(rows: NDArray[np.uint8], purpose: bytes, n_hashes: int) -> NDArray[np.uint64]:
    """Independent 64-bit hashes of each row, other ones for another purpose.

    The low bits of a hash see the low bits of the row's 32-bit words only, so two rows share one
    with probability 2^-33 at worst (one word differs, in its highest bit), 2^-64 at best.

    Examples
    --------
    >>> rows = np.array([[1, 2, 3], [1, 2, 4], [1, 2, 3]], np.uint8)
    >>> hashes = multilinear(rows, b"example", 2)
    >>> hashes.shape, (hashes[0] == hashes[2]).all(), (hashes[0] == hashes[1]).any()
    ((3, 2), np.True_, np.False_)
    """
    n_rows, n_bytes = rows.shape
    addends, coefficients = _coefficients(purpose, -(-n_bytes // 4), n_hashes)
    hashes = np.empty((n_rows, n_hashes), np.uint64)
    step = max(_BLOCK_BYTES // max(n_bytes, 1), 1)
    for start in range(0, n_rows, step):
        block = rows[start : start + step]
        if n_bytes % 4:
            block = np.pad(block, ((0, 0), (0, -n_bytes % 4)))
        words = block.view("<u4").astype(np.uint64)
        for i, coefficient in enumerate(coefficients):
            np.matmul(words, coefficient, out=hashes[start : start + step, i])
    return hashes + addends


@lru_cache
def _coefficients(
    purpose: bytes, n_words: int, n_hashes: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    drawn = shake_128(purpose).digest(8 * (1 + n_words) * n_hashes)
    numbers = np.frombuffer(drawn, "<u8").reshape(n_hashes, 1 + n_words).astype(np.uint64)
    return numbers[:, 0], numbers[:, 1:]
