"""Per-class moments of embeddings: one streaming pass, and the moments of parts add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn._blas import blas_threads

# Rows are sorted by class within blocks of so many numbers, 256 MB in float32. They are not copied,
# but a file's pages should still be there when the last class comes to them.
_BLOCK_SIZE = 2**26
# So many rows of a class are a thread's at a time, and so many are copied and multiplied at once;
# their products are summed in float32.
_PART_ROWS = 2**15
_CHUNK_ROWS = 2048
_FEW_ROWS = 512
# What the layers of a teacher round a number to, as a share of it, by the bytes of its type.
PRECISION = {2: 1e-3, 4: 1.2e-7, 8: 1e-11}
# Log-probabilities of exact zeros stop here, at float32's smallest normal number.
_SMALLEST_PROBA = float(np.finfo(np.float32).tiny)


class ClassMoments:
    """Count, mean and scatter of the embeddings of each class, and how they go with the logits.

    ``cross`` is the cross moment of all rows' embeddings and centred log-probabilities, kept
    only where the teacher's probabilities are given: the least squares that recovers the
    teacher's output weights needs nothing else. ``precision`` is what the rows' type rounds a
    number to, as a share of it.

    Parameters
    ----------
    classes : array of shape (C,)
        Sorted labels.
    n_features : int
        Width D of the embeddings.
    n_proba : int, optional
        Columns of the teacher's probabilities, where they are given.
    """

    def __init__(self, classes: NDArray, n_features: int, n_proba: int | None = None):
        n_classes = len(classes)
        self.classes = classes
        self.count = np.zeros(n_classes, dtype=np.int64)
        self.mean = np.zeros((n_classes, n_features))
        self.scatter = np.zeros((n_classes, n_features, n_features))
        self.precision = 0.0
        self.n_proba = n_proba
        self.logit_mean = np.zeros(n_proba or 0)
        self.cross = np.zeros((n_features, n_proba or 0))

    @classmethod
    def of(cls, H: NDArray, y: NDArray, proba: NDArray | None = None) -> ClassMoments:
        """Moments of rows ``H`` (n, D) with labels ``y``, read once and never copied whole.

        NaN or infinity anywhere makes the moments of its class NaN or infinite: see ``finite``.
        """
        classes, codes = np.unique(y, return_inverse=True)
        moments = cls(classes, H.shape[1], None if proba is None else proba.shape[1])
        moments.precision = PRECISION[H.dtype.itemsize]
        step = max(1, _BLOCK_SIZE // H.shape[1])
        with np.errstate(invalid="ignore", over="ignore"), blas_threads() as map_:
            for start in range(0, len(H), step):
                rows = slice(start, start + step)
                if proba is not None:
                    moments._add_logits(*_logit_moments(H[rows], proba[rows]))
                moments._add_block(H[rows], codes[rows], map_)
        return moments

    def merged(self, other: ClassMoments) -> ClassMoments:
        """Moments of both sets of rows together; neither part is changed."""
        if self.mean.shape[1] != other.mean.shape[1]:
            raise ValueError(
                f"Cannot join moments of {self.mean.shape[1]} and {other.mean.shape[1]} "
                "embedding columns: both parts must come from the same teacher."
            )
        if self.n_proba != other.n_proba:
            raise ValueError(
                f"teacher_proba has {other.n_proba} columns here and {self.n_proba} before; "
                "pass the same teacher's probabilities in every call, or in none."
            )
        try:
            classes = np.union1d(self.classes, other.classes)
        except TypeError as error:
            raise TypeError(
                f"Cannot join the classes {self.classes.tolist()} and {other.classes.tolist()}: "
                "expected labels of one type."
            ) from error
        total = ClassMoments(classes, self.mean.shape[1], self.n_proba)
        total.precision = max(self.precision, other.precision)
        for part in (self, other):
            total._add_logits(part.total_count, part.total_mean, part.logit_mean, part.cross)
            for c, place in enumerate(np.searchsorted(classes, part.classes)):
                total._add_class(place, part.count[c], part.mean[c], part.scatter[c])
        return total

    @property
    def total_count(self) -> int:
        """Number of rows in all classes."""
        return int(self.count.sum())

    @property
    def total_mean(self) -> NDArray:
        """Mean of all rows, shape (D,)."""
        return self.count @ self.mean / max(self.total_count, 1)

    @property
    def total_scatter(self) -> NDArray:
        """Scatter of all rows around their common mean, shape (D, D)."""
        between = self.mean - self.total_mean
        return self.scatter.sum(axis=0) + (between.T * self.count) @ between

    def is_constant(self, c: int, scatter: NDArray | None = None) -> bool:
        """Whether the rows of class number c differ by no more than their type rounds.

        In part of their space, where its scatter is given.
        """
        whole = np.trace(self.scatter[c])
        rounding = self.precision**2 * self.count[c] * (self.mean[c] @ self.mean[c])
        if whole <= rounding or scatter is None:
            return bool(whole <= rounding)
        return bool(np.trace(scatter) <= max(rounding, 1e-12 * whole))

    @property
    def finite(self) -> bool:
        """Whether all moments are, and so all rows that went into them."""
        parts = (self.mean, self.scatter, self.cross)
        return all(bool(np.isfinite(part).all()) for part in parts)

    def _add_block(self, H: NDArray, codes: NDArray, map_: Callable[..., Any]) -> None:
        small = codes.astype(np.min_scalar_type(len(self.classes)))
        order = np.argsort(small, kind="stable")  # a radix sort of few bits
        ends = np.cumsum(np.bincount(codes, minlength=len(self.classes)))
        parts = [
            (c, of_class[start : start + _PART_ROWS])
            for c, of_class in enumerate(np.split(order, ends[:-1]))
            for start in range(0, len(of_class), _PART_ROWS)
        ]
        found = map_(lambda part: _mean_and_scatter(H, part[1]), parts)
        for (c, rows), (mean, scatter) in zip(parts, found, strict=True):
            self._add_class(c, len(rows), mean, scatter)

    def _add_class(self, c: int, count: int, mean: NDArray, scatter: NDArray) -> None:
        """Pairwise update of Chan, Golub and LeVeque (1979)."""
        both = self.count[c] + count
        if both == 0:
            return
        step = mean - self.mean[c]
        self.scatter[c] += scatter
        self.scatter[c] += np.outer(step * (self.count[c] * count / both), step)
        self.mean[c] += step * (count / both)
        self.count[c] = both

    def _add_logits(self, count: int, mean: NDArray, logit_mean: NDArray, cross: NDArray) -> None:
        """The same update for the cross moment; call it before the classes grow."""
        before = self.total_count
        both = max(before + count, 1)
        step = logit_mean - self.logit_mean
        self.cross += cross + np.outer(mean - self.total_mean, step) * (before * count / both)
        self.logit_mean += step * (count / both)


@np.errstate(invalid="ignore", over="ignore")  # of its own in each thread
def _mean_and_scatter(H: NDArray, rows: NDArray) -> tuple[NDArray, NDArray]:
    """Mean (D,) and scatter (D, D) of some rows, products in their own precision.

    Rows are shifted to about zero first, so that float32 products lose nothing; a chunk's are
    summed in float32, the chunks in float64.
    """
    n_features = H.shape[1]
    total, scatter = np.zeros(n_features), np.zeros((n_features, n_features))
    chunk = np.empty((min(_CHUNK_ROWS, len(rows)), n_features), H.dtype)
    products = np.empty((n_features, n_features), H.dtype)
    ones = np.ones(len(chunk), H.dtype)
    shift = H[rows[:_FEW_ROWS]].mean(axis=0, dtype=np.float64).astype(H.dtype)
    for start in range(0, len(rows), _CHUNK_ROWS):
        some = rows[start : start + _CHUNK_ROWS]
        Z = chunk[: len(some)]
        np.take(H, some, axis=0, out=Z, mode="clip")  # "raise" would copy through a buffer
        Z -= shift
        total += ones[: len(some)] @ Z
        scatter += np.matmul(Z.T, Z, out=products)  # numpy computes half of it
    scatter -= np.outer(total, total / len(rows))
    return shift + total / len(rows), scatter


def _logit_moments(H: NDArray, proba: NDArray) -> tuple[int, NDArray, NDArray, NDArray]:
    """Count, mean embedding, mean logits and their cross moment, in float64."""
    shift = H[:_FEW_ROWS].mean(axis=0, dtype=np.float64)
    total, logit_total = np.zeros(H.shape[1]), np.zeros(proba.shape[1])
    cross = np.zeros((H.shape[1], proba.shape[1]))
    for start in range(0, len(H), _FEW_ROWS):
        Z = H[start : start + _FEW_ROWS] - shift
        logits = centred_log_proba(proba[start : start + _FEW_ROWS])
        total += Z.sum(axis=0)
        logit_total += logits.sum(axis=0)
        cross += Z.T @ logits
    cross -= np.outer(total, logit_total / len(H))
    return len(H), shift + total / len(H), logit_total / len(H), cross


def centred_log_proba(proba: NDArray) -> NDArray:
    """Logits up to the soft-max's free constant: log-probabilities minus their row mean."""
    logits = np.log(np.maximum(proba, _SMALLEST_PROBA, dtype=np.float64))
    return logits - logits.mean(axis=1, keepdims=True)
