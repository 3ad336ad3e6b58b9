"""Records of fixed width found by 128-bit keys, in memory or on disk, safe under kill -9.

An SQLite database says where each record lies; the records lie in segments, which are only ever
appended to, and dropped whole. A record is written before the database says that it is there, and
carries its own key and a checksum, so that whatever happens to the files no wrong one is returned.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.teachers._records import (
    Field,
    checksums,
    find_addresses,
    index_keys,
    mixed,
    record_dtype,
)

_SEGMENT_BYTES = 256 * 2**20
_INDEX_BYTES = 32  # of a record in the database, about
_SLOT_BITS = 32  # an address is a segment and a slot
SCHEMA = """
CREATE TABLE spaces (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, layout TEXT NOT NULL);
CREATE TABLE segments (id INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL,
    record_bytes INTEGER NOT NULL, records INTEGER NOT NULL);
CREATE TABLE records (key INTEGER PRIMARY KEY, address INTEGER NOT NULL);
CREATE TABLE secrets (secret BLOB NOT NULL);
INSERT INTO secrets VALUES (randomblob(16));
"""


class Store(ABC):
    """What both stores share: the database, the choice of segments, and eviction."""

    def __init__(self, max_bytes: int | None):
        self.max_bytes = max_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, (max_bytes or 8 * _SEGMENT_BYTES) // 8)
        self._connection: sqlite3.Connection | None = None
        self._reset()
        _STORES.add(self)

    def _reset(self) -> None:
        """Start afresh, as in a forked process: the parent's locks and connection are not ours."""
        if self._connection is not None:
            _INHERITED.append(self._connection)  # closing it here would harm the parent
        self._connection = None
        self._secret: bytes | None = None
        self._mutex = threading.RLock()

    @property
    def secret(self) -> bytes:
        """What keys of rows are drawn from: this store's own, so that nobody can aim at one."""
        if self._secret is None:
            with self._database() as db:
                row = db.execute("SELECT secret FROM secrets").fetchone()
            if row is None:
                raise self._damaged("its secret is gone")
            self._secret = bytes(row[0])
        return self._secret

    def layout(self, space: str) -> list[Field] | None:
        """Fields of a space's records; None where nothing was ever written."""
        with self._database() as db:
            row = db.execute("SELECT layout FROM spaces WHERE name = ?", (space,)).fetchone()
        return None if row is None else [(n, kind, tuple(s)) for n, kind, s in json.loads(row[0])]

    def find(self, space: str, keys: NDArray) -> NDArray[np.int64]:
        """Where the records of some keys lie, -1 where there is none."""
        with self._database() as db:
            return find_addresses(db, mixed(keys, space))

    def read(
        self, space: str, layout: list[Field], keys: NDArray, addresses: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Records that were found.

        Returns
        -------
        there : ndarray of int
            Which of the keys have one, segment after segment: not those evicted since.
        records : structured ndarray
            Their records, in this order.
        """
        dtype = record_dtype(layout)
        there = np.flatnonzero(addresses >= 0)
        there = there[np.argsort(addresses[there] >> _SLOT_BITS, kind="stable")]
        records = np.empty(len(there), dtype)
        content = records.view(np.uint8).reshape(len(records), dtype.itemsize)
        evicted = np.zeros(len(there), bool)
        segments, slots = np.divmod(addresses[there], 1 << _SLOT_BITS)
        starts = np.flatnonzero(np.diff(segments, prepend=-1))
        for start, stop in pairwise([*starts, len(there)]):
            part = slots[start:stop]
            stored = self._segment(int(segments[start]), int(part.max()) + 1, dtype.itemsize)
            if stored is None:
                evicted[start:stop] = True
            else:
                # Straight into place: no second batch in memory, and the quickest.
                stored.take(part, axis=0, out=content[start:stop], mode="clip")
        if evicted.any():
            there, records = there[~evicted], records[~evicted]
        if damaged := np.count_nonzero(checksums(records) != records["check"]):
            raise self._damaged(f"{damaged} of its records fail their checksum")
        # The database knows half of a key, the record the whole: another's is never returned.
        same = (records["key"] == mixed(keys[there], space)).all(axis=1)
        return (there, records) if same.all() else (there[same], records[same])

    def write(
        self, space: str, layout: list[Field], keys: NDArray, values: dict[str, NDArray]
    ) -> NDArray:
        """Add records, all of them or, if this process dies or the disk is full, none.

        Returns
        -------
        structured ndarray
            The records, kept or not. What could not be kept is a warning.
        """
        dtype = record_dtype(layout)
        records = np.zeros(len(keys), dtype)
        records["key"] = mixed(keys, space)
        for name, kind, _ in layout:
            with np.errstate(over="ignore"):
                records[name] = values[name]
            if np.isinf(records[name]).sum() > np.isinf(values[name]).sum():
                raise ValueError(
                    f"the teacher's {name} reach {np.abs(values[name]).max():.3g}, which does not "
                    f"fit into {np.dtype(kind)}: use a wider dtype or scale them."
                )
        records["check"] = checksums(records)
        size = dtype.itemsize
        if self.max_bytes is not None:
            at_most = self.max_bytes // (size + _INDEX_BYTES)
            if at_most == 0:
                raise ValueError(
                    f"max_bytes={self.max_bytes} is less than one row of this teacher's outputs, "
                    f"{size + _INDEX_BYTES} bytes: raise it."
                )
            self._keep(space, layout, records[-at_most:])
        else:
            self._keep(space, layout, records)
        return records

    def _keep(self, space: str, layout: list[Field], records: NDArray) -> None:
        size = records.dtype.itemsize
        with self._transaction() as db:
            dropped = self._make_room(db, len(records) * (size + _INDEX_BYTES))
            space_id = self._space_id(db, space, layout)
            while len(records):
                segment, n, room = self._open_segment(db, space_id, size)
                part, records = records[:room], records[room:]
                self._append(segment, n, part)
                addresses = (segment << _SLOT_BITS) + np.arange(n, n + len(part))
                pairs = zip(index_keys(part["key"]).tolist(), addresses.tolist(), strict=True)
                db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", pairs)
                db.execute("UPDATE segments SET records = ? WHERE id = ?", (n + len(part), segment))
        self._remove(dropped)

    def clear(self) -> None:
        """Drop all records."""
        with self._transaction() as db:
            dropped = [row[0] for row in db.execute("SELECT id FROM segments")]
            for table in ("records", "segments", "spaces"):
                db.execute(f"DELETE FROM {table}")
        self._remove(dropped)

    def size(self) -> tuple[int, int]:
        """Records and bytes, those of the database at 32 a record."""
        with self._database() as db:
            return db.execute(
                "SELECT ifnull(sum(records), 0), ifnull(sum(records * (record_bytes + ?)), 0)"
                " FROM segments",
                (_INDEX_BYTES,),
            ).fetchone()

    def _make_room(self, db: sqlite3.Connection, n_bytes: int) -> list[int]:
        """Forget the oldest segments until so many bytes fit; returns which."""
        if self.max_bytes is None:
            return []
        segments = db.execute(
            "SELECT id, records * (record_bytes + ?) FROM segments ORDER BY id", (_INDEX_BYTES,)
        ).fetchall()
        used = sum(size for _, size in segments)
        dropped = []
        for segment, size in segments:
            if used + n_bytes <= self.max_bytes:
                break
            first = segment << _SLOT_BITS
            db.execute(
                "DELETE FROM records WHERE address >= ? AND address < ?",
                (first, first + (1 << _SLOT_BITS)),
            )
            db.execute("DELETE FROM segments WHERE id = ?", (segment,))
            dropped.append(segment)
            used -= size
        return dropped

    def _space_id(self, db: sqlite3.Connection, space: str, layout: list[Field]) -> int:
        text = json.dumps(layout)
        db.execute("INSERT OR IGNORE INTO spaces (name, layout) VALUES (?, ?)", (space, text))
        space_id, known = db.execute(
            "SELECT id, layout FROM spaces WHERE name = ?", (space,)
        ).fetchone()
        if known != text:
            raise ValueError(
                f"the teacher gave outputs {text} and the cache holds {known} of the same teacher: "
                "rows of one teacher must all have the same fields and shapes. If the teacher's "
                "code has changed, call clear()."
            )
        return space_id

    def _open_segment(
        self, db: sqlite3.Connection, space_id: int, record_bytes: int
    ) -> tuple[int, int, int]:
        """A segment to append to, the records in it, and how many more it takes."""
        capacity = max(self._segment_bytes // (record_bytes + _INDEX_BYTES), 1)
        last = db.execute(
            "SELECT id, records FROM segments WHERE space = ? ORDER BY id DESC LIMIT 1", (space_id,)
        ).fetchone()
        if last is not None and last[1] < capacity:
            return last[0], last[1], capacity - last[1]
        new = db.execute(
            "INSERT INTO segments (space, record_bytes, records) VALUES (?, ?, 0)",
            (space_id, record_bytes),
        ).lastrowid
        assert new is not None
        return new, 0, capacity

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """The connection of this process, for one thread at a time."""
        with self._mutex:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    raise self._damaged(str(error)) from error
                raise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, one process at a time."""
        with self._database() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:  # a full disk has ended it
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @abstractmethod
    def lock(self, space: str) -> AbstractContextManager:
        """Held by whoever asks the teacher of a space, so that no row is asked twice."""

    @abstractmethod
    def _connect(self) -> sqlite3.Connection: ...

    @abstractmethod
    def _segment(self, segment: int, n_records: int, record_bytes: int) -> NDArray | None:
        """Bytes (at least n_records, record_bytes) of a segment; None where it is gone."""

    @abstractmethod
    def _append(self, segment: int, n: int, records: NDArray) -> None: ...

    @abstractmethod
    def _remove(self, segments: list[int]) -> None: ...

    @abstractmethod
    def _damaged(self, what: str) -> ValueError: ...


_STORES: weakref.WeakSet[Store] = weakref.WeakSet()
_INHERITED: list[sqlite3.Connection] = []  # connections of a parent process


def _reset_stores() -> None:
    for store in _STORES:
        store._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_stores)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ")) or (
        name == "SQLITE_ERROR" and str(error).startswith(("no such table", "no such column"))
    )
