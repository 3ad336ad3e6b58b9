"""One call of a cache: rows found are gathered, rows missing wait for a full batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from lelp_sklearn._rows import n_rows
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._keys import row_keys, take_rows
from lelp_sklearn.teachers._outputs import teacher_outputs

if TYPE_CHECKING:
    from lelp_sklearn.teachers._cache import TeacherCache

DTYPES = {"float16": "<f2", "float32": "<f4"}


class Gathering:
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
        rows = take_rows(self.X, slice(start, start + self.cache.batch_size))
        keys = row_keys(rows, self.store.secret)
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
            (name, DTYPES[self.cache.dtype], array.shape[1:]) for name, array in values.items()
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
        # A run of rows is copied faster, and without a copy between, as a slice.
        run = len(rows) > 0 and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
        to = slice(rows[0], rows[-1] + 1) if run else rows
        for name, array in values.items():
            if name == "proba" and self.order is not None:
                array = array[:, self.order]
            self.arrays[name][to] = array if source is None else array[source]
