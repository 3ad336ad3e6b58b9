"""ReAugKD's training objective: a shared space in which teacher and student relate rows alike."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn._torch import UsualSettings, as_tensor, seeded
from lelp_sklearn.losses import similarity_kl, supervised_contrast, unit_rows
from lelp_sklearn.objectives._base import weighted_mean
from lelp_sklearn.objectives._on_embeddings import OnEmbeddings, principal_directions
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs

_STEPS, _BATCH, _LR = 200, 256, 0.01  # of a supervised projection: one linear layer


class RelationalAlignment(OnEmbeddings):
    r"""Similarities to the teacher's embeddings of a batch, the same for both sides (ReAugKD).

    .. math::
        KL\big(softmax_j(z_i \cdot z_j / \tau) \,\|\, softmax_j(s_i \cdot z_j / \tau)\big),
        \quad j \neq i

    with the teacher's embeddings z projected to a shared space, the student's s brought there by a
    linear layer that is trained, and both of length 1. A student aligned so can look up the
    teacher's rows that are most like a new one. It knows no classes: add ``KD()``.

    Parameters
    ----------
    projection : {"pca", "supcon"} or None, default="pca"
        How the teacher's embeddings are projected: to principal components; by a linear layer
        that supervised contrast trains on the classes, as in the paper, which with few classes
        may leave nothing but the class; or not at all.
    n_components : int, default=64
        Width of the shared space; at most the teacher's, and the number of rows for "pca". Not
        read where ``projection`` is None.
    temperature : float, default=0.1
        tau above 0, also of supervised contrast.

    Attributes
    ----------
    mean_ : ndarray of shape (D,)
        The teacher's mean on the first training rows.
    components_ : ndarray of shape (D, k) or None
        The projection of what is left; to unit variance, where k is 1.

    See Also
    --------
    CompRess : Similarities to a bank of rows.

    Notes
    -----
    The paper does not say over which rows the distributions are; here it is the batch without the
    row itself. The paper's student has the width of the shared space, where here a layer maps it.

    Teacher embeddings of one column, such as a two-class LinearDiscriminantAnalysis gives, would be
    -1 or 1 at length 1, and no student could learn from such cosines. They are divided by their
    standard deviation and get a second column of ones, so that rows are points of a half-circle.

    References
    ----------
    Zhang et al. (2023), ReAugKD: Retrieval-Augmented Knowledge Distillation for Pre-trained
    Language Models, ACL (short papers), section 3. "supcon": Khosla et al. (2020), NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import KD, MLP, RelationalAlignment, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> objective = KD() + 0.5 * RelationalAlignment()
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
        "projection": [StrOptions({"pca", "supcon"}), None],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        projection: str | None = "pca",
        n_components: int = 64,
        temperature: float = 0.1,
    ):
        self.projection = projection
        self.n_components = n_components
        self.temperature = temperature

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> RelationalAlignment:
        """Learn the projection; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        centred = self._centred(teacher)
        self.components_ = None
        if self.projection is not None:
            start = principal_directions(centred, self.n_components, random_state)
            self.components_ = start
            if self.projection == "supcon":
                start = np.eye(centred.shape[1], dtype=np.float32) if start is None else start
                self.components_ = _contrasted(
                    centred, y, start, self.temperature, seed=random_state
                )
        if self._on_a_line():
            direction = np.ones((1, 1)) if self.components_ is None else self.components_
            spread = max((centred @ direction).std(), np.finfo(np.float32).tiny)
            self.components_ = (direction / spread).astype(np.float32)
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's side of the shared space."""
        assert teacher.embeddings is not None
        return {"embedding": self.project(teacher.embeddings)}

    def project(self, embeddings: NDArray) -> NDArray:
        """Teacher embeddings in the shared space, as float32 rows of length 1.

        Parameters
        ----------
        embeddings : ndarray of shape (n, D)
            The teacher's.

        Returns
        -------
        ndarray of shape (n, k), of shape (n, 2) where k is 1
        """
        rows = self._centred(TeacherOutputs(embeddings=embeddings))
        rows = rows if self.components_ is None else rows @ self.components_
        if self._on_a_line():
            rows = np.hstack([rows, np.ones_like(rows)])
        with UsualSettings():
            return unit_rows(as_tensor(rows)).numpy()

    def query(self, embedding: Tensor) -> Tensor:
        """Student embeddings in the shared space, as rows of length 1.

        Parameters
        ----------
        embedding : Tensor of shape (B, E)
            The student's.

        Returns
        -------
        Tensor of shape (B, k)
        """
        assert self.module_ is not None
        return unit_rows(self.module_(embedding))

    def build(self, student: StudentOutputs) -> nn.Module:
        """The linear layer from the student's embeddings to the shared space."""
        width = 2 if self._on_a_line() else self._width()
        self.module_ = nn.Linear(student.embedding.shape[1], width)
        return self.module_

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch."""
        z = targets["embedding"]
        own = torch.eye(len(z), dtype=torch.bool, device=z.device)
        student = self.query(outputs.embedding) @ z.T
        rows = similarity_kl(student, z @ z.T, self.temperature, own)
        return weighted_mean(rows, targets["weight"])

    def _width(self) -> int:
        return len(self.mean_) if self.components_ is None else self.components_.shape[1]

    def _on_a_line(self) -> bool:
        """Whether one column is all there is, whose rows of length 1 are signs without a slope."""
        return self._width() == 1


@UsualSettings()
def _contrasted(
    centred: NDArray, y: NDArray, start: NDArray, temperature: float, seed: int
) -> NDArray:
    """A linear map trained by supervised contrast, from principal directions on."""
    rows, labels = as_tensor(centred), torch.as_tensor(y)
    rows = rows / rows.square().mean().sqrt().clamp_min(1e-12)  # one rate for all teachers
    with seeded(seed, torch.device("cpu")):
        W = as_tensor(start.copy()).requires_grad_()
        optimizer = torch.optim.Adam([W], lr=_LR)
        for _ in range(_STEPS):
            batch = torch.randperm(len(rows))[:_BATCH]
            contrast = supervised_contrast(rows[batch] @ W, labels[batch], temperature)
            optimizer.zero_grad()
            contrast.mean().backward()
            optimizer.step()
    return W.detach().numpy()
