"""What a teacher said of a row, kept by the row's content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._fingerprint import fingerprint
from lelp_sklearn.teachers._keys import n_rows, row_keys, sliceable, take_rows
from lelp_sklearn.teachers._outputs import align_proba, teacher_outputs
from lelp_sklearn.teachers._store import DiskStore, MemoryStore, Store

_DTYPES = {"float16": "<f2", "float32": "<f4"}


class TeacherCache:
    """Teacher outputs by (content of the teacher, content of the row), in memory or on disk.

    A row is asked for once, whatever the order, fold, duplication or table it comes in, by however
    many processes. A teacher with the same weights and parameters is the same teacher, also after
    reloading; one changed weight makes it another.

    Parameters
    ----------
    path : str or path-like, default=None
        A folder, made where it is missing; processes may share it. None keeps the outputs in the
        memory of this process.
    dtype : {"float32", "float16"}, default="float32"
        What the values are stored in. They are returned in float32 in any case, and rounded to
        ``dtype`` in the first call as in later ones.
    max_bytes : int, default=None
        Size cap, at which the rows written first are dropped, an eighth of the cap at a time.
        Each process keeps to its own cap when it writes.
    batch_size : int, default=1024
        Rows the teacher gets at a time; each batch is kept as soon as it is answered. Memory stays
        below two batches of outputs beside the arrays returned.
    verbose : int, default=0
        1 shows a progress bar over the rows.

    Raises
    ------
    ValueError
        If the path holds anything but a teacher cache, or a damaged one.

    Notes
    -----
    Copies share one cache: ``copy.deepcopy`` and scikit-learn's ``clone`` return the cache itself.
    A pickled cache with a path is opened anew by whoever unpickles it; one without a path arrives
    empty in another process, so give a path where ``n_jobs`` is above 1.

    Equal values in another dtype or container are another row: the teacher may treat them
    differently. Values that a process did not finish writing when it was killed are not there;
    each value carries its key and a checksum, and a damaged one is an error, not an answer. While
    a process asks the teacher, others that miss rows of the same teacher wait, and then find the
    rows. The folder must lie on a local disk.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn.teachers._cache import TeacherCache
    >>> X, y = load_iris(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, y)
    >>> cache = TeacherCache()
    >>> outputs = cache.outputs(teacher, X[:100])
    >>> outputs.proba.shape, outputs.embeddings.shape
    ((100, 3), (100, 2))
    >>> outputs = cache.outputs(teacher, X[::-1])
    >>> cache.info()["hits"], cache.info()["misses"]  # one flower is there twice
    (101, 149)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        dtype: str = "float32",
        max_bytes: int | None = None,
        batch_size: int = 1024,
        verbose: int = 0,
    ):
        if dtype not in _DTYPES:
            raise ValueError(f"dtype={dtype!r}: expected one of {sorted(_DTYPES)}.")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected at least 1.")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes={max_bytes}: expected at least 1, or None for no cap.")
        self.path = None if path is None else os.fspath(path)
        self.dtype = dtype
        self.max_bytes = max_bytes
        self.batch_size = batch_size
        self.verbose = verbose
        self._open()

    def outputs(
        self, teacher: Any, X: ArrayLike, classes: ArrayLike | None = None
    ) -> TeacherOutputs:
        """What the teacher says of each row; only rows that are not here reach it.

        Parameters
        ----------
        teacher : estimator
            As for :func:`teacher_outputs`, and a function of the row alone.
        X : array-like
            An array, a SciPy sparse matrix, a pandas or polars DataFrame, or a list of strings.
            The teacher gets some of the rows, in the same container (a sparse matrix in CSR form).
        classes : array-like, optional
            Order of the columns of ``proba``; None is the teacher's own. They are kept in the
            teacher's order, so one cache serves any.

        Returns
        -------
        TeacherOutputs
            float32 arrays.

        Raises
        ------
        TypeError
            If the rows or the teacher have no content that could be hashed.
        ValueError
            If the classes are not the teacher's, its outputs do not fit into ``dtype``, or its
            batches differ in shape.
        """
        order = None
        if classes is not None:
            own = np.asarray(teacher.classes_)
            order = align_proba(np.arange(len(own))[None], own, np.asarray(classes))[0]
        X = sliceable(X)
        if n_rows(X) == 0:
            return teacher_outputs(teacher, X, classes)
        space = f"{fingerprint(teacher)} {self.dtype}"
        return _Gathering(self, space, teacher, X, order).run()

    def info(self) -> dict[str, Any]:
        """What the cache holds, and how it has served this process.

        Returns
        -------
        dict
            ``path``; ``entries``, rows of all teachers; ``bytes``, the values and about what their
            keys take; ``hits`` and ``misses``, rows that were found and rows that a teacher was
            asked for, by this object.
        """
        entries, size = self._store.size()
        return {
            "path": self.path,
            "entries": entries,
            "bytes": size,
            "hits": self._hits,
            "misses": self._misses,
        }

    def clear(self) -> None:
        """Forget all teachers and rows, and start counting anew."""
        self._store.clear()
        self._hits = self._misses = 0

    def _open(self) -> None:
        self._store: Store = (
            MemoryStore(self.max_bytes)
            if self.path is None
            else DiskStore(Path(self.path), self.max_bytes)
        )
        self._hits = self._misses = 0

    def __deepcopy__(self, memo: dict) -> TeacherCache:
        return self

    def __getstate__(self) -> dict[str, Any]:
        names = ("path", "dtype", "max_bytes", "batch_size", "verbose")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def __fingerprint__(self) -> str:
        """No part of what a teacher says that holds a cache."""
        return "TeacherCache"

    def __repr__(self) -> str:
        return f"TeacherCache(path={self.path!r}, dtype={self.dtype!r})"


