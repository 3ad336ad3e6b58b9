"""Pseudo-subclasses, seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from lelp_sklearn._checks import check_magnitude, check_one_type
from lelp_sklearn._rows import plain_rows
from lelp_sklearn.subclasses import SubclassSplitter


class SubclassDisplay:
    """Each class's rows on their two principal axes, coloured by their likeliest subclass.

    Make it with :meth:`from_projector`.

    Parameters
    ----------
    points : list of ndarray of shape (n_c, 2)
        Rows of each class on its own two principal axes.
    subclasses : list of ndarray of shape (n_c,)
        Number of each row's likeliest subclass within its class.
    shares : list of ndarray of shape (S_c,)
        Mean probability of each subclass over its class's rows.
    classes : ndarray of shape (C,)
        Labels.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One a class.
    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    HistoryDisplay : Learning curves.
    LELPProjector.representatives : The rows at a subclass's extreme.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import LELPProjector, SubclassDisplay
    >>> X, digit = load_digits(return_X_y=True)
    >>> projector = LELPProjector(n_subclasses=5, null_space=False, random_state=0)
    >>> projector = projector.fit(X, digit % 2)
    >>> display = SubclassDisplay.from_projector(projector, X, digit % 2)
    >>> len(display.axes_), display.shares[0].sum().round(6)
    (2, np.float64(1.0))
    """

    def __init__(
        self,
        *,
        points: list[NDArray],
        subclasses: list[NDArray],
        shares: list[NDArray],
        classes: NDArray,
    ):
        self.points = points
        self.subclasses = subclasses
        self.shares = shares
        self.classes = classes

    @classmethod
    def from_projector(
        cls, projector: SubclassSplitter, H: ArrayLike, y: ArrayLike, *, axes: Any = None
    ) -> SubclassDisplay:
        """Draw the subclasses that a fitted projector gives to rows.

        Parameters
        ----------
        projector : SubclassSplitter
            Fitted.
        H : array-like of shape (n_rows, D)
            Teacher embeddings.
        y : array-like of shape (n_rows,)
            Labels.
        axes : sequence of matplotlib Axes, default=None
            One a class. None makes a figure.

        Returns
        -------
        SubclassDisplay
        """
        rows, labels = check_array(H, dtype="numeric"), column_or_1d(y)
        check_one_type(labels, "y")
        check_magnitude(rows, "H")
        check_consistent_length(rows, labels)
        split = plain_rows(projector.transform(rows))
        stops = np.cumsum(projector.n_subclasses_)
        blocks = np.split(split, stops[:-1], axis=1)
        points, subclasses, shares = [], [], []
        for label, block in zip(projector.classes_, blocks, strict=True):
            own = labels == label
            if own.sum() < 2:
                raise ValueError(
                    f"class {label!r} has {own.sum()} rows in y; at least 2 are needed to draw it."
                )
            with np.errstate(divide="ignore", invalid="ignore"):  # shares of no variance
                points.append(PCA(2).set_output(transform="default").fit_transform(rows[own]))
            subclasses.append(block[own].argmax(axis=1))
            shares.append(block[own].mean(axis=0))
        display = cls(
            points=points, subclasses=subclasses, shares=shares, classes=projector.classes_
        )
        return display.plot(axes=axes)

    def plot(self, *, axes: Any = None) -> SubclassDisplay:
        """Draw.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, default=None
            One a class. None makes a figure.

        Returns
        -------
        self
        """
        import matplotlib.pyplot as plt

        if axes is None:
            n = len(self.classes)
            _, axes = plt.subplots(1, n, figsize=(4.5 * n, 4), layout="constrained", squeeze=False)
        self.axes_ = np.ravel(axes)
        self.figure_ = self.axes_[0].figure
        for c, ax in enumerate(self.axes_):
            for s, share in enumerate(self.shares[c]):
                chosen = self.points[c][self.subclasses[c] == s]
                ax.scatter(*chosen.T, s=8, color=f"C{s % 10}", label=f"{s}: {share:.0%}")
            ax.set(title=f"class {self.classes[c]}", xlabel="first axis", ylabel="second axis")
            ax.legend(title="subclass: share", fontsize="small", markerscale=2)
        return self
