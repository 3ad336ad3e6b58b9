"""DiSK: a guide on the teacher's embeddings censors the rows that are too hard for the student."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from lelp_sklearn._compat import Interval
from lelp_sklearn.losses import class_kl, guide_help, scaffold_kl
from lelp_sklearn.objectives._base import (
    Loss,
    Objective,
    Weight,
    check_weight,
    soften,
    weight_at,
    weighted_mean,
)
from lelp_sklearn.objectives._kd import mix_labels
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs

_FIRST_LOGIT = -3.0  # of the guide, which starts near no help


class DiSK(Objective):
    r"""Scaffolding: a guide takes the pull off rows that a small student cannot fit anyway.

    The guide :math:`g(x) \in [0, 1]` reads the teacher's embedding, is trained beside the student
    and lends it probability on the teacher's likeliest classes H, as far as a budget goes:

    .. math::
        \alpha \, CE(y, p^S) + (1 - \alpha) \, \tau^2 \,
            KL\Big(p^T_\tau \,\Big\|\, \frac{p^S_\tau + g 1_H}{1 + |H| g}\Big), \qquad
        \frac{1}{n} \sum_i - g(x_i) \log p^S_{y_i} \le \delta.

    It is meant for students much weaker than their teacher. Where rows are hard only because the
    student has not learnt them yet, help keeps it from learning them: compare with :class:`KD`.
    It costs a small network on the embeddings in training, and predicting needs no guide.

    Parameters
    ----------
    temperature : float, default=1.0
        tau above 0; the paper has 4 for CIFAR and 1 for ImageNet.
    alpha : float, default=0.5
        Share of the labels' cross-entropy, from 0 to 1, on labelled rows; the paper has 0.1.
    top_k : int, default=10
        How many of the teacher's likeliest classes the guide helps, beside the label; at most all
        of them. With all, the guide mixes in the uniform distribution.
    budget : float, pair of float or callable, default=0.1
        delta, at least 0: mean help of a batch beyond which the guide pays; the authors' 0.4 counts
        rows that the student gets wrong alone. A pair is that of the
        first epoch and of the last; a callable gets the progress of training, from 0 to 1, and
        returns delta. With 0 this is about ``KD()``.
    budget_weight : float, default=5.0
        What a unit of help over the budget costs the guide.
    guide_hidden : int, default=64
        Hidden units of the guide.

    Attributes
    ----------
    module_ : nn.Module
        The guide; its sigmoid is g.

    See Also
    --------
    KD : Without a guide.
    Stages : Starts the student from plain distillation, as the paper starts it from labels.

    Notes
    -----
    Every step updates both: the student with the guide held fixed, and the guide with the student
    held fixed, in one backward pass, as no gradient of one reaches the other. It is the
    simultaneous form of alternating minimisation; alternating by batches would give each of them
    half of the steps for the same cost.

    ``history_`` has the course of the mean guide, ``train_censoring``, and of the mean help,
    ``train_budget_use``. The loss is the student's own. Held-out rows get no help in it, so that
    ``valid_loss`` says how good the student is alone.

    References
    ----------
    Kag, Acar, Gangrade and Saligrama (2023), Scaffolding a Student to Instill Knowledge, ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import MLP, CrossEntropy, DiSK, DistilledClassifier, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = StudentClassifier(MLP, objective=CrossEntropy(), max_epochs=10).fit(X, y)
    >>> student = StudentClassifier(objective=DiSK(), max_epochs=10, random_state=0)
    >>> student = DistilledClassifier(teacher, student).fit(X, y).student_
    >>> [row["train_censoring"] > 0 for row in student.history_[::9]]
    [True, True]
    """

    needs = ("proba", "embeddings")
    _parameter_constraints: dict = {  # noqa: RUF012
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "budget": [Interval(Real, 0, None, closed="left"), tuple, callable],
        "budget_weight": [Interval(Real, 0, None, closed="left")],
        "guide_hidden": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        alpha: float = 0.5,
        top_k: int = 10,
        budget: Weight = 0.1,
        budget_weight: float = 5.0,
        guide_hidden: int = 64,
    ):
        self.temperature = temperature
        self.alpha = alpha
        self.top_k = top_k
        self.budget = budget
        self.budget_weight = budget_weight
        self.guide_hidden = guide_hidden

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> DiSK:
        """Learn the embeddings' means and scales; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        self.scaler_ = StandardScaler().set_output(transform="default").fit(teacher.embeddings)
        return self

    def _check(self, classes: NDArray) -> None:
        super()._check(classes)
        check_weight(self.budget, "budget")

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """Softened probabilities, and standardised embeddings for the guide."""
        assert teacher.proba is not None
        embeddings = self.scaler_.transform(teacher.embeddings)
        return {
            "class": soften(teacher.proba, self.temperature),
            "embedding": embeddings.astype(np.float32, copy=False),
        }

    def build(self, student: StudentOutputs) -> nn.Module:
        """The guide, a hidden layer on the teacher's embedding."""
        last = nn.Linear(self.guide_hidden, 1)
        nn.init.constant_(last.bias, _FIRST_LOGIT)
        width = self.scaler_.n_features_in_
        self.module_ = nn.Sequential(nn.Linear(width, self.guide_hidden), nn.ReLU(), last)
        return self.module_

    def loss(self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float) -> Loss:
        """Mean over the batch of the student's loss; the guide's is in the gradient alone."""
        assert self.module_ is not None
        logits, p, y, weight = outputs.logits, targets["class"], targets["y"], targets["weight"]
        log_g = F.logsigmoid(self.module_(targets["embedding"]).squeeze(1))
        if self.module_.training:
            helped = self._helped(p, y)
            student_rows = scaffold_kl(logits, p, helped, log_g.detach(), self.temperature)
            guide_rows = scaffold_kl(logits.detach(), p, helped, log_g, self.temperature)
        else:
            guide_rows = student_rows = class_kl(logits, p, self.temperature)
        rows = mix_labels(student_rows, logits, self.n_subclasses_, targets, self.alpha)
        used = weighted_mean(guide_help(logits.detach(), y, log_g), weight)
        excess = (used - weight_at(self.budget, progress)).relu()
        guide = weighted_mean(guide_rows, weight) + self.budget_weight * excess
        terms = {"censoring": weighted_mean(log_g.exp(), weight).detach(), "budget_use": used}
        return weighted_mean(rows, weight) + (guide - guide.detach()), terms

    def _helped(self, p: Tensor, y: Tensor) -> Tensor:
        """The teacher's likeliest classes, and the label."""
        helped = F.one_hot(y, p.shape[1]).bool()
        return helped.scatter(1, p.topk(min(self.top_k, p.shape[1]), dim=1).indices, True)
