"""Plain knowledge distillation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn.losses import class_kl, fold, label_loss, logit_mse, z_scores
from lelp_sklearn.objectives._base import Objective, soften, weighted_mean
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs

# Log-probabilities stop here where logits are asked for: a forest's exact zeros have none.
_SMALLEST_PROBA = 1e-7


class KD(Objective):
    r"""Knowledge distillation from the teacher's class probabilities.

    .. math::
        \alpha \, CE(y, p^S) + (1 - \alpha) \, \tau^2 KL(p^T_\tau \| p^S_\tau)

    Probabilities are enough: :math:`p^{1/\tau}`, renormalised, is the soft-max of the logits over
    tau. With two classes they are one number a row, which is why LELP looks further.

    Parameters
    ----------
    temperature : float, default=1.0
        tau above 0. Above 1 it softens both sides.
    alpha : float, default=0.5
        Share of the labels' cross-entropy, from 0 to 1, on labelled rows. 0 where the labels are
        noisier than the teacher.
    kind : {"kl", "mse"}, default="kl"
        "mse" is the mean squared difference of centred logits instead, with no temperature.
    standardize : bool, default=False
        Whether to compare logits of mean 0 and variance 1 a row, on both sides, for three classes
        and more. A small student then need not reach the size of the teacher's logits; its own
        probabilities are as sure as the labels' share alpha makes them, so alpha should not be 0
        where they matter. A temperature of 2 and more goes with it.

    Warns
    -----
    UserWarning
        If ``standardize`` is asked for with two classes, and left out: nothing of two logits would
        be left but which is larger.

    See Also
    --------
    DKD, DIST : Other comparisons of the same probabilities.
    LELP : Adds the structure of the teacher's embeddings.
    CrossEntropy : Labels alone.

    References
    ----------
    Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural Network,
    arXiv:1503.02531. "mse": Kim et al. (2021), IJCAI. ``standardize``: Sun, Ren, Li, Wang and Cao
    (2024), Logit Standardization in Knowledge Distillation, CVPR, algorithm 1.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.preprocessing import scale
    >>> from lelp_sklearn import KD, StudentClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> teacher = RandomForestClassifier(random_state=0).fit(X, y)
    >>> student = StudentClassifier(objective=KD(temperature=2.0), random_state=0)
    >>> student = student.fit(scale(X), y, teacher_proba=teacher.predict_proba(X))
    >>> student.score(scale(X), y) > 0.97
    True
    """

    needs = ("proba",)
    _parameter_constraints: dict = {  # noqa: RUF012
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "kind": [StrOptions({"kl", "mse"})],
        "standardize": ["boolean"],
    }

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        alpha: float = 0.5,
        kind: str = "kl",
        standardize: bool = False,
    ):
        self.temperature = temperature
        self.alpha = alpha
        self.kind = kind
        self.standardize = standardize

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> KD:
        """Check the parameters; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        if self.standardize and not self._standardizes:
            warnings.warn(
                "KD(standardize=True) is left out, as there are two classes: two standardised "
                "logits tell which is larger, and nothing else. This is KD(standardize=False).",
                UserWarning,
                stacklevel=6,
            )
        return self

    @property
    def _standardizes(self) -> bool:
        return self.standardize and len(self.n_subclasses_) > 2

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's softened probabilities, or its logits for "mse"."""
        assert teacher.proba is not None
        if self.kind == "kl" and not self._standardizes:
            return {"class": soften(teacher.proba, self.temperature)}
        logits = np.log(np.maximum(teacher.proba, _SMALLEST_PROBA, dtype=np.float32))
        if self._standardizes:
            logits = z_scores(torch.from_numpy(logits)).numpy()
        if self.kind == "kl":
            return {"class": softmax(logits / self.temperature, axis=1)}
        return {"class": logits}

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch of the labels' and the teacher's term."""
        logits = z_scores(outputs.logits) if self._standardizes else outputs.logits
        if self.kind == "mse":
            rows = logit_mse(logits, targets["class"])
        else:
            rows = class_kl(logits, targets["class"], self.temperature)
        rows = mix_labels(rows, outputs.logits, self.n_subclasses_, targets, self.alpha)
        return weighted_mean(rows, targets["weight"])


def mix_labels(
    teacher_rows: Tensor,
    logits: Tensor,
    n_subclasses: Sequence[int],
    targets: Mapping[str, Tensor],
    alpha: float,
) -> Tensor:
    """Mix alpha CE + (1 - alpha) teacher term, one value a row; an unlabelled row has no CE."""
    if alpha == 0:
        return teacher_rows
    label_rows = targets["labeled"] * label_loss(fold(logits, n_subclasses), targets["y"])
    return alpha * label_rows + (1 - alpha) * teacher_rows
