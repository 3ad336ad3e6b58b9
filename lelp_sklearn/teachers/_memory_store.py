"""Records in the memory of one process."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.teachers._store import SCHEMA, Store


class MemoryStore(Store):
    """Of this process; shared by its threads."""

    def __init__(self, max_bytes: int | None):
        super().__init__(max_bytes)

    def lock(self, space: str) -> AbstractContextManager:
        """One lock for all spaces."""
        return self._filling

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        db.executescript(SCHEMA)
        return db

    def _reset(self) -> None:
        super()._reset()
        self._parts: dict[int, NDArray] = {}
        self._filling = threading.RLock()

    def _segment(self, segment: int, n_records: int, record_bytes: int) -> NDArray | None:
        return self._parts.get(segment)

    def _append(self, segment: int, n: int, records: NDArray) -> None:
        size = records.dtype.itemsize
        part = self._parts.get(segment)
        if part is None or len(part) < n + len(records):
            # Doubled, so that a row is moved but a few times.
            grown = np.empty((max(n + len(records), 2 * n), size), np.uint8)
            grown[:n] = 0 if part is None else part[:n]
            self._parts[segment] = part = grown
        part[n : n + len(records)] = records.view(np.uint8).reshape(-1, size)

    def _remove(self, segments: list[int]) -> None:
        for segment in segments:
            self._parts.pop(segment, None)

    def _damaged(self, what: str) -> ValueError:
        return ValueError(f"the teacher cache in memory was overwritten: {what}.")
