"""Records of one row each: key, checksum and values, and how an index finds them."""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Field = tuple[str, str, tuple[int, ...]]  # name, dtype and shape of a row's values

FORMAT = 1
_FIND = """SELECT group_concat(ifnull(records.address, -1)) FROM json_each(?) AS wanted
    LEFT JOIN records ON records.key = wanted.value"""


def record_dtype(layout: list[Field]) -> np.dtype:
    """A key, a checksum and the fields, padded to whole 8-byte words."""
    fields = [("key", "<u8", (2,)), ("check", "<u8", ()), *layout]
    sizes = [np.dtype((kind, tuple(shape))).itemsize for _, kind, shape in fields]
    offsets = np.cumsum([0, *sizes])
    return np.dtype(
        {
            "names": [name for name, _, _ in fields],
            "formats": [(kind, tuple(shape)) for _, kind, shape in fields],
            "offsets": offsets[:-1].tolist(),
            "itemsize": int(-(-offsets[-1] // 8) * 8),
        }
    )


def checksums(records: NDArray) -> NDArray[np.uint64]:
    """Multilinear hash of each record but for its checksum (Lemire and Kaser, 2014)."""
    words = records.view(np.uint32).reshape(len(records), records.itemsize // 4)
    weights = _weights(words.shape[1])
    # In blocks that stay in the processor's cache, as 32-bit words become 64-bit ones.
    blocks = [words[i : i + 64].astype(np.uint64) @ weights for i in range(0, len(words), 64)]
    return np.concatenate(blocks) if blocks else np.empty(0, np.uint64)


@lru_cache
def _weights(n_words: int) -> NDArray[np.uint64]:
    weights = np.random.default_rng(FORMAT).integers(0, 2**64 - 1, n_words, np.uint64)
    weights[4:6] = 0  # the checksum's own place
    return weights


def mixed(keys: NDArray, space: str) -> NDArray:
    """Keys of a space's own, so that all spaces share one table."""
    return keys ^ np.frombuffer(blake2b(space.encode(), digest_size=16).digest(), np.uint64)


def index_keys(keys: NDArray) -> NDArray[np.int64]:
    return np.ascontiguousarray(keys[:, 0]).view(np.int64)


def find_addresses(db: sqlite3.Connection, keys: NDArray) -> NDArray[np.int64]:
    """Addresses, -1 where there is none: one statement for all keys is the quickest."""
    if len(keys) == 0:
        return np.empty(0, np.int64)
    (text,) = db.execute(_FIND, (str(index_keys(keys).tolist()),)).fetchone()
    return np.array(text.split(","), np.int64)
