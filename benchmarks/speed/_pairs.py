"""Two ways of the same work, timed in turn in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass
class Ratio:
    """Quartiles of paired ratios, and the medians of both ways."""

    low: float
    middle: float
    high: float
    ours: float
    reference: float
    unit: str = "s"

    def __str__(self) -> str:
        return (
            f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f}) | "
            f"{self.ours:.3g} against {self.reference:.3g} {self.unit}"
        )


def paired(
    ours: Callable[[], object], reference: Callable[[], object], pairs: int, warm: int = 1
) -> Ratio:
    """Time of ``ours`` over that of ``reference``; the order within a pair alternates.

    Each way runs ``warm`` times before anything is timed: the first optimizer of a process imports
    half of torch.
    """
    for _ in range(warm):
        ours(), reference()
    times = np.empty((pairs, 2))
    for i in range(pairs):
        ways = [(0, ours), (1, reference)]
        for way, run in ways if i % 2 else reversed(ways):
            start = time.perf_counter()
            run()
            times[i, way] = time.perf_counter() - start
    low, middle, high = np.quantile(times[:, 0] / times[:, 1], [0.25, 0.5, 0.75])
    return Ratio(low, middle, high, *np.median(times, axis=0))
