"""Per-class moments of embeddings: one streaming pass, and the moments of parts add up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows are read in blocks of this many numbers: 32 MB in float32, whatever the width.
_BLOCK_SIZE = 2**23
# Log-probabilities of exact zeros stop here, at float32's smallest normal number.
_SMALLEST_PROBA = float(np.finfo(np.float32).tiny)


class ClassMoments:
    """Count, mean and scatter of the embeddings of each class, and how they go with the logits.

    ``cross`` is the cross moment of all rows' embeddings and centred log-probabilities, kept
    only where the teacher's probabilities are given: the least squares that recovers the
    teacher's output weights needs nothing else.

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
        self.n_proba = n_proba
        self.logit_mean = np.zeros(n_proba or 0)
        self.cross = np.zeros((n_features, n_proba or 0))

    @classmethod
    def of(cls, H: NDArray, y: NDArray, proba: NDArray | None = None) -> ClassMoments:
        """Moments of rows ``H`` (n, D) with labels ``y``: float32 blocks, float64 sums."""
        classes, codes = np.unique(y, return_inverse=True)
        moments = cls(classes, H.shape[1], None if proba is None else proba.shape[1])
        step = max(1, _BLOCK_SIZE // H.shape[1])
        for start in range(0, len(H), step):
            rows = slice(start, start + step)
            moments._add_block(H[rows], codes[rows], None if proba is None else proba[rows])
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
        classes = np.union1d(self.classes, other.classes)
        total = ClassMoments(classes, self.mean.shape[1], self.n_proba)
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

    def _add_block(self, H: NDArray, codes: NDArray, proba: NDArray | None) -> None:
        if proba is not None:
            logits = centred_log_proba(proba)
            mean = logits.mean(axis=0)
            cross = H.T @ (logits - mean)
            self._add_logits(len(H), H.mean(axis=0, dtype=np.float64), mean, cross)
        for c in np.unique(codes):
            rows = H[codes == c]
            mean = rows.mean(axis=0, dtype=np.float64)
            rows -= mean.astype(H.dtype)  # centred first, so that float32 products lose nothing
            self._add_class(c, len(rows), mean, rows.T @ rows)

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


def centred_log_proba(proba: NDArray) -> NDArray:
    """Logits up to the soft-max's free constant: log-probabilities minus their row mean."""
    logits = np.log(np.maximum(proba, _SMALLEST_PROBA, dtype=np.float64))
    return logits - logits.mean(axis=1, keepdims=True)
