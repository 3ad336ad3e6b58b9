"""Relations among the rows of a batch, the same on both sides: RKD, SP and PKT."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real

import torch
from torch import Tensor

from lelp_sklearn._compat import Interval
from lelp_sklearn.losses import (
    probabilistic_transfer,
    rkd_angle,
    rkd_distance,
    similarity_preserving,
)
from lelp_sklearn.objectives._base import Loss, weighted_mean
from lelp_sklearn.objectives._on_embeddings import OnEmbeddings, centred, must_move
from lelp_sklearn.outputs import StudentOutputs


class RKD(OnEmbeddings):
    r"""Relational knowledge distillation: distances and angles among the teacher's embeddings.

    .. math::
        \lambda_D \, L_D + \lambda_A \, L_A

    of :func:`~lelp_sklearn.losses.rkd_distance` on pairs of a batch's rows and
    :func:`~lelp_sklearn.losses.rkd_angle` on some of their triplets. Widths may differ, and
    nothing is learned beside the student. It knows no classes: the head learns them from what is
    added, ``KD() + RKD()``.

    Parameters
    ----------
    distance_weight : float, default=1.0
        lambda_D; on images 25 has been used, with 50 for angles.
    angle_weight : float, default=2.0
        lambda_A.
    n_anchors : int, default=128
        Pairs and triplets are among so many rows of a batch, drawn anew in each.
    n_vertices : int or None, default=2
        Angles are taken at so many of the anchors; None is all, as in the paper, and n_anchors
        cubed triplets, tens of times slower than plain distillation.

    See Also
    --------
    SP, PKT : Similarities in place of distances.

    Notes
    -----
    ``history_`` has both terms. A pair weighs as the product of its rows' weights, a triplet as
    the row at its vertex. The paper's are all of a batch's pairs and triplets: n_vertices=None, and
    n_anchors no less than the batch. The two departures are for speed.

    References
    ----------
    Park, Kim, Lu and Cho (2019), Relational Knowledge Distillation, CVPR, section 3.2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import KD, MLP, RKD, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> objective = KD() + 0.5 * RKD()
    >>> student = StudentClassifier(MLP, objective=objective, lr=0.02, max_epochs=8, random_state=0)
    >>> student = student.fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> student.score(X / 16, digit % 2) > 0.9
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "distance_weight": [Interval(Real, 0, None, closed="left")],
        "angle_weight": [Interval(Real, 0, None, closed="left")],
        "n_anchors": [Interval(Integral, 3, None, closed="left")],
        "n_vertices": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        distance_weight: float = 1.0,
        angle_weight: float = 2.0,
        n_anchors: int = 128,
        n_vertices: int | None = 2,
    ):
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self.n_anchors = n_anchors
        self.n_vertices = n_vertices

    def loss(self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float) -> Loss:
        """Both weighted terms; a term of weight 0 is not computed."""
        student, teacher, weight = outputs.embedding, targets["embedding"], targets["weight"]
        must_move(student, self)
        rows = self._anchors(student)
        student, teacher, weight = (x.index_select(0, rows) for x in (student, teacher, weight))
        terms, total = {}, torch.zeros_like(weight[0])
        if self.distance_weight:
            terms["distance"] = rkd_distance(student, teacher, weight)
            total = total + self.distance_weight * terms["distance"]
        if self.angle_weight:
            vertices = torch.arange(len(rows), device=rows.device)[: self.n_vertices]
            angles = rkd_angle(student, teacher, vertices)
            terms["angle"] = weighted_mean(angles, weight[: self.n_vertices])
            total = total + self.angle_weight * terms["angle"]
        return total, {name: value.detach() for name, value in terms.items()}

    def _anchors(self, embedding: Tensor) -> Tensor:
        """Some rows in random order; in validation the first, for comparable losses."""
        draw = torch.randperm if torch.is_grad_enabled() else torch.arange
        return draw(len(embedding), device=embedding.device)[: self.n_anchors]


class SP(OnEmbeddings):
    """Similarity-preserving distillation: inner products of the batch's embeddings.

    See :func:`~lelp_sklearn.losses.similarity_preserving`. Widths may differ, and nothing is
    learned beside the student. It knows no classes: add ``KD()``. Values are small, of the order
    of one over the batch size, and weights thus large: 3000 has been used on images.

    Parameters
    ----------
    center : bool, default=True
        Whether to take the mean off both sides: the training rows' off the teacher's, the batch's
        off the student's. Embeddings whose mean is large are all alike otherwise.

    See Also
    --------
    PKT : Neighbourhoods, from similarities.
    RKD : Distances and angles.

    References
    ----------
    Tung and Mori (2019), Similarity-Preserving Knowledge Distillation, ICCV, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import KD, MLP, SP, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> objective = KD() + 100 * SP()
    >>> student = StudentClassifier(MLP, objective=objective, lr=0.02, max_epochs=8, random_state=0)
    >>> student = student.fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> student.score(X / 16, digit % 2) > 0.9
    True
    """

    _parameter_constraints: dict = {"center": ["boolean"]}  # noqa: RUF012

    def __init__(self, *, center: bool = True):
        self.center = center

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch."""
        student, teacher = self._sides(outputs, targets)
        return weighted_mean(similarity_preserving(student, teacher), targets["weight"])

    def _sides(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        must_move(outputs.embedding, self)
        if self.center:
            return centred(outputs.embedding), targets["embedding"]
        mean = torch.as_tensor(self.mean_, device=outputs.embedding.device)
        return outputs.embedding, targets["embedding"] + mean


class PKT(SP):
    """Probabilistic knowledge transfer: who are whose neighbours in a batch, by cosines.

    See :func:`~lelp_sklearn.losses.probabilistic_transfer`. Widths may differ, and nothing is
    learned beside the student. It knows no classes: add ``KD()``. The kernel is flat and values
    are small, so weights are large: 30000 in code that also divides by the batch size, which is
    about 500 here.

    Parameters
    ----------
    center : bool, default=True
        Whether to take the mean off both sides, as in :class:`SP`.

    See Also
    --------
    CompRess : A soft-max over a bank of rows.
    SP : Similarities as they are.

    References
    ----------
    Passalis and Tefas (2018), Learning Deep Representations with Probabilistic Knowledge Transfer,
    ECCV, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import KD, MLP, PKT, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> objective = KD() + 10 * PKT()
    >>> student = StudentClassifier(MLP, objective=objective, lr=0.02, max_epochs=8, random_state=0)
    >>> student = student.fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> student.score(X / 16, digit % 2) > 0.9
    True
    """

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch."""
        student, teacher = self._sides(outputs, targets)
        return weighted_mean(probabilistic_transfer(student, teacher), targets["weight"])
