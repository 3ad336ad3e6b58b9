"""How well probabilities fit the labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lelp_sklearn.metrics._bins import assign
from lelp_sklearn.metrics._checks import SMALLEST, check_labels, check_weight, mean


def expected_calibration_error(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: str = "uniform",
    classwise: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean gap between confidence and accuracy, over bins.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels.
    proba : array-like of shape (n_rows, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), optional
        Labels of the columns. None: the sorted labels of y.
    n_bins : int, default=15
        Bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width over 0 to 1, or of equal mass: equally many rows in each, as far as
        equal probabilities allow. With sure models nearly all rows are in the last of the former.
    classwise : bool, default=False
        If not, confidence is the winning class's probability, and accuracy is how often it is
        right. If so, each class's probability is compared with its frequency, and the error is
        the mean over the classes; rare classes count as much as others.
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts; not so for the edges.

    Returns
    -------
    float
        From 0 to 1; 0 is calibrated. It is biased upwards, the more so for few rows a bin.

    See Also
    --------
    reliability_bins : The bins themselves.
    brier_score, log_loss : Proper scores, which also reward telling the classes apart.

    References
    ----------
    Guo et al. (2017), On Calibration of Modern Neural Networks, equation 3; bins of equal mass:
    Nixon et al. (2019), Measuring Calibration in Deep Learning, section 3; class by class: Kull et
    al. (2019), Beyond Temperature Scaling, equation 5.

    Examples
    --------
    >>> from lelp_sklearn.metrics import expected_calibration_error
    >>> expected_calibration_error([0, 1], [[0.875, 0.125], [0.625, 0.375]])  # right, wrong
    0.375
    """
    codes, p = check_labels(y, proba, classes)
    weight = check_weight(sample_weight, p)
    if classwise:
        parts = [(p[:, c], codes == c) for c in range(p.shape[1])]
    else:
        parts = [(p.max(axis=1), p.argmax(axis=1) == codes)]
    errors = []
    for confidence, right in parts:
        _, number = assign(confidence, n_bins, strategy)
        gaps = np.bincount(number, weights=weight * (right - confidence), minlength=n_bins)
        errors.append(np.abs(gaps).sum() / weight.sum())
    return float(np.mean(errors))


def brier_score(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    scale_by_half: bool | str = "auto",
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean squared distance of probabilities from the one-hot labels.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels.
    proba : array-like of shape (n_rows, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), optional
        Labels of the columns. None: the sorted labels of y.
    scale_by_half : bool or "auto", default="auto"
        Whether to halve the sum over classes, as scikit-learn names it. "auto" halves it for two
        classes, where it is the squared error of one probability.
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts.

    Returns
    -------
    float
        From 0 to 1 if halved, or else to 2.

    See Also
    --------
    sklearn.metrics.brier_score_loss : The same, for classes in sorted order.

    References
    ----------
    Brier (1950), Verification of Forecasts Expressed in Terms of Probability, equation 2.

    Examples
    --------
    >>> from lelp_sklearn.metrics import brier_score
    >>> brier_score([0, 1], [[0.75, 0.25], [0.5, 0.5]])
    0.15625
    """
    codes, p = check_labels(y, proba, classes)
    if not isinstance(scale_by_half, bool) and scale_by_half != "auto":
        raise ValueError(f"scale_by_half={scale_by_half!r}; expected True, False or 'auto'.")
    halved = p.shape[1] == 2 if scale_by_half == "auto" else scale_by_half
    return mean(squared_rows(codes, p) * (0.5 if halved else 1.0), sample_weight)


def log_loss(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean negative log-probability of the labels, in nats.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels.
    proba : array-like of shape (n_rows, n_classes)
        Probabilities. 0 counts as 2.2e-16, so that a row is 36.04 at the most.
    classes : array-like of shape (n_classes,), optional
        Labels of the columns, in any order. None: the sorted labels of y.
    sample_weight : array-like of shape (n_rows,), optional
        How much each row counts.

    Returns
    -------
    float
        0 at the least.

    See Also
    --------
    sklearn.metrics.log_loss : The same on float64 and classes in sorted order. On float32, 0
        counts as 1.2e-7 there.

    Examples
    --------
    >>> from lelp_sklearn.metrics import log_loss
    >>> round(log_loss(["no", "yes"], [[0.5, 0.5], [0.75, 0.25]]), 4)  # log(8) / 2
    1.0397
    """
    codes, p = check_labels(y, proba, classes)
    return mean(surprise_rows(codes, p), sample_weight)


def squared_rows(codes: NDArray, p: NDArray) -> NDArray:
    """Squared distance of each row from its one-hot label."""
    return np.square(p - np.eye(p.shape[1])[codes]).sum(axis=1)


def surprise_rows(codes: NDArray, p: NDArray) -> NDArray:
    """Negative log-probability of each row's label."""
    return -np.log(np.maximum(p[np.arange(len(p)), codes], SMALLEST))
