"""Decoupled distillation: the target class, and the others among themselves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Real
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from lelp_sklearn._compat import Interval
from lelp_sklearn.losses import dkd
from lelp_sklearn.objectives._base import Objective, soften, weighted_mean
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class DKD(Objective):
    r"""Decoupled knowledge distillation, for three classes and more.

    .. math::
        \tau^2 \big[ \alpha \, KL(b^T \| b^S) + \beta \, KL(\hat p^T \| \hat p^S) \big]

    b is how probable the row's class is and how probable all others are together,
    :math:`\hat p` how the others share their part. Plain distillation weighs the second by
    :math:`1 - p^T_y`, next to nothing where the teacher is sure. It helps where the wrong classes
    are related to one another, and costs no more than ``KD()``. The paper adds the labels:
    ``CrossEntropy() + DKD()``.

    Parameters
    ----------
    alpha : float, default=1.0
        Weight of the target class's term, from 0.
    beta : float, default=8.0
        Weight of the others' term, from 0. The paper has 2 to 8 for 100 classes, and 0.5 at a
        temperature of 1 for 1000.
    temperature : float, default=4.0
        tau above 0.

    Warns
    -----
    UserWarning
        With two classes, where the second term is 0 whatever the student does and what is left is
        ``alpha`` times ``KD(alpha=0, temperature=temperature)``. ``beta=0`` says that this is
        meant.

    See Also
    --------
    KD : Both terms with one weight.
    DIST : Correlations in place of divergences.

    Notes
    -----
    The row's class is its label, and the teacher's prediction for a row without one. In the paper
    the weight rises from 0 over the first twelfth of training: ``WeightedSum`` takes such a
    function of the progress as a weight.

    References
    ----------
    Zhao, Cui, Song, Qiu and Liang (2022), Decoupled Knowledge Distillation, CVPR, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from lelp_sklearn import DKD, CrossEntropy, StudentClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y = X / 16, y % 5
    >>> teacher = KNeighborsClassifier(10).fit(X, y)
    >>> student = StudentClassifier(objective=CrossEntropy() + DKD(), random_state=0)
    >>> student.fit(X, y, teacher_proba=teacher.predict_proba(X)).score(X, y) > 0.8
    True
    """

    needs = ("proba",)
    _parameter_constraints: dict = {  # noqa: RUF012
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0):
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> DKD:
        """Check the parameters; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        if len(classes) == 2 and self.beta > 0:
            warnings.warn(
                f"DKD(beta={self.beta}) with two classes is {self.alpha} * KD(alpha=0, "
                f"temperature={self.temperature}): there is one other class, which shares with "
                "none, and the term of beta is dropped. beta=0 says that this is meant.",
                UserWarning,
                stacklevel=6,
            )
        return self

    def _check(self, classes: NDArray) -> None:
        super()._check(classes)
        if len(classes) == 2 and self.alpha == 0:
            raise ValueError(
                "DKD(alpha=0) with two classes has no loss: there is one other class, which shares "
                "with none. Set alpha=1.0, or use KD()."
            )

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's softened probabilities."""
        assert teacher.proba is not None
        return {"class": soften(teacher.proba, self.temperature)}

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch of both terms."""
        rows = dkd(
            outputs.logits,
            targets["class"],
            targets["y"],
            self.alpha,
            self.beta,
            self.temperature,
        )
        return weighted_mean(rows, targets["weight"])
