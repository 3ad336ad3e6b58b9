"""Records of fixed width found by 128-bit keys, in memory or on disk, safe under kill -9.

An SQLite database says where each record lies; the records lie in segments, which are only ever
appended to, and dropped whole. A record is written before the database says that it is there, and
carries its own key and a checksum, so that whatever happens to the files no wrong one is returned.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Field = tuple[str, str, tuple[int, ...]]  # name, dtype and shape of a row's values

FORMAT = 1
_APPLICATION = 0x4C454C50  # "LELP", in the header of the database
_SEGMENT_BYTES = 256 * 2**20
_INDEX_BYTES = 32  # of a record in the database, about
_MAPS = 64  # segments held open
_SLOT_BITS = 32  # an address is a segment and a slot
_SCHEMA = """
CREATE TABLE spaces (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, layout TEXT NOT NULL);
CREATE TABLE segments (id INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL,
    record_bytes INTEGER NOT NULL, records INTEGER NOT NULL);
CREATE TABLE records (key INTEGER PRIMARY KEY, address INTEGER NOT NULL);
"""
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
        self._mutex = threading.RLock()

    def layout(self, space: str) -> list[Field] | None:
        """Fields of a space's records; None where nothing was ever written."""
        with self._database() as db:
            row = db.execute("SELECT layout FROM spaces WHERE name = ?", (space,)).fetchone()
        return None if row is None else [(n, kind, tuple(s)) for n, kind, s in json.loads(row[0])]

    def find(self, space: str, keys: NDArray) -> NDArray[np.int64]:
        """Where the records of some keys lie, -1 where there is none."""
        with self._database() as db:
            return _find(db, _mixed(keys, space))

    def read(
        self, space: str, layout: list[Field], keys: NDArray, addresses: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Records that were found.

        Returns
        -------
        there : ndarray of int
            Which of the keys have one: not those evicted since.
        records : structured ndarray
            Their records, in this order.
        """
        dtype = record_dtype(layout)
        there = np.flatnonzero(addresses >= 0)
        records = np.zeros(len(there), dtype)
        content = records.view(np.uint8).reshape(len(records), dtype.itemsize)
        segments, slots = np.divmod(addresses[there], 1 << _SLOT_BITS)
        for segment in np.unique(segments).tolist():
            here = np.flatnonzero(segments == segment)
            stored = self._segment(segment, int(slots[here].max()) + 1, dtype.itemsize)
            if stored is None:
                continue
            for i in range(0, len(here), 64):  # no second batch in memory
                part = here[i : i + 64]
                content[part] = stored.take(slots[part], axis=0)
        if damaged := np.count_nonzero(checksums(records) != records["check"]):
            raise self._damaged(f"{damaged} of its records fail their checksum")
        # The database knows half of a key, the record the whole: another's is never returned.
        same = (records["key"] == _mixed(keys[there], space)).all(axis=1)
        return (there, records) if same.all() else (there[same], records[same])

    def write(
        self, space: str, layout: list[Field], keys: NDArray, values: dict[str, NDArray]
    ) -> NDArray:
        """Add records, all of them or, if this process dies, none; returns them."""
        dtype = record_dtype(layout)
        written = records = np.zeros(len(keys), dtype)
        records["key"] = _mixed(keys, space)
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
            records = records[-at_most:]
        with self._transaction() as db:
            dropped = self._make_room(db, len(records) * (size + _INDEX_BYTES))
            space_id = self._space_id(db, space, layout)
            while len(records):
                segment, n, room = self._open_segment(db, space_id, size)
                part, records = records[:room], records[room:]
                self._append(segment, n, part)
                addresses = (segment << _SLOT_BITS) + np.arange(n, n + len(part))
                pairs = zip(_index_keys(part["key"]).tolist(), addresses.tolist(), strict=True)
                db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", pairs)
                db.execute("UPDATE segments SET records = ? WHERE id = ?", (n + len(part), segment))
        self._remove(dropped)
        return written

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


class MemoryStore(Store):
    """Of this process; shared by its threads."""

    def __init__(self, max_bytes: int | None):
        super().__init__(max_bytes)

    def lock(self, space: str) -> AbstractContextManager:
        """One lock for all spaces."""
        return self._filling

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        db.executescript(_SCHEMA)
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


class DiskStore(Store):
    """A folder: ``index.sqlite``, one file a segment, and one lock a space."""

    def __init__(self, path: Path, max_bytes: int | None):
        super().__init__(max_bytes)
        self.path = path
        self._index = path / "index.sqlite"

    def lock(self, space: str) -> AbstractContextManager:
        """A lock of the operating system, which a dead process cannot keep."""
        self.path.mkdir(parents=True, exist_ok=True)
        return file_lock(self.path / f"{blake2b(space.encode(), digest_size=8).hexdigest()}.lock")

    def _connect(self) -> sqlite3.Connection:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                f"{self.path} is a file: a teacher cache is a folder. Give another path."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        with file_lock(self.path / "open.lock"):  # one process creates it
            db = sqlite3.connect(
                self._index, timeout=300, isolation_level=None, check_same_thread=False
            )
            try:
                self._check_format(db)
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute(f"PRAGMA mmap_size = {2**30}")
            except BaseException:
                db.close()
                raise
        return db

    def _check_format(self, db: sqlite3.Connection) -> None:
        if self._format(db) == (0, 0, 0):
            if any(self._files()):
                raise self._damaged("it is empty, and there are segments beside it")
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
        application, version, _ = self._format(db)
        if application != _APPLICATION:
            raise ValueError(
                f"{self._index} is an SQLite database, but not a teacher cache. Give another path."
            )
        if version != FORMAT:
            raise ValueError(
                f"{self._index} has format {version} and this lelp_sklearn reads format {FORMAT}. "
                "Delete the folder, or give another path."
            )

    @staticmethod
    def _format(db: sqlite3.Connection) -> tuple[int, int, int]:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (n_tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return application, version, n_tables

    def _reset(self) -> None:
        super()._reset()
        self._maps: OrderedDict[int, NDArray] = OrderedDict()

    def _file(self, segment: int) -> Path:
        return self.path / f"{segment:06d}.rows"

    def _files(self) -> Iterator[Path]:
        return (f for f in self.path.iterdir() if re.fullmatch(r"\d{6,}\.rows", f.name))

    def _segment(self, segment: int, n_records: int, record_bytes: int) -> NDArray | None:
        file = self._file(segment)
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            return None
        if size < n_records * record_bytes:
            raise self._damaged(
                f"{file.name} has {size} bytes and {n_records * record_bytes} were written"
            )
        mapped = self._maps.pop(segment, None)
        if mapped is None or len(mapped) < n_records:
            shape = (size // record_bytes, record_bytes)
            mapped = np.asarray(np.memmap(file, np.uint8, "r", shape=shape))
        self._maps[segment] = mapped
        if len(self._maps) > _MAPS:
            self._maps.popitem(last=False)
        return mapped

    def _append(self, segment: int, n: int, records: NDArray) -> None:
        file, end = self._file(segment), n * records.dtype.itemsize
        if n == 0:
            self._sweep()
        elif not file.exists() or file.stat().st_size < end:
            raise self._damaged(f"{file.name} is missing or shorter than the {end} bytes written")
        with open(file, "r+b" if n else "wb", buffering=0) as f:
            # Beyond the end may lie what a process wrote that died before it was committed.
            f.seek(end)
            left = records.view(np.uint8).data
            while left:
                left = left[f.write(left) :]
            getattr(os, "fdatasync", os.fsync)(f.fileno())

    def _sweep(self) -> None:
        """Delete segments that the database no longer knows, left by a process that died."""
        assert self._connection is not None
        known = {self._file(s).name for (s,) in self._connection.execute("SELECT id FROM segments")}
        for file in list(self._files()):
            if file.name not in known:
                _unlink(file)

    def _remove(self, segments: list[int]) -> None:
        for segment in segments:
            self._maps.pop(segment, None)
            _unlink(self._file(segment))

    def _damaged(self, what: str) -> ValueError:
        return ValueError(
            f"the teacher cache {self._index} is damaged, or not a teacher cache: {what}. Nothing "
            f"was read from it. Delete the folder {self.path} to have the teacher asked again, or "
            "give another path."
        )


_STORES: weakref.WeakSet[Store] = weakref.WeakSet()
_INHERITED: list[sqlite3.Connection] = []  # connections of a parent process


def _reset_stores() -> None:
    for store in _STORES:
        store._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_stores)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Lock a file between processes and threads; the system frees it if its holder dies."""
    with open(path, "ab") as f:
        if sys.platform == "win32":
            import msvcrt

            f.seek(0)
            while True:
                with suppress(OSError):  # raised after ten seconds of waiting
                    msvcrt.locking(f.fileno(), msvcrt.LK_LOCK, 1)
                    break
            try:
                yield
            finally:
                f.seek(0)
                msvcrt.locking(f.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(f, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(f, fcntl.LOCK_UN)


def _unlink(file: Path) -> None:
    with suppress(PermissionError):  # Windows: another process reads it; a later sweep takes it
        file.unlink(missing_ok=True)


def _mixed(keys: NDArray, space: str) -> NDArray:
    """Keys of a space's own, so that all spaces share one table."""
    return keys ^ np.frombuffer(blake2b(space.encode(), digest_size=16).digest(), np.uint64)


def _index_keys(keys: NDArray) -> NDArray[np.int64]:
    return np.ascontiguousarray(keys[:, 0]).view(np.int64)


def _find(db: sqlite3.Connection, keys: NDArray) -> NDArray[np.int64]:
    """Addresses, -1 where there is none: one statement for all keys is the quickest."""
    if len(keys) == 0:
        return np.empty(0, np.int64)
    (text,) = db.execute(_FIND, (str(_index_keys(keys).tolist()),)).fetchone()
    return np.array(text.split(","), np.int64)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ")) or (
        name == "SQLITE_ERROR" and str(error).startswith(("no such table", "no such column"))
    )
