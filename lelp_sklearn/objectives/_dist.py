"""DIST: correlations of probabilities, within rows and within classes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Real
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from lelp_sklearn._compat import Interval
from lelp_sklearn.losses import dist_inter, dist_intra
from lelp_sklearn.objectives._base import Objective, soften, weighted_mean
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class DIST(Objective):
    r"""Distillation from a stronger teacher: correlations in place of exact probabilities.

    .. math::
        \tau^2 \Big[ \beta \frac1B \sum_i \big(1 - \rho(p^S_{i \cdot}, p^T_{i \cdot})\big) +
            \gamma \frac1C \sum_c \big(1 - \rho(p^S_{\cdot c}, p^T_{\cdot c})\big) \Big]

    The first term looks along each row (inter-class), the second along each class over the batch
    (intra-class). A student far smaller than its teacher is not asked for more than the teacher's
    preferences. Costs no more than ``KD()``.

    Correlations ignore shift and scale, so this alone says little of how probable classes are, and
    with two classes nothing of where one gives way to the other: add ``CrossEntropy()``, as the
    paper does, or ``KD()``.

    Parameters
    ----------
    beta : float, default=1.0
        Weight of the rows' term, from 0.
    gamma : float, default=1.0
        Weight of the classes' term, from 0. It wants batches of 32 rows and more.
    temperature : float, default=1.0
        tau above 0.

    Warns
    -----
    UserWarning
        With two classes, where the rows' correlations are 1 or -1 and their term has no gradient:
        it is dropped. ``beta=0`` says that this is meant.

    See Also
    --------
    KD : Divergences.
    DKD : Divergences, the others among themselves apart.

    Notes
    -----
    ``history_`` has both terms without their weights. Row weights count in the first term's mean,
    and in the second's means and correlations.

    References
    ----------
    Huang, You, Wang, Qian and Xu (2022), Knowledge Distillation from A Stronger Teacher, NeurIPS,
    arXiv:2205.10536. The factor of the temperature is that of the authors' code.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from lelp_sklearn import DIST, CrossEntropy, StudentClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y = X / 16, y % 5
    >>> teacher = KNeighborsClassifier(10).fit(X, y)
    >>> objective = CrossEntropy() + 2 * DIST()
    >>> student = StudentClassifier(objective=objective, max_epochs=20, random_state=0)
    >>> student.fit(X, y, teacher_proba=teacher.predict_proba(X)).score(X, y) > 0.8
    True
    """

    needs = ("proba",)
    _parameter_constraints: dict = {  # noqa: RUF012
        "beta": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0):
        self.beta = beta
        self.gamma = gamma
        self.temperature = temperature

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> DIST:
        """Check the parameters; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        if len(classes) == 2 and self.beta > 0:
            warnings.warn(
                f"DIST(beta={self.beta}) drops its term along rows, as there are two classes: two "
                "probabilities correlate by 1 or -1, whatever they are. beta=0 says that this is "
                "meant.",
                UserWarning,
                stacklevel=6,
            )
        return self

    def _check(self, classes: NDArray) -> None:
        super()._check(classes)
        if len(classes) == 2 and self.gamma == 0:
            raise ValueError(
                "DIST(gamma=0) with two classes has no gradient: two probabilities correlate by 1 "
                "or -1. Set gamma=1.0, or use KD()."
            )

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's softened probabilities."""
        assert teacher.proba is not None
        return {"class": soften(teacher.proba, self.temperature)}

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of both terms of a batch; each of them beside it."""
        logits, target, weight = outputs.logits, targets["class"], targets["weight"]
        intra = dist_intra(logits, target, self.temperature, weight).mean()
        terms = {"intra": intra.detach()}
        if logits.shape[1] == 2:
            return self.gamma * intra, terms
        inter = weighted_mean(dist_inter(logits, target, self.temperature), weight)
        terms["inter"] = inter.detach()
        return self.beta * inter + self.gamma * intra, terms
