"""Fidelity and calibration, seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lelp_sklearn._tables import check_same_series
from lelp_sklearn.metrics import ConfidenceBins, agreement_by_confidence, reliability_bins
from lelp_sklearn.students._pipelines import last_step
from lelp_sklearn.teachers import align_proba


class FidelityDisplay:
    """Accuracy of teacher and student by confidence, and their agreement by the teacher's.

    On the dotted line a model is calibrated: right as often as it is sure to be. Agreement that
    falls short where the teacher is sure is a lack of fidelity. Larger marks stand for more rows.

    Make it with :meth:`from_estimators` or :meth:`from_predictions`.

    Parameters
    ----------
    teacher, student : ConfidenceBins
        Accuracy of each by its own confidence.
    agreement : ConfidenceBins
        Agreement by the teacher's confidence.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure that holds it.

    See Also
    --------
    fidelity_report : Figures, with controls and intervals.
    lelp_sklearn.metrics.reliability_bins, lelp_sklearn.metrics.agreement_by_confidence : The bins.

    Examples
    --------
    >>> from lelp_sklearn import FidelityDisplay
    >>> teacher = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
    >>> student = [[0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
    >>> display = FidelityDisplay.from_predictions(teacher, student, [0, 0, 1])
    >>> display.agreement.share[-1]
    np.float64(1.0)
    """

    def __init__(
        self, *, teacher: ConfidenceBins, student: ConfidenceBins, agreement: ConfidenceBins
    ):
        self.teacher = teacher
        self.student = student
        self.agreement = agreement

    @classmethod
    def from_estimators(
        cls,
        teacher: Any,
        student: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        ax: Any = None,
    ) -> FidelityDisplay:
        """Ask both models about rows, and draw.

        Parameters
        ----------
        teacher, student : estimator
            Fitted, with ``predict_proba`` and ``classes_``, whose columns are matched by label.
            Where the student is a DistilledClassifier, the teacher may be None, for its
            ``teacher_``.
        X : array-like of shape (n_rows, n_features)
            Rows that neither was trained on.
        y : array-like of shape (n_rows,)
            Labels.
        n_bins : int, default=10
            Bins of confidence.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width over 0 to 1, or of equally many rows.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        FidelityDisplay
        """
        check_same_series(y, X, "y")
        if teacher is None:
            teacher = getattr(last_step(student), "teacher_", None)
            if teacher is None:
                raise ValueError(
                    f"teacher is None, and {type(student).__name__} holds no teacher_: pass the "
                    "fitted teacher."
                )
        classes = np.asarray(student.classes_)
        proba = align_proba(teacher.predict_proba(X), teacher.classes_, classes)
        return cls.from_predictions(
            proba,
            student.predict_proba(X),
            y,
            classes=classes,
            n_bins=n_bins,
            strategy=strategy,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        teacher_proba: ArrayLike,
        student_proba: ArrayLike,
        y: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        n_bins: int = 10,
        strategy: str = "uniform",
        ax: Any = None,
    ) -> FidelityDisplay:
        """Draw from probabilities at hand.

        Parameters
        ----------
        teacher_proba, student_proba : array-like of shape (n_rows, n_classes)
            Probabilities, columns in the same order.
        y : array-like of shape (n_rows,)
            Labels.
        classes : array-like of shape (n_classes,), optional
            Labels of the columns. None: the sorted labels of y.
        n_bins : int, default=10
            Bins of confidence.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width over 0 to 1, or of equally many rows.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        FidelityDisplay
        """
        bins: dict[str, Any] = {"n_bins": n_bins, "strategy": strategy}
        display = cls(
            teacher=reliability_bins(y, teacher_proba, classes=classes, **bins),
            student=reliability_bins(y, student_proba, classes=classes, **bins),
            agreement=agreement_by_confidence(teacher_proba, student_proba, **bins),
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Any = None) -> FidelityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        self
        """
        import matplotlib.pyplot as plt

        self.ax_ = plt.subplots(layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        self.ax_.plot([0, 1], [0, 1], ":", color="0.7", label="calibrated")
        for label, bins, style in (
            ("teacher's accuracy", self.teacher, "-"),
            ("student's accuracy", self.student, "-"),
            ("agreement", self.agreement, "--"),
        ):
            filled = bins.weight > 0
            points = bins.confidence[filled], bins.share[filled]
            (line,) = self.ax_.plot(*points, style, label=label)
            size = 10 + 90 * bins.weight[filled] / bins.weight.sum()
            self.ax_.scatter(*points, s=size, color=line.get_color())
        sure = np.concatenate([b.confidence for b in (self.teacher, self.student)])
        self.ax_.set(
            xlabel="confidence (of agreement: the teacher's)",
            ylabel="share of rows",
            xlim=(np.nanmin(sure) - 0.02, 1.02),
            ylim=(-0.02, 1.02),
        )
        self.ax_.legend(loc="lower right")
        return self
