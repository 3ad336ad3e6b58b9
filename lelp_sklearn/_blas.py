"""Work for the threads of BLAS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
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
    blas = _blas()
    n_threads = max((library["num_threads"] for library in blas.info()), default=1)
    with blas.limit(limits=1), ThreadPoolExecutor(n_threads) as pool:
        yield pool.map if n_threads > 1 else map


@cache
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")  # a millisecond to find
