"""Records on disk, shared by processes, and safe under kill -9."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.teachers._records import FORMAT, Field
from lelp_sklearn.teachers._store import SCHEMA, Store

_APPLICATION = 0x4C454C50  # "LELP", in the header of the database
_MAPS = 64  # segments held open


class DiskStore(Store):
    """A folder: ``index.sqlite``, one file a segment, and one lock a space."""

    def __init__(self, path: Path, max_bytes: int | None):
        super().__init__(max_bytes)
        self.path = path
        self._index = path / "index.sqlite"
        self._warned = False

    @contextmanager
    def lock(self, space: str) -> Iterator[None]:
        """A lock of the operating system, which a dead process cannot keep.

        There is none where nothing can be written: at worst two processes ask the same.
        """
        name = f"{blake2b(space.encode(), digest_size=8).hexdigest()}.lock"
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(file_lock(self.path / name))
            except OSError as error:
                if not _cannot_be_written(error):
                    raise
            yield

    def _keep(self, space: str, layout: list[Field], records: NDArray) -> None:
        """Keep records, or say in a warning that they could not be."""
        try:
            super()._keep(space, layout, records)
        except (OSError, sqlite3.OperationalError) as error:
            if not _cannot_be_written(error):
                raise
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"the teacher cache {self.path} cannot be written ({error}): the teacher's "
                    "answers are returned, and from here on not kept. Make room there, or give "
                    "another path.",
                    UserWarning,
                    stacklevel=2,
                )

    def _connect(self) -> sqlite3.Connection:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                f"{self.path} is a file: a teacher cache is a folder. Give another path."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return self._connect_to_write()
        except (OSError, sqlite3.OperationalError) as error:
            if not _cannot_be_written(error):
                raise
            if self._index.exists() and self._index.stat().st_size:
                return self._connect_to_read()
            raise OSError(
                f"no teacher cache can be made at {self.path} ({error}): give a path that can be "
                "written."
            ) from error

    def _connect_to_read(self) -> sqlite3.Connection:
        """Open an index that others may write, or that lies in a folder nobody may write."""
        shared, log = (self._index.with_name(f"{self._index.name}-{e}") for e in ("shm", "wal"))
        if not shared.exists() and log.exists() and log.stat().st_size:
            raise self._damaged(
                "its last writer did not close it, and the folder cannot be written; open it once "
                "where it can be"
            )
        how = "mode=ro" if shared.exists() else "mode=ro&immutable=1"
        db = sqlite3.connect(
            f"{self._index.resolve().as_uri()}?{how}",
            timeout=300,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        try:
            self._check_version(db)
        except BaseException:
            db.close()
            raise
        return db

    def _connect_to_write(self) -> sqlite3.Connection:
        with file_lock(self.path / "open.lock"):  # one process creates it
            db = sqlite3.connect(
                self._index, timeout=300, isolation_level=None, check_same_thread=False
            )
            try:
                self._check_format(db)
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute(f"PRAGMA mmap_size = {2**30}")
                db.execute("PRAGMA cache_size = -16384")
            except BaseException:
                db.close()
                raise
        return db

    def _check_format(self, db: sqlite3.Connection) -> None:
        if self._format(db) == (0, 0, 0):
            if any(self._files()):
                raise self._damaged("it is empty, and there are segments beside it")
            db.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
        self._check_version(db)

    def _check_version(self, db: sqlite3.Connection) -> None:
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


_NO_ROOM_OR_RIGHT = {
    getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM")
}


def _cannot_be_written(error: Exception) -> bool:
    """Whether there is no room left on the disk, or no right to write there."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM_OR_RIGHT
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR_WRITE"))
