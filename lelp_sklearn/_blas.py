"""Work for the threads of BLAS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController


@contextmanager
def blas_threads() -> Iterator[Callable[..., Iterator[Any]]]:
    """A ``map`` over as many threads as BLAS would use; meanwhile it has one in each.

    What surrounds a product is then done by all threads too, for which PCA waits
    (benchmarks/speed/projector.py has the ratios); and no sum depends on their number.

    Examples
    --------
    >>> from lelp_sklearn._blas import blas_threads
    >>> with blas_threads() as map_:
    ...     list(map_(lambda x: x + 1, [1, 2, 3]))
    [2, 3, 4]
    """
    with _one_thread as n_threads, ThreadPoolExecutor(n_threads) as pool:
        yield pool.map if n_threads > 1 else map


class _OneThread:
    """BLAS with one thread in all of the process while anyone is inside.

    The last one out restores the number: a limit for each would restore the 1 it found beside
    another fit, and leave it so.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.n_inside = 0

    def __enter__(self) -> int:
        """Say how many threads it had; 1 beside another."""
        with self.lock:
            n_threads = max((library["num_threads"] for library in _blas().info()), default=1)
            if not self.n_inside:
                self.limit = _blas().limit(limits=1)
            self.n_inside += 1
        return n_threads

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self.n_inside -= 1
            if not self.n_inside:
                self.limit.restore_original_limits()


_one_thread = _OneThread()


@cache
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")  # a millisecond to find
