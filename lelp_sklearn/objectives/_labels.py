"""Training on labels alone: the baseline of every comparison."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from lelp_sklearn._compat import Interval
from lelp_sklearn.losses import fold, label_loss
from lelp_sklearn.objectives._base import Objective, weighted_mean
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs
from lelp_sklearn.subclasses._base import subclass_counts


class CrossEntropy(Objective):
    """Cross-entropy with the labels; no teacher.

    Parameters
    ----------
    n_subclasses : int or mapping of label to int, default=1
        Logits a class. Above 1 the head is wide: a class's probability is the sum over its
        logits, which lets a linear student cut a class out piece by piece.

    See Also
    --------
    KD : Plain distillation.
    LELP : Distillation on pseudo-subclasses.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import CrossEntropy, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> student = StudentClassifier(objective=CrossEntropy(n_subclasses=5), random_state=0)
    >>> student.fit(X / 16, digit % 2).score(X / 16, digit % 2) > 0.94
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_subclasses": [Interval(Integral, 1, None, closed="left"), Mapping]
    }

    def __init__(self, *, n_subclasses: int | Mapping[Any, int] = 1):
        self.n_subclasses = n_subclasses

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> CrossEntropy:
        """Set the width of each class; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        self.n_subclasses_ = tuple(subclass_counts(self.n_subclasses, classes).tolist())
        return self

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean cross-entropy of the labelled rows."""
        rows = label_loss(fold(outputs.logits, self.n_subclasses_), targets["y"])
        return weighted_mean(rows, targets["weight"] * targets["labeled"])
