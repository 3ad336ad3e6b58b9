"""A hash of rows of equal width, many at once, by coefficients that nobody else knows.

MULTILINEAR of Lemire and Kaser (2014), "Strongly universal string hashing is fast", section 2:
only the upper half of a sum of products is strongly universal, so each 64 bits here are the upper
halves of two. Two rows share them with probability 2^-64, whatever the rows are, to whoever has
not seen the secret from which the coefficients are drawn.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 2**16  # of the input, so that a block and its 64-bit words stay near the processor
_UPPER = np.uint64(0xFFFFFFFF00000000)


def multilinear(rows: NDArray[np.uint8], secret: bytes, n_hashes: int) -> NDArray[np.uint64]:
    """Independent 64-bit hashes of each row, other ones for another secret.

    Parameters
    ----------
    rows : ndarray of uint8 of shape (n, n_bytes)
        The bytes of each row.
    secret : bytes
        What the coefficients are drawn from. One that is public will do against accidents, such as
        a damaged file, and not against those who look for two rows of one hash.
    n_hashes : int
        64-bit hashes a row.

    Returns
    -------
    hashes : ndarray of uint64 of shape (n, n_hashes)

    Examples
    --------
    >>> rows = np.array([[1, 2, 3], [1, 2, 4], [1, 2, 3]], np.uint8)
    >>> hashes = multilinear(rows, b"example", 2)
    >>> hashes.shape, (hashes[0] == hashes[2]).all(), (hashes[0] == hashes[1]).any()
    ((3, 2), np.True_, np.False_)
    """
    n_rows, n_bytes = rows.shape
    addends, coefficients = _coefficients(secret, -(-n_bytes // 4), 2 * n_hashes)
    hashes = np.empty((n_rows, n_hashes), np.uint64)
    step = max(_BLOCK_BYTES // max(n_bytes, 1), 1)
    for start in range(0, n_rows, step):
        block = rows[start : start + step]
        if n_bytes % 4:
            block = np.pad(block, ((0, 0), (0, -n_bytes % 4)))
        words = block.view("<u4").astype(np.uint64)
        for i in range(n_hashes):
            upper = words @ coefficients[2 * i] + addends[2 * i]
            lower = words @ coefficients[2 * i + 1] + addends[2 * i + 1]
            hashes[start : start + step, i] = (upper & _UPPER) | (lower >> np.uint64(32))
    return hashes


@lru_cache
def _coefficients(
    secret: bytes, n_words: int, n_sums: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    drawn = shake_128(secret).digest(8 * (1 + n_words) * n_sums)
    numbers = np.frombuffer(drawn, "<u8").reshape(n_sums, 1 + n_words).astype(np.uint64)
    return numbers[:, 0], numbers[:, 1:]
