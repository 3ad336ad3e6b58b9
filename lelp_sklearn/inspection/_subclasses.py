"""Pseudo-subclasses, seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from lelp_sklearn._checks import check_magnitude, check_one_type
from lelp_sklearn._rows import plain_rows
from lelp_sklearn.students._pipelines import last_step, last_student
from lelp_sklearn.teachers import teacher_outputs


class SubclassDisplay:
    """Each class's rows on their two principal axes, coloured by their likeliest subclass.

    Make it with :meth:`from_projector`, or with :meth:`from_estimator` for a student's own.

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
        cls, projector: Any, H: ArrayLike, y: ArrayLike, *, axes: Any = None
    ) -> SubclassDisplay:
        """Draw the subclasses that a fitted projector gives to rows.

        Parameters
        ----------
        projector : SubclassSplitter
            Fitted; or a student that has one, a DistilledClassifier, a Pipeline or a search.
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
        projector = _projector_of(projector)
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

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        teacher_embeddings: ArrayLike | None = None,
        axes: Any = None,
    ) -> SubclassDisplay:
        """Draw the subclasses that a fitted student was trained on.

        Parameters
        ----------
        estimator : estimator
            A DistilledClassifier, whose teacher is asked; or a student, a Pipeline or a search,
            with ``teacher_embeddings``.
        X : array-like of shape (n_rows, n_features)
            Rows; only looked at where the teacher is asked.
        y : array-like of shape (n_rows,)
            Labels.
        teacher_embeddings : array-like of shape (n_rows, D), default=None
            The teacher's embeddings of the rows. None asks the ``teacher_``.
        axes : sequence of matplotlib Axes, default=None
            One a class. None makes a figure.

        Returns
        -------
        SubclassDisplay
        """
        check_is_fitted(estimator)
        projector = _projector_of(estimator)
        if teacher_embeddings is None:
            while isinstance(estimator, Pipeline):
                X = estimator[:-1].transform(X) if len(estimator) > 1 else X
                estimator = estimator.steps[-1][1]
            teacher = getattr(last_step(estimator), "teacher_", None)
            if teacher is None:
                raise ValueError(
                    f"{type(estimator).__name__} holds no teacher_ to ask: pass "
                    "teacher_embeddings, those of the rows of X."
                )
            teacher_embeddings = teacher_outputs(teacher, X).embeddings
            assert teacher_embeddings is not None  # the projector was fitted on such
        return cls.from_projector(projector, teacher_embeddings, y, axes=axes)

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


def _projector_of(estimator: Any) -> Any:
    """The splitter itself, or the one in a fitted student's objective."""
    if hasattr(estimator, "n_subclasses_"):
        return estimator
    parts: list[Any] = [getattr(last_student(estimator), "objective_", None)]
    while parts:
        part = parts.pop()
        if hasattr(part, "projector_"):
            return part.projector_
        parts += [inner for _, inner in getattr(part, "objectives_", ())]
    raise TypeError(
        f"{type(estimator).__name__} has no fitted projector: expected a splitter, or a student "
        "that was trained with the objective LELP on a teacher's embeddings."
    )
