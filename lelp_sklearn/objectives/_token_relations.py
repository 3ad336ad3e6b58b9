"""Relations among a text's tokens, the same on both sides: MiniLM's self-attention relations."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn._compat import Interval
from lelp_sklearn.losses import token_relation_kl
from lelp_sklearn.objectives._attention import check_same_tokens
from lelp_sklearn.objectives._base import Objective, weighted_mean
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class TokenRelations(Objective):
    r"""How a text's tokens relate to each other, by inner products of what each side makes of them.

    The loss is the mean of :func:`~lelp_sklearn.losses.token_relation_kl` over the queries, the
    keys and the values of one layer, each split anew into ``n_heads`` relation heads, so that
    widths and attention heads of teacher and student may differ. It knows nothing of classes and
    comes beside what does: ``KD() + TokenRelations()``.

    Both sides must have the same tokens: the student reads them by ``teacher.token_inputs()``. The
    teacher gives ``teacher_hidden`` of shape (n, T, D), one vector a token with zeros for padding.
    Where the student's body has k ``tokens`` tensors, three for queries, keys and values, these
    vectors are k such side by side. The targets take 4 n T D bytes, with D three times the
    teacher's width.

    Parameters
    ----------
    n_heads : int, default=8
        Relation heads, which divide the widths of both sides' queries. More of them tell more, at
        the cost of a relation each.

    Raises
    ------
    ValueError
        If ``n_heads`` does not divide the widths, or teacher and student have other tokens.

    See Also
    --------
    AMAD : The attention itself.
    TransformersTeacher : Gives its tokens with ``hidden_states="tokens"``.
    TextTransformer : A body that shows its tokens.

    Notes
    -----
    The paper takes the last layer of a base-size teacher, and one a few layers below the last of a
    large one; 48 relation heads for teachers 768 wide.

    References
    ----------
    Wang, Bao, Huang, Dong and Wei (2021), MiniLMv2: Multi-Head Self-Attention Relation
    Distillation, Findings of ACL, arXiv:2012.15828.

    Examples
    --------
    >>> from lelp_sklearn import KD, DistilledClassifier, StudentClassifier
    >>> from lelp_sklearn import TextTransformer, TokenRelations, TransformersTeacher
    >>> teacher = TransformersTeacher(
    ...     model, tokenizer, hidden_states="tokens", max_length=64
    ... )  # doctest: +SKIP
    >>> student = StudentClassifier(
    ...     TextTransformer, inputs=teacher.token_inputs(), objective=KD() + TokenRelations()
    ... )  # doctest: +SKIP
    >>> DistilledClassifier(teacher, student).fit(texts, y)  # doctest: +SKIP
    """

    needs = ("hidden",)
    sees = ("tokens",)
    trains_head = False
    _parameter_constraints: dict = {  # noqa: RUF012
        "n_heads": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, n_heads: int = 8):
        self.n_heads = n_heads

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> TokenRelations:
        """Note the width of the teacher's tokens; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        assert teacher.hidden is not None
        self.width_ = teacher.hidden.shape[2]
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's tokens."""
        assert teacher.hidden is not None
        if teacher.hidden.shape[2] != self.width_:
            raise ValueError(
                f"teacher_hidden has tokens {teacher.hidden.shape[2]} wide, and {self.width_} in "
                "the first call: pass those of the same teacher, or fit anew."
            )
        return {"tokens": teacher.hidden.astype(np.float32, copy=False)}

    def build(self, student: StudentOutputs) -> nn.Module | None:
        """Nothing; only checks that the student's tokens are one vector each, and the widths."""
        shapes = [tuple(part.shape) for part in student.tokens]
        if any(len(shape) != 3 for shape in shapes):
            raise ValueError(
                f"the body's tokens have the shapes {shapes}; expected (rows, tokens, width) each."
            )
        own, theirs = shapes[0][2], self.width_ / len(shapes)
        if own % self.n_heads or theirs % self.n_heads:
            raise ValueError(
                f"n_heads={self.n_heads} does not divide the widths {own} of the student's tokens "
                f"and {theirs:g} of the teacher's ({self.width_} in all, for the student's "
                f"{len(shapes)} parts): choose a common divisor. The teacher's are those of "
                'TransformersTeacher(..., hidden_states="tokens"), not of hidden_states=True.'
            )
        return super().build(student)

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch and the parts."""
        teacher = targets["tokens"]
        there = (teacher != 0).any(dim=2)
        if outputs.mask is not None:
            check_same_tokens(outputs.mask, there, "teacher_hidden", 'hidden_states="tokens"')
        n = min(outputs.tokens[0].shape[1], there.shape[1])  # what is longer is padding
        parts = teacher[:, :n].chunk(len(outputs.tokens), dim=2)
        rows = [
            token_relation_kl(own[:, :n], part, self.n_heads, there[:, :n])
            for own, part in zip(outputs.tokens, parts, strict=True)
        ]
        return weighted_mean(torch.stack(rows).mean(dim=0), targets["weight"])
