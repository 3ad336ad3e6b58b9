"""AMAD: a teacher's attention heads, matched by soft mixtures of the student's."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn.losses import align_heads
from lelp_sklearn.objectives._base import Objective, weighted_mean
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class AMAD(Objective):
    r"""Attention heads aligned softly, so that teacher and student may differ in their number.

    Every head of the teacher is compared with a mixture of the student's, weighted by how alike
    their maps are, so that no head is left out or dropped. See :func:`losses.align_heads` for the
    equations. It knows nothing of classes and comes beside what does: ``KD() + AMAD()``.

    Both sides must have the same tokens, special ones too: a :class:`TextTransformer` reads them by
    ``teacher.token_inputs()``. The targets take 4 n H Q K bytes.

    Parameters
    ----------
    variant : {"kl", "mse", "token"}, default="kl"
        "kl": divergence of each token's attention, heads aligned by their whole maps. "mse":
        squared distance of whole maps. "token": as "kl", heads aligned anew at each token.
    align_temperature : float, default=1.0
        Temperature above 0 of the alignment. 1 is the paper, and nearly even: maps are not
        negative, so their cosines lie between 0 and 1, and of eight heads an identical one gets
        at most 0.28. 0.1 tells heads apart.

    Raises
    ------
    ValueError
        If a body that gives a mask has other tokens than the teacher.

    See Also
    --------
    HiddenLayers : Hidden vectors instead.
    TokenRelations : Relations among queries, keys and values.
    TextTransformer : A body that shows its attention.
    TransformersTeacher : Gives attention with ``attention=True``.

    References
    ----------
    Zhao et al. (2024), No Head Left Behind: Multi-Head Alignment Distillation for Transformers,
    AAAI, equations 2, 6, 9 and 12.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lelp_sklearn import AMAD, KD, BodyOutputs, StudentClassifier
    >>> class Attend(torch.nn.Module):
    ...     def __init__(self, n_features):
    ...         super().__init__()
    ...         self.scores = torch.nn.Linear(n_features, n_features**2)
    ...
    ...     def outputs(self, X):
    ...         a = self.scores(X).unflatten(1, (1, X.shape[1], X.shape[1])).softmax(dim=3)
    ...         return BodyOutputs((a[:, 0] @ X[:, :, None]).squeeze(2), attention=a)
    ...
    ...     def forward(self, X):
    ...         return self.outputs(X).embedding
    >>> X = np.random.default_rng(0).standard_normal((64, 3))
    >>> y = X[:, 0] > 0
    >>> heads = np.stack([np.eye(3), np.eye(3)[::-1]])
    >>> student = StudentClassifier(Attend, objective=KD() + AMAD(), max_epochs=10).fit(
    ...     X,
    ...     y,
    ...     teacher_proba=np.column_stack([~y, y]).astype(float),
    ...     teacher_attention=np.broadcast_to(heads, (64, 2, 3, 3)),
    ... )
    >>> student.history_[-1]["train_amad"] < student.history_[0]["train_amad"]
    True
    """

    needs = ("attention",)
    sees = ("attention",)
    trains_head = False
    _parameter_constraints: dict = {  # noqa: RUF012
        "variant": [StrOptions({"kl", "mse", "token"})],
        "align_temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, variant: str = "kl", align_temperature: float = 1.0):
        self.variant = variant
        self.align_temperature = align_temperature

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's attention."""
        assert teacher.attention is not None
        return {"attention": teacher.attention.astype(np.float32, copy=False)}

    def build(self, student: StudentOutputs) -> nn.Module | None:
        """Nothing; only checks that the student's attention is one map a head."""
        assert student.attention is not None
        if student.attention.ndim != 4:
            raise ValueError(
                f"the body's attention has shape {tuple(student.attention.shape)}; expected "
                "(rows, heads, queries, keys)."
            )
        return super().build(student)

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch."""
        assert outputs.attention is not None
        teacher = targets["attention"]
        if outputs.mask is not None:
            there = teacher.sum(dim=(1, 3)) > 0
            n = min(outputs.mask.shape[1], there.shape[1])  # what one side does not reach is cut
            check_same_tokens(
                outputs.mask[:, :n], there[:, :n], "teacher_attention", "attention=True"
            )
        rows = align_heads(
            outputs.attention,
            teacher,
            outputs.mask,
            self.variant,
            self.align_temperature,
        )
        return weighted_mean(rows, targets["weight"])


def check_same_tokens(student: Tensor, teacher: Tensor, name: str, asked: str) -> None:
    """Raise where masks (B, T) of both sides' tokens, no matter how much padded, differ."""
    n = max(student.shape[1], teacher.shape[1])
    student, teacher = (
        nn.functional.pad(mask, (0, n - mask.shape[1])) for mask in (student, teacher)
    )
    different = (student != teacher).any(dim=1)
    if different.any():
        row = int(different.nonzero()[0, 0])
        raise ValueError(
            f"a text has {int(student[row].sum())} tokens for the student and "
            f"{int(teacher[row].sum())} in {name}; expected the same. Let the student read the "
            "teacher's: inputs=teacher.token_inputs(), of a TransformersTeacher with "
            f"{asked} and max_length."
        )
