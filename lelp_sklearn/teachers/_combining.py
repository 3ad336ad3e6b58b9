"""How several teachers' probabilities and embeddings become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, softmax

from lelp_sklearn._checks import check_magnitude

# Trees give exact zeros; a logarithm of them would let one teacher veto all others.
_SMALLEST = 1e-7


def mean_logits(probas: NDArray) -> NDArray:
    r"""Renormalised geometric mean, :math:`\mathrm{softmax}(\frac{1}{M} \sum_m \log p_m)`.

    Parameters
    ----------
    probas : ndarray of shape (M, n, C)
        Probabilities by M teachers.

    Returns
    -------
    proba : ndarray of shape (n, C)

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn.teachers._combining import mean_logits
    >>> mean_logits(np.array([[[0.9, 0.1]], [[0.5, 0.5]]])).round(2)
    array([[0.75, 0.25]])
    """
    return softmax(_log(probas).mean(axis=0), axis=1)


def entropy_weights(probas: NDArray) -> NDArray:
    r"""Weights by sureness, :math:`w_m = (1 - H_m / \sum_j H_j) / (M - 1)`, row by row.

    Parameters
    ----------
    probas : ndarray of shape (M, n, C)
        Probabilities by M teachers.

    Returns
    -------
    weights : ndarray of shape (M, n)
        Summing to 1 over teachers; equal where all teachers are certain.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn.teachers._combining import entropy_weights
    >>> entropy_weights(np.array([[[0.9, 0.1]], [[0.5, 0.5]]])).round(2)
    array([[0.68],
           [0.32]])
    """
    entropy = entr(probas).sum(axis=2).clip(min=0)
    total = entropy.sum(axis=0)
    share = np.full_like(entropy, 1 / len(probas))
    np.divide(entropy, total, out=share, where=total > 0)
    return _complement(share)


def ca_mkd_weights(probas: NDArray, y: NDArray) -> NDArray:
    r"""Weights by rightness, :math:`w_m = (1 - \mathrm{softmax}_m(\ell)) / (M - 1)`, row by row.

    Parameters
    ----------
    probas : ndarray of shape (M, n, C)
        Probabilities by M teachers.
    y : ndarray of shape (n,)
        Class numbers.

    Returns
    -------
    weights : ndarray of shape (M, n)
        Summing to 1 over teachers.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn.teachers._combining import ca_mkd_weights
    >>> ca_mkd_weights(np.array([[[0.9, 0.1]], [[0.1, 0.9]]]), np.array([0])).round(2)
    array([[0.9],
           [0.1]])
    """
    return _complement(softmax(np.stack([cross_entropy(p, y) for p in probas]), axis=0))


def cross_entropy(proba: NDArray, y: NDArray) -> NDArray:
    r"""Cross-entropy with labels, :math:`-\log p(y)`, of rows of shape (n, C)."""
    return -_log(np.take_along_axis(proba, y[:, None], axis=1)[:, 0].astype(np.float64))


def _complement(share: NDArray) -> NDArray:
    """(1 - share) / (M - 1), which sums to 1 as the shares do; 1 for a single teacher."""
    return (1 - share) / (len(share) - 1) if len(share) > 1 else np.ones_like(share)


def _log(proba: NDArray) -> NDArray:
    return np.log(np.clip(proba, _SMALLEST, 1))


@dataclass(frozen=True)
class StandardBlock:
    """Standardisation of one teacher's embeddings: total variance 1 over the rows of fit."""

    mean: NDArray
    scale: float
    directions: NDArray | None

    @classmethod
    def fit(cls, H: NDArray, weight: NDArray | None, n_components: int | None) -> StandardBlock:
        """Learn it from embeddings (n, D) and weights of the rows."""
        H = H.astype(np.float64)
        check_magnitude(H, "embeddings")
        mean = np.average(H, axis=0, weights=weight)
        centred = H - mean
        share = np.full(len(H), 1 / len(H)) if weight is None else weight / weight.sum()
        variance = share @ centred**2
        # The variance of a constant column is rounding, which must not be blown up to 1.
        noise = (len(H) * np.finfo(np.float64).eps * mean) ** 2
        total = variance[variance > noise].sum()
        directions = None
        if n_components is not None and n_components < H.shape[1]:
            rows = np.sqrt(share)[:, None] * centred
            rows = np.linalg.qr(rows, mode="r") if len(rows) > rows.shape[1] else rows
            _, singular, found = np.linalg.svd(rows, full_matrices=False)
            found = found[:n_components]
            largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
            directions = (found * np.sign(largest)).T
            total = (singular[:n_components] ** 2).sum() if total > 0 else 0.0
        return cls(mean, float(np.sqrt(total)) or 1.0, directions)

    @property
    def width(self) -> int:
        """Columns of transform."""
        return len(self.mean) if self.directions is None else self.directions.shape[1]

    def transform(self, H: Any) -> NDArray:
        """Standardise embeddings (n, D)."""
        centred = H - self.mean
        scaled = (centred if self.directions is None else centred @ self.directions) / self.scale
        return scaled.astype(np.float32) if H.dtype == np.float32 else scaled