class _Gathering:
    """One call of ``outputs``: rows pass through in batches, those missing wait for a full one."""

    def __init__(
        self, cache: TeacherCache, space: str, teacher: Any, X: Any, order: NDArray | None
    ):
        self.cache, self.store = cache, cache._store
        self.space, self.teacher, self.X, self.order = space, teacher, X, order
        self.layout = self.store.layout(space)
        self.arrays: dict[str, NDArray] = {}

    def run(self) -> TeacherOutputs:
        n, size = n_rows(self.X), self.cache.batch_size
        waiting_keys = np.empty((0, 2), np.uint64)
        waiting = np.empty(0, np.intp)
        with (
            ThreadPoolExecutor(1) as helper,
            self._progress(n) as advance,
        ):
            ahead = None
            for start in range(0, n, size):
                rows = np.arange(start, min(start + size, n))
                keys, addresses = self._find(start) if ahead is None else ahead.result()
                if rows[-1] < n - 1:  # a second thread finds the next rows while these are copied
                    ahead = helper.submit(self._find, start + size)
                missing = self._gather(rows, keys, addresses)
                self.cache._hits += len(rows) - len(missing)
                advance(len(rows) - len(missing))
                waiting = np.concatenate([waiting, rows[missing]])
                waiting_keys = np.concatenate([waiting_keys, keys[missing]])
                while len(waiting) >= size or (len(waiting) and rows[-1] == n - 1):
                    self._ask(waiting[:size], waiting_keys[:size])
                    advance(len(waiting[:size]))
                    waiting, waiting_keys = waiting[size:], waiting_keys[size:]
        return TeacherOutputs(**self.arrays)

    @contextmanager
    def _progress(self, n: int) -> Iterator[Callable[[int], Any]]:
        if not self.cache.verbose:
            # Not even a disabled bar: it takes a lock that a killed forked process would keep.
            yield lambda rows: None
            return
        with tqdm(total=n, desc="teacher") as bar:
            yield bar.update

    def _find(self, start: int) -> tuple[NDArray, NDArray]:
        """Keys of a batch of rows, and where their records lie."""
        keys = row_keys(take_rows(self.X, slice(start, start + self.cache.batch_size)))
        return keys, self.store.find(self.space, keys)

    def _gather(self, rows: NDArray, keys: NDArray, addresses: NDArray) -> NDArray:
        """Copy what is there to its rows; returns the places of what is not."""
        if self.layout is None:
            self.layout = self.store.layout(self.space)
        if self.layout is None:
            return np.arange(len(rows))
        there, records = self.store.read(self.space, self.layout, keys, addresses)
        self._scatter(rows[there], {name: records[name] for name, _, _ in self.layout})
        missing = np.ones(len(rows), bool)
        missing[there] = False
        return np.flatnonzero(missing)

    def _ask(self, rows: NDArray, keys: NDArray) -> None:
        """Have the teacher answer, unless another process had it answer in the meantime."""
        n_asked = 0
        with self.store.lock(self.space):
            missing = self._gather(rows, keys, self.store.find(self.space, keys))
            if len(missing):
                n_asked = self._fill(rows[missing], keys[missing])
        self.cache._misses += n_asked
        self.cache._hits += len(rows) - n_asked

    def _fill(self, rows: NDArray, keys: NDArray) -> int:
        """Ask about the distinct rows among these, and keep the answers; returns how many."""
        distinct: dict[tuple, int] = {}
        same = np.array([distinct.setdefault(k, len(distinct)) for k in map(tuple, keys.tolist())])
        first = np.unique(same, return_index=True)[1]
        given = teacher_outputs(self.teacher, take_rows(self.X, rows[first]))
        values = {name: getattr(given, name) for name in given.given}
        for name, array in values.items():
            if len(array) != len(first):
                raise ValueError(
                    f"the teacher {type(self.teacher).__name__} gave {len(array)} rows of {name} "
                    f"for {len(first)} rows of X: expected one each."
                )
        self.layout = [
            (name, _DTYPES[self.cache.dtype], array.shape[1:]) for name, array in values.items()
        ]
        records = self.store.write(self.space, self.layout, keys[first], values)
        repeated = same if len(first) < len(rows) else None
        self._scatter(rows, {name: records[name] for name in values}, repeated)
        return len(first)

    def _scatter(
        self, rows: NDArray, values: dict[str, NDArray], source: NDArray | None = None
    ) -> None:
        """Copy values, or those at ``source``, to their rows of the arrays to return."""
        assert self.layout is not None
        if not self.arrays:
            n = n_rows(self.X)
            self.arrays = {
                name: np.empty((n, *shape), np.float32) for name, _, shape in self.layout
            }
        # Rows ascend; a run of them is copied faster, and without a copy between, as a slice.
        run = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
        to = slice(rows[0], rows[-1] + 1) if run else rows
        for name, array in values.items():
            if name == "proba" and self.order is not None:
                array = array[:, self.order]
            self.arrays[name][to] = array if source is None else array[source]
