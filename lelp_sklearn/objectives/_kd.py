"""Plain knowledge distillation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn.losses import class_kl, fold, label_loss, logit_mse
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
    alpha : float, default=0.0
        Share of the labels' cross-entropy, from 0 to 1, on labelled rows.
    kind : {"kl", "mse"}, default="kl"
        "mse" is the mean squared difference of centred logits instead, with no temperature.

    See Also
    --------
    LELP : Adds the structure of the teacher's embeddings.
    CrossEntropy : Labels alone.

    References
    ----------
    Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural Network,
    arXiv:1503.02531. "mse": Kim et al. (2021), IJCAI.

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
    }

    def __init__(self, *, temperature: float = 1.0, alpha: float = 0.0, kind: str = "kl"):
        self.temperature = temperature
        self.alpha = alpha
        self.kind = kind

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's softened probabilities, or its logits for "mse"."""
        assert teacher.proba is not None
        if self.kind == "mse":
            return {"class": np.log(np.maximum(teacher.proba, _SMALLEST_PROBA, dtype=np.float32))}
        return {"class": soften(teacher.proba, self.temperature)}

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch of the labels' and the teacher's term."""
        if self.kind == "mse":
            rows = logit_mse(outputs.logits, targets["class"])
        else:
            rows = class_kl(outputs.logits, targets["class"], self.temperature)
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
