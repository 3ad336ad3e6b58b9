"""LELP: distillation on pseudo-subclasses of the teacher's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import entr
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter
from torch import Tensor

from lelp_sklearn._compat import HasMethods, Interval
from lelp_sklearn._defaults import DefaultObjects
from lelp_sklearn._rows import plain_rows
from lelp_sklearn._seeds import seed_unseeded
from lelp_sklearn.losses._subclasses import subclass_log_likelihood
from lelp_sklearn.objectives._base import (
    Objective,
    Weight,
    check_weight,
    soften,
    weight_at,
)
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs
from lelp_sklearn.subclasses import ClusterSplitter, SubclassSplitter
from lelp_sklearn.subclasses._base import subclass_counts


def default_projector() -> SubclassSplitter:
    """The splitter of those who name none."""
    return ClusterSplitter(n_subclasses="auto")


class LELP(DefaultObjects, Objective):
    r"""Learning Embedding Linear Projections: one cross-entropy on soft pseudo-subclasses.

    The projector splits the teacher's class probabilities, :math:`p_{c,s} = p_c P(s \mid c, x)`,
    and the student matches them with a head of S logits a class:

    .. math::
        \alpha \, CE(y, p^S) + (1 - \alpha) \, \tau^2 \Big[ KL(p^T \| p^S) +
            \lambda \sum_c p^T_c \, KL\big(P^T(s \mid c) \,\|\, P^S(s \mid c)\big) \Big].

    The paper has :math:`\lambda = 1`, where this is one divergence on the joint, and
    :math:`\alpha = 0`.

    Parameters
    ----------
    projector : SubclassSplitter, default=None
        Splits the classes; it is cloned. None is ``ClusterSplitter(n_subclasses="auto")``, k-means;
        the paper's is :class:`LELPProjector`.
    temperature : float, default=1.0
        tau above 0, of the class probabilities; the projector's own temperature is apart from it.
    alpha : float, default=0.5
        Share of the labels' cross-entropy, from 0 to 1, on labelled rows. 0 where the labels are
        noisier than the teacher.
    subclass_weight : float, pair of float or callable, default=(0.3, 0.0)
        lambda. 1 is the paper, 0 plain distillation with a wide head. Of a pair, the first epoch
        has the first number, the last one the second, and those between lie on a line: the
        subclasses show the way and then leave the student free. A callable gets the progress of
        training, from 0 to 1, and returns lambda.

    Attributes
    ----------
    projector_ : SubclassSplitter
        The fitted projector.

    See Also
    --------
    LELPStudentClassifier : A student with this objective.
    LELPProjector : The paper's projector.
    KD : Class probabilities alone.

    References
    ----------
    Loo, Iliopoulos, Hu and Vee (2024), Linear Projections of Teacher Embeddings for Few-Class
    Distillation, arXiv:2409.20449, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import LELP, LELPProjector, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> objective = LELP(projector=LELPProjector(n_subclasses=4), subclass_weight=0.1)
    >>> student = StudentClassifier(objective=objective, random_state=0).fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> student.predict_subclass_proba(X / 16).shape
    (1797, 8)
    """

    needs = ("proba", "embeddings")
    _parameter_constraints: dict = {  # noqa: RUF012
        "projector": [HasMethods(["fit", "transform"]), None],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "subclass_weight": [
            Interval(Real, 0, None, closed="left"),
            tuple,
            callable,
        ],
    }

    def __init__(
        self,
        *,
        projector: SubclassSplitter | None = None,
        temperature: float = 1.0,
        alpha: float = 0.5,
        subclass_weight: Weight = (0.3, 0.0),
    ):
        self.projector = projector
        self.temperature = temperature
        self.alpha = alpha
        self.subclass_weight = subclass_weight

    def _check(self, classes: NDArray) -> None:
        super()._check(classes)
        check_weight(self.subclass_weight, "subclass_weight")
        counts = getattr(self.projector, "n_subclasses", None)
        if isinstance(counts, Mapping):
            subclass_counts(counts, classes)

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {"projector": default_projector}

    @property
    def reads_inputs(self) -> bool:
        """Whether the projector is a supervised one."""
        return self.projector is not None and has_fit_parameter(self.projector, "student_inputs")

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> LELP:
        """Fit the projector; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        projector: Any = clone(self._or_default("projector"))
        seed_unseeded(projector, random_state)
        said = {
            "teacher_proba": teacher.proba,
            "teacher_coef": teacher.coef,
            "student_inputs": student_inputs,
        }
        extra = {name: v for name, v in said.items() if has_fit_parameter(projector, name)}
        self.projector_ = projector.fit(teacher.embeddings, classes[y], **extra)
        if not np.array_equal(self.projector_.classes_, classes):
            raise ValueError(
                f"the projector saw rows of the classes {self.projector_.classes_.tolist()}, the "
                f"student has {classes.tolist()}: each class needs rows in the first call."
            )
        for splitter in (self.projector_, *getattr(self.projector_, "splitters_", ())):
            vars(splitter).pop("moments_", None)  # C D^2 numbers that no student needs
        self.n_subclasses_ = tuple(self.projector_.n_subclasses_.tolist())
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """Softened probabilities of the classes, and of their subclasses."""
        assert teacher.proba is not None
        proba = soften(teacher.proba, self.temperature)
        split = plain_rows(self.projector_.transform(teacher.embeddings))
        joint = np.empty(split.shape, np.float32)
        ends = np.cumsum(self.n_subclasses_)[:-1]
        blocks = zip(np.split(split, ends, axis=1), np.split(joint, ends, axis=1), strict=True)
        for p, (given_class, both) in zip(proba.T, blocks, strict=True):  # no temporary of n S C
            np.multiply(given_class, p[:, None], out=both, casting="same_kind")
        return {"class": proba, "joint": joint}

    def prepare(self, targets: dict[str, NDArray]) -> dict[str, NDArray]:
        """Put alpha, tau and the rows' weights on the targets, of which the loss is linear.

        Half of a batch's operations are then done once, a third of a small student's time.
        """
        proba, joint, weight = targets["class"], targets["joint"], targets["weight"]
        teachers = (1 - self.alpha) * self.temperature**2 * weight
        labels = np.zeros_like(proba)
        labels[np.arange(len(proba)), targets["y"]] = self.alpha * weight * targets["labeled"]
        # Less its own entropy, a cross-entropy is a divergence, which ends at 0.
        self._entropy = [
            float(sum(entr(column) @ teachers for column in part.T)) / float(weight.sum())
            for part in (proba, joint)
        ]
        joint *= teachers[:, None]
        made = {"labels": labels, "class": teachers[:, None] * proba, "joint": joint}
        return made if (weight == 1).all() else {**made, "weight": weight}

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch of the labels' and the teacher's terms."""
        lam = weight_at(self.subclass_weight, progress)
        labels, teachers, n = targets["labels"], targets["class"], self.n_subclasses_
        # By the chain rule, the divergence of the subclasses within their classes is that of both
        # less that of the classes.
        if self.temperature == 1:
            mass = labels.add(teachers, alpha=1 - lam)
            total = subclass_log_likelihood(outputs.logits, mass, targets["joint"], n, lam)
        else:
            scaled, mass = outputs.logits / self.temperature, (1 - lam) * teachers
            total = subclass_log_likelihood(scaled, mass, targets["joint"], n, lam)
            total = total + subclass_log_likelihood(outputs.logits, labels, None, n, lam)
        constant = (1 - lam) * self._entropy[0] + lam * self._entropy[1]
        if "weight" in targets:
            return -constant - total / targets["weight"].sum()
        return torch.rsub(total, -constant, alpha=1 / len(labels))  # the same in one operation
