"""Records of one row each: checksum, key and values, and how an index finds them."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.teachers._multilinear import multilinear

Field = tuple[str, str, tuple[int, ...]]  # name, dtype and shape of a row's values

FORMAT = 2
_FIND = """SELECT group_concat(ifnull(records.address, -1)) FROM json_each(?) AS wanted
    LEFT JOIN records ON records.key = wanted.value"""


def record_dtype(layout: list[Field]) -> np.dtype:
    """A checksum, a key and the fields, padded to whole 8-byte words."""
    fields = [("check", "<u8", ()), ("key", "<u8", (2,)), *layout]
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
    """A hash of each record but for its checksum, which comes first."""
    content = records.view(np.uint8).reshape(len(records), records.itemsize)
    return multilinear(content[:, 8:], b"checksum", 1)[:, 0]


def mixed(keys: NDArray, space: str) -> NDArray:
    """Keys of a space's own, so that all spaces share one table."""
    return keys ^ np.frombuffer(blake2b(space.encode(), digest_size=16).digest(), np.uint64)


def index_keys(keys: NDArray) -> NDArray[np.int64]:
    return np.ascontiguousarray(keys[:, 0]).view(np.int64)


def find_addresses(db: sqlite3.Connection, keys: NDArray) -> NDArray[np.int64]:
    """Addresses, -1 where there is none. Quickest: one statement, its keys in order."""
    if len(keys) == 0:
        return np.empty(0, np.int64)
    wanted = index_keys(keys)
    order = np.argsort(wanted)
    (text,) = db.execute(_FIND, (str(wanted[order].tolist()),)).fetchone()
    addresses = np.empty(len(keys), np.int64)
    addresses[order] = np.fromstring(text, np.int64, sep=",")
    return addresses
