"""Hidden layers of the student against those of the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn._compat import StrOptions
from lelp_sklearn.losses import hidden_mse, patient_loss
from lelp_sklearn.objectives._base import Objective, weighted_mean
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class HiddenLayers(Objective):
    """Hidden vectors of several layers, matched pair by pair.

    It gives a deep student a say of the teacher's in each of its layers. It knows nothing of
    classes: add it to what does, ``KD() + HiddenLayers()``, or put it before, in
    :class:`Stages`. The targets take 4 n L D bytes.

    Parameters
    ----------
    layer_map : {"uniform", "last"} or sequence of (int, int), default="uniform"
        Which layer of the student copies which of the teacher. "uniform" spreads the student's
        over the teacher's, the last on the last: of M and L layers, m copies the ceil(m L / M)-th.
        "last" is one pair. Pairs are (student, teacher), counted from 0, or from the end by
        negative numbers.
    form : {"pkd", "tinybert"}, default="pkd"
        "pkd": squared distance of vectors of length 1, on a learned linear map of the student's
        where widths differ. "tinybert": mean squared difference on a learned map, always.

    Attributes
    ----------
    module_ : nn.ModuleList
        The maps, one a pair.
    pairs_ : list of (int, int)
        Layers of student and teacher, both counted from 0.

    See Also
    --------
    AMAD : Attention instead.
    TransformersTeacher : Gives its layers with ``hidden_states=True``.

    Notes
    -----
    The loss is the mean over pairs; PKD and TinyBERT take the sum. Layers of a transformer that
    begin with the token embeddings are spread as in TinyBERT.

    References
    ----------
    Sun, Cheng, Gan and Liu (2019), Patient Knowledge Distillation for BERT Model Compression,
    EMNLP, equation 7; Jiao et al. (2020), TinyBERT: Distilling BERT for Natural Language
    Understanding, Findings of EMNLP, equation 8.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import KD, MLP, HiddenLayers, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> y = digit % 2
    >>> layers = np.random.default_rng(0).standard_normal((2, 64, 16))  # of a made-up teacher
    >>> hidden = np.stack([np.maximum(X / 16 @ layer, 0) for layer in layers], axis=1)
    >>> student = StudentClassifier(
    ...     MLP, module__hidden=(24, 12), objective=KD() + HiddenLayers(), max_epochs=3
    ... )
    >>> student = student.fit(X / 16, y, teacher_proba=np.eye(2)[y], teacher_hidden=hidden)
    >>> student.objective_.objectives_[1][1].pairs_
    [(0, 0), (1, 1)]
    """

    needs = ("hidden",)
    sees = ("hidden",)
    trains_head = False
    _parameter_constraints: dict = {  # noqa: RUF012
        "layer_map": [StrOptions({"uniform", "last"}), list, tuple],
        "form": [StrOptions({"pkd", "tinybert"})],
    }

    def __init__(
        self, *, layer_map: str | Sequence[tuple[int, int]] = "uniform", form: str = "pkd"
    ):
        self.layer_map = layer_map
        self.form = form

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> HiddenLayers:
        """Note the teacher's layers and their width; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        assert teacher.hidden is not None
        self.n_layers_, self.width_ = teacher.hidden.shape[1:]
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's hidden layers."""
        assert teacher.hidden is not None
        if teacher.hidden.shape[1:] != (self.n_layers_, self.width_):
            raise ValueError(
                f"teacher_hidden has {teacher.hidden.shape[1:]} layers and width, and "
                f"{(self.n_layers_, self.width_)} in the first call: pass those of the same "
                "teacher, or fit anew."
            )
        return {"hidden": teacher.hidden.astype(np.float32, copy=False)}

    def build(self, student: StudentOutputs) -> nn.Module:
        """The linear maps to the teacher's width."""
        self.pairs_ = self._pairs(len(student.hidden))
        maps: list[nn.Module] = []
        for m, _ in self.pairs_:
            shape = tuple(student.hidden[m].shape)
            if len(shape) != 2:
                raise ValueError(
                    f"the body's hidden layer {m} has shape {shape}; expected one vector a row, "
                    "(rows, width): pool the tokens."
                )
            same = self.form == "pkd" and shape[1] == self.width_
            maps.append(nn.Identity() if same else nn.Linear(shape[1], self.width_, bias=False))
        self.module_ = nn.ModuleList(maps)
        return self.module_

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch and the pairs."""
        assert isinstance(self.module_, nn.ModuleList)
        distance = patient_loss if self.form == "pkd" else hidden_mse
        rows = [
            distance(to_teacher(outputs.hidden[m]), targets["hidden"][:, layer])
            for (m, layer), to_teacher in zip(self.pairs_, self.module_, strict=True)
        ]
        return weighted_mean(torch.stack(rows).mean(dim=0), targets["weight"])

    def _pairs(self, n_student: int) -> list[tuple[int, int]]:
        n_teacher = self.n_layers_
        if isinstance(self.layer_map, str):
            uniform = [(m, -(-(m + 1) * n_teacher // n_student) - 1) for m in range(n_student)]
            return uniform if self.layer_map == "uniform" else uniform[-1:]
        within = all(
            len(pair) == 2
            and -n_student <= pair[0] < n_student
            and -n_teacher <= pair[1] < n_teacher
            for pair in self.layer_map
        )
        if not self.layer_map or not within:
            raise ValueError(
                f"layer_map={self.layer_map!r}: expected pairs of layers, from 0 to "
                f"{n_student - 1} of the student and from 0 to {n_teacher - 1} of the teacher."
            )
        return [(m % n_student, layer % n_teacher) for m, layer in self.layer_map]
