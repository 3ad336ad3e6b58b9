"""What objectives that predict the teacher's embeddings share: their scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from lelp_sklearn.objectives._base import Objective
from lelp_sklearn.outputs import TeacherOutputs


class OnStandardized(Objective):
    """An objective on the teacher's embeddings, columns of mean 0 and variance 1.

    Statistics are those of the first training rows. Columns are scaled one by one, the space in
    which splitters see them too: language models have a few columns of very large variance, which
    one common scale would leave to rule the loss, and a loss of about 1 for the student that
    predicts nothing makes weights carry over from teacher to teacher.

    Attributes
    ----------
    scaler_ : StandardScaler
        Fitted.
    """

    needs: tuple[str, ...] = ("embeddings",)
    trains_head = False

    scaler_: StandardScaler

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> OnStandardized:
        """Check the parameters and take the statistics; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        self.scaler_ = StandardScaler().set_output(transform="default").fit(teacher.embeddings)
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's embeddings, standardised."""
        return {"embedding": self._standardized(teacher)}

    def _standardized(self, teacher: TeacherOutputs) -> NDArray:
        return self.scaler_.transform(teacher.embeddings).astype(np.float32, copy=False)
