"""CRD: each row's student and teacher embedding as a pair, against those of other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn.losses import info_nce, noise_contrastive, unit_rows
from lelp_sklearn.objectives._base import weighted_mean
from lelp_sklearn.objectives._corruption import corrupted
from lelp_sklearn.objectives._on_embeddings import (
    OnEmbeddings,
    must_move,
    row_ids,
    slots,
    some_rows,
)
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class CRD(OnEmbeddings):
    r"""Contrastive representation distillation: know a row's teacher embedding among others'.

    Both sides are mapped to a common space by linear layers that are trained,
    :math:`u_{ij} = \cos(g^S(s_i), g^T(t_j)) / \tau`, and each side is the query once: by
    :func:`~lelp_sklearn.losses.info_nce` within the batch, averaged over both, or by the paper's
    :func:`~lelp_sklearn.losses.noise_contrastive` with negatives from a bank, summed over both. It
    knows no classes: add ``KD()``. It helps where the teacher's embeddings tell more of a row than
    its class does, which small batches and strong augmentation make harder to learn.

    Parameters
    ----------
    memory : {"batch", "bank"}, default="batch"
        Where negatives come from. "batch": the other rows of the batch. "bank": rows as they were
        when last seen; for small batches.
    negatives : {"row", "class"}, default="row"
        Which rows are negatives: all others; or those of other classes, by the label where it is
        known and the teacher's prediction elsewhere. A row without any has loss 0.
    temperature : float, default=0.07
        tau above 0.
    dim : int, default=64
        Width of the common space; 128 in the paper.
    bank_size : int, default=4096
        Rows of the bank, drawn from the different ones of the first call; of "bank".
    n_negatives : int, default=128
        Negatives drawn for a batch; of "bank". With negatives="class", a row has as many of all
        other classes together, or as many as the bank holds.
    momentum : float, default=0.5
        How much of a bank's entry stays when its row is seen again, from 0 to below 1; of "bank".
    corruption : float, default=0.0
        Above 0, the student also sees each row with features replaced by those of other rows, each
        with this probability, and that view is one more query for the row's teacher embedding
        (SCARF; 0.6 there). For dense numbers; costs a second pass through the body.
    groups : sequence of sequences of int, default=()
        Columns that are replaced together, such as those of a one-hot code.

    Attributes
    ----------
    mean_ : ndarray of shape (D,)
        The teacher's mean on the first training rows.
    scale_ : float
        Root mean square of what is left.

    See Also
    --------
    CompRess : Similarities to a bank, without positives.

    Notes
    -----
    The paper's positives are the bank's entries of a row itself; here they are what the two sides
    say now, which also serves rows that the bank lacks, as those of a later ``partial_fit``. Its
    normaliser Z is set by the first batch; here every batch has its own.

    References
    ----------
    Tian, Krishnan and Isola (2020), Contrastive Representation Distillation, ICLR,
    arXiv:1910.10699, section 3. Views: Bahri, Jiang, Tay and Metzler (2022), SCARF, ICLR,
    arXiv:2106.15147, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import CRD, KD, MLP, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> objective = KD() + 0.1 * CRD()
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
        "memory": [StrOptions({"batch", "bank"})],
        "negatives": [StrOptions({"row", "class"})],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "dim": [Interval(Integral, 1, None, closed="left")],
        "bank_size": [Interval(Integral, 2, None, closed="left")],
        "n_negatives": [Interval(Integral, 1, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "corruption": [Interval(Real, 0, 1, closed="both")],
        "groups": [list, tuple],
    }

    def __init__(
        self,
        *,
        memory: str = "batch",
        negatives: str = "row",
        temperature: float = 0.07,
        dim: int = 64,
        bank_size: int = 4096,
        n_negatives: int = 128,
        momentum: float = 0.5,
        corruption: float = 0.0,
        groups: Sequence[Sequence[int]] = (),
    ):
        self.memory = memory
        self.negatives = negatives
        self.temperature = temperature
        self.dim = dim
        self.bank_size = bank_size
        self.n_negatives = n_negatives
        self.momentum = momentum
        self.corruption = corruption
        self.groups = groups

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> CRD:
        """Take the mean and the scale, and choose the bank's rows; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        centred = self._centred(teacher)
        self.scale_ = float(np.sqrt(np.square(centred).mean(dtype=np.float64))) or 1.0
        if self.memory == "bank":
            ids = row_ids(centred)
            self._bank_ids = ids[some_rows(ids, self.bank_size, random_state)]
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's standardised embeddings, and where in the bank a row is."""
        centred = self._centred(teacher)
        targets: dict[str, NDArray] = {"embedding": centred / np.float32(self.scale_)}
        if self.memory == "bank":
            targets["slot"] = slots(row_ids(centred), self._bank_ids)
        return targets

    def build(self, student: StudentOutputs) -> nn.Module:
        """A linear layer for each side, and the bank."""
        layers: dict[str, nn.Module] = {
            "student": nn.Linear(student.embedding.shape[1], self.dim),
            "teacher": nn.Linear(len(self.mean_), self.dim),
        }
        if self.memory == "bank":
            layers["bank"] = _Bank(len(self._bank_ids), self.dim)
        self.module_ = nn.ModuleDict(layers)
        return self.module_

    def view(self, X: Any) -> Tensor | None:
        """The batch with features replaced; nothing without corruption."""
        return corrupted(X, self.corruption, self.groups) if self.corruption else None

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch, and over the row and its view."""
        assert isinstance(self.module_, nn.ModuleDict)
        must_move(outputs.embedding, self)
        seen = [view for view in (outputs.embedding, outputs.view) if view is not None]
        students = [unit_rows(self.module_["student"](view)) for view in seen]
        teacher = unit_rows(self.module_["teacher"](targets["embedding"]))
        contrast = self._in_batch if self.memory == "batch" else self._with_bank
        return weighted_mean(contrast(students, teacher, targets), targets["weight"])

    def _in_batch(
        self, students: list[Tensor], teacher: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        y = targets["y"]
        ignore = y[:, None] == y if self.negatives == "class" else None
        similarities = [student @ teacher.T for student in students]
        both = similarities + [matrix.T for matrix in similarities]
        return torch.stack([info_nce(m, self.temperature, ignore) for m in both]).mean(dim=0)

    def _with_bank(
        self, students: list[Tensor], teacher: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        assert isinstance(self.module_, nn.ModuleDict)
        bank, slot, y = self.module_["bank"], targets["slot"], targets["y"]
        assert isinstance(bank, _Bank)
        if bank.training:  # before the draw, or the first batch would have no negatives
            bank.remember(slot, students[0].detach(), teacher.detach(), y, self.momentum)
        drawn = self._drawn(bank)
        ignore = drawn == slot[:, None]
        if self.negatives == "class":
            ignore = ignore | (bank.y[drawn] == y[:, None])
        both = [(side, teacher, bank.teacher[drawn]) for side in students]
        by_student = torch.stack([self._estimated(*side, ignore) for side in both]).mean(dim=0)
        return by_student + self._estimated(teacher, students[0], bank.student[drawn], ignore)

    def _estimated(self, queries: Tensor, own: Tensor, others: Tensor, ignore: Tensor) -> Tensor:
        """The paper's loss for one side's queries."""
        queries = queries / self.temperature
        positive = torch.linalg.vecdot(queries, own)
        scores = queries @ others.T
        with torch.no_grad():  # Z, the mean of exp(scores) over all pairs that count
            counts = (~ignore).to(scores.dtype)
            largest = 1 / self.temperature
            total = torch.dot((scores - largest).exp_().flatten(), counts.flatten())
            mean = total / counts.sum().clamp_min(1)
            log_z = mean.clamp_min(torch.finfo(scores.dtype).tiny).log() + largest
        return noise_contrastive(positive, scores, log_z, ignore)

    def _drawn(self, bank: _Bank) -> Tensor:
        """Entries whose rows are the batch's negatives, as many of each class for "class"."""
        if self.negatives == "row":
            return _some(bank.seen, self.n_negatives)
        n_classes = len(self.n_subclasses_)
        each = -(-self.n_negatives // (n_classes - 1)) if n_classes > 1 else 1
        return torch.cat([_some(bank.seen & (bank.y == c), each) for c in range(n_classes)])


def _some(mask: Tensor, size: int) -> Tensor:
    """Random positions where a mask is true; in validation the first, for comparable losses."""
    found = mask.nonzero().squeeze(1)
    draw = torch.randperm if torch.is_grad_enabled() else torch.arange
    return found[draw(len(found), device=mask.device)[:size]]


class _Bank(nn.Module):
    """Both sides' embeddings of some rows, moving averages of length 1, and their classes."""

    student: Tensor
    teacher: Tensor
    y: Tensor
    seen: Tensor

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("student", torch.zeros(size, dim))
        self.register_buffer("teacher", torch.zeros(size, dim))
        self.register_buffer("y", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(size, dtype=torch.bool))

    def remember(
        self, slot: Tensor, student: Tensor, teacher: Tensor, y: Tensor, momentum: float
    ) -> None:
        """Move the entries of those rows that have one."""
        known = slot >= 0
        slot = slot[known]
        keep = momentum * self.seen[slot, None]
        for entries, now in ((self.student, student), (self.teacher, teacher)):
            entries[slot] = unit_rows(keep * entries[slot] + (1 - keep) * now[known])
        self.y[slot] = y[known]
        self.seen[slot] = True
