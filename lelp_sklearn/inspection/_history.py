"""Learning curves."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from lelp_sklearn.students._pipelines import last_student


class HistoryDisplay:
    """Losses and held-out accuracy of a student over its epochs.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    history : list of dict
        A student's ``history_``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the losses are.
    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    SubclassDisplay : What a projector made of the classes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from lelp_sklearn import CrossEntropy, HistoryDisplay, StudentClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> student = StudentClassifier(objective=CrossEntropy(), validation_fraction=0.2)
    >>> display = HistoryDisplay.from_estimator(student.fit(X, y))
    >>> [line.get_label() for line in display.ax_.get_lines()]
    ['train_loss', 'valid_loss']
    """

    def __init__(self, *, history: list[dict[str, Any]]):
        self.history = history

    @classmethod
    def from_estimator(cls, student: Any, *, ax: Any = None) -> HistoryDisplay:
        """Draw the learning curves of a fitted student.

        Parameters
        ----------
        student : estimator
            Fitted, with ``history_``; or what ends in one, such as a DistilledClassifier, a
            Pipeline or a search.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        HistoryDisplay
        """
        check_is_fitted(student)
        trained = last_student(student)
        if not hasattr(trained, "history_"):
            raise TypeError(
                f"{type(trained).__name__} has no history_: expected a student, or a "
                "DistilledClassifier, Pipeline or search that ends in one."
            )
        return cls(history=trained.history_).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> HistoryDisplay:
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
        self._lines(self.ax_, ("train_loss", "valid_loss"), style="-")
        self.ax_.set(xlabel="epoch", ylabel="loss")
        if "valid_acc" in self.history[0]:
            right = self.ax_.twinx()
            self._lines(right, ("valid_acc",), style=":", color="0.4")
            right.set(ylabel="held-out accuracy")
        self.figure_.legend(loc="outside upper center", ncols=3)
        return self

    def _lines(self, ax: Any, names: tuple[str, ...], style: str, **line: Any) -> None:
        epochs = [row["epoch"] for row in self.history]
        for name in names:
            if name in self.history[0]:
                values = [row[name] for row in self.history]
                ax.plot(epochs, values, style, label=name, **line)
