"""CompRess: similarities of each row to a bank of others."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn._torch import as_tensor
from lelp_sklearn.losses import cosines, similarity_kl
from lelp_sklearn.objectives._base import weighted_mean
from lelp_sklearn.objectives._on_embeddings import (
    OnEmbeddings,
    must_move,
    principal_directions,
    row_ids,
    slots,
    some_rows,
)
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class CompRess(OnEmbeddings):
    r"""Similarities to a bank of training rows, by soft-max, the same on both sides.

    .. math::
        KL\big(softmax_j(\cos(t, t_j) / \tau) \,\|\, softmax_j(\cos(s, a_j) / \tau)\big)

    over the rows j of a bank but the row itself, which would take all of the soft-max. The
    teacher's embeddings are centred first, as those of language models are all alike otherwise. It
    knows no classes: add ``KD()``. It helps where the teacher's space has a structure beyond the
    classes, and costs a multiplication of the batch with the bank a side.

    Parameters
    ----------
    kind : {"1q", "2q"}, default="1q"
        "1q": the anchors :math:`a_j` are the teacher's embeddings, and a linear layer that is
        trained maps the student's into their space. "2q": they are the student's own of when it
        last saw those rows, centred by their mean, and nothing is learned beside it.
    bank_size : int, default=256
        Rows of the bank, drawn from the different ones of the first call. More are less noisy, and
        cost in proportion.
    temperature : float, default=0.04
        tau above 0.
    n_components : int or None, default=64
        The teacher's similarities are taken among so many of its principal components, which
        makes a wide teacher cheaper; None is all.

    Attributes
    ----------
    mean_ : ndarray of shape (D,)
        The teacher's mean.
    components_ : ndarray of shape (D, k) or None
        Its principal directions.
    bank_ : ndarray of shape (m, k)
        The teacher's side of the bank.

    See Also
    --------
    RelationalAlignment : The batch in place of a bank.
    PKT : Without a temperature.

    Notes
    -----
    The paper's queue of 128,000 image features starts as noise and holds the latest rows. Here the
    bank's rows are fixed, so that few data rows are enough; a student's side that has not been seen
    yet does not count. Rows of a later ``partial_fit`` do not enter the bank.

    References
    ----------
    Abbasi Koohpayegani, Tejankar and Pirsiavash (2020), CompRess: Self-Supervised Learning by
    Compressing Representations, NeurIPS, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import KD, MLP, CompRess, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> objective = KD() + 0.2 * CompRess()
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
        "kind": [StrOptions({"1q", "2q"})],
        "bank_size": [Interval(Integral, 2, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        kind: str = "1q",
        bank_size: int = 256,
        temperature: float = 0.04,
        n_components: int | None = 64,
    ):
        self.kind = kind
        self.bank_size = bank_size
        self.temperature = temperature
        self.n_components = n_components

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> CompRess:
        """Take the mean and the components, and fill the bank; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        centred = self._centred(teacher)
        self.components_ = principal_directions(centred, self.n_components, random_state)
        ids = row_ids(centred)
        rows = some_rows(ids, self.bank_size, random_state)
        self.bank_, self._bank_ids = self._projected(centred[rows]), ids[rows]
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's centred components, and where in the bank a row is."""
        centred = self._centred(teacher)
        return {
            "embedding": self._projected(centred),
            "slot": slots(row_ids(centred), self._bank_ids),
        }

    def build(self, student: StudentOutputs) -> nn.Module:
        """The bank, and the linear layer of "1q"."""
        self.module_ = _Bank(as_tensor(self.bank_), student.embedding.shape[1], self.kind)
        return self.module_

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch."""
        embedding, slot, bank = outputs.embedding, targets["slot"], self.module_
        assert isinstance(bank, _Bank)
        must_move(embedding, self)
        ignore = slot[:, None] == torch.arange(len(bank.teacher), device=slot.device)
        if self.kind == "1q":
            student = cosines(bank.linear(embedding), bank.teacher)
        else:
            if bank.training:
                bank.remember(slot, embedding.detach())
            mean = bank.mean()
            student = cosines(embedding - mean, bank.student - mean)
            ignore = ignore | ~bank.seen
        teacher = cosines(targets["embedding"], bank.teacher)
        rows = similarity_kl(student, teacher, self.temperature, ignore)
        return weighted_mean(rows, targets["weight"])

    def _projected(self, centred: NDArray) -> NDArray:
        return centred if self.components_ is None else centred @ self.components_


class _Bank(nn.Module):
    """Anchors on the teacher's side; and a layer into its space, or the student's side."""

    teacher: Tensor
    student: Tensor
    seen: Tensor

    def __init__(self, teacher: Tensor, width: int, kind: str):
        super().__init__()
        m, dim = teacher.shape
        self.register_buffer("teacher", teacher)
        if kind == "1q":
            self.linear = nn.Linear(width, dim)
        else:
            self.register_buffer("student", teacher.new_zeros(m, width))
            self.register_buffer("seen", torch.zeros(m, dtype=torch.bool))

    def remember(self, slot: Tensor, embedding: Tensor) -> None:
        """Keep the student's embeddings of those rows that are in the bank."""
        known = slot >= 0
        self.student[slot[known]] = embedding[known]
        self.seen[slot[known]] = True

    def mean(self) -> Tensor:
        """Mean of what has been seen."""
        return self.student.sum(dim=0) / self.seen.sum().clamp_min(1)  # unseen rows are zero
