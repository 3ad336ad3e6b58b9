"""Mean and standard deviation of columns, in float64, of rows that come part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**17  # numbers, a megabyte of float64
_TINY = 1e-307  # the reciprocal of what is less may overflow
_LAST_BITS = 10 * np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class Moments:
    """Of ``n`` rows: the mean and the standard deviation of each column."""

    n: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, X: NDArray) -> Moments:
        """Of the rows of an array of any real type, chunk by chunk."""
        # Counted from one of the rows, so that a large offset leaves the digits to the rest.
        origin = X[0].astype(np.float64)
        n, mean, std = 0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for rows in chunks(X):
                Z = np.subtract(X[rows], origin, dtype=np.float64, order="C")
                # In units of the largest, of which no square overflows or vanishes.
                unit = np.maximum(Z.max(axis=0), -Z.min(axis=0))
                unit[unit == 0] = 1
                Z /= unit
                new = Z.mean(axis=0)
                Z -= new
                spread = np.sqrt(np.einsum("ij,ij->j", Z, Z) / len(Z))
                n, mean, std = _merged((n, mean, std), (len(Z), new * unit, spread * unit))
            return cls(n, origin + mean, std)

    def then(self, other: Moments) -> Moments:
        """Of both sets of rows (Chan, Golub and LeVeque 1983)."""
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            first, second = (self.n, self.mean, self.std), (other.n, other.mean, other.std)
            return Moments(*_merged(first, second))

    @property
    def scale(self) -> NDArray[np.float64]:
        """What to divide by: 1 for a column that is constant, or so but for its last bits."""
        least = np.maximum(_LAST_BITS * np.abs(self.mean), _TINY)
        return np.where(self.std <= least, 1.0, self.std)


def chunks(X: NDArray) -> Iterator[slice]:
    """Slices of rows, few enough at a time to stay in a processor's cache in float64."""
    size = max(1, CHUNK // max(1, X.shape[1]))
    return (slice(start, start + size) for start in range(0, len(X), size))


def _merged(first: tuple, second: tuple) -> tuple[int, NDArray, NDArray]:
    (n, mean, std), (n_new, mean_new, std_new) = first, second
    total = n + n_new
    share = n_new / total
    difference = mean_new - mean
    within = np.hypot(np.sqrt(1 - share) * std, np.sqrt(share) * std_new)
    between = np.sqrt(share * (1 - share)) * np.abs(difference)
    return total, mean + share * difference, np.hypot(within, between)
