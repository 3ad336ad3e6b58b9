"""What objectives on the teacher's embeddings share: statistics, row numbers, and a check."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from lelp_sklearn.objectives._base import Objective
from lelp_sklearn.outputs import TeacherOutputs


class OnEmbeddings(Objective):
    """An objective on the teacher's embeddings, centred by the mean of the first training rows.

    Attributes
    ----------
    mean_ : ndarray of shape (D,)
        That mean.
    """

    needs = ("embeddings",)
    trains_head = False

    mean_: NDArray

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> OnEmbeddings:
        """Check the parameters and take the mean; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        assert teacher.embeddings is not None
        self.mean_ = teacher.embeddings.mean(axis=0, dtype=np.float64)
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The teacher's embeddings, centred."""
        return {"embedding": self._centred(teacher)}

    def _centred(self, teacher: TeacherOutputs) -> NDArray:
        embeddings = teacher.embeddings
        assert embeddings is not None
        if embeddings.shape[1] != len(self.mean_):
            raise ValueError(
                f"teacher_embeddings has {embeddings.shape[1]} columns, and {len(self.mean_)} in "
                "the first call: pass those of the same teacher, or fit anew."
            )
        # Centred before the cast: far from 0, float32 holds no two rows apart.
        return (embeddings - self.mean_.astype(embeddings.dtype)).astype(np.float32, copy=False)


def principal_directions(
    centred: NDArray, n_components: int | None, random_state: int
) -> NDArray | None:
    """The k directions of largest variance, shape (D, k); None where all of them are asked for."""
    if n_components is None or n_components >= centred.shape[1]:
        return None
    k = min(n_components, len(centred))
    return randomized_svd(centred, k, random_state=random_state)[2].T.astype(np.float32)


def row_ids(embeddings: NDArray) -> NDArray[np.int64]:
    """A number for each row that depends on its values alone, the same in every call.

    Rows thus know themselves again in a bank, whatever rows a student is trained on next.
    """
    rows = np.ascontiguousarray(embeddings, dtype=np.float64)
    digests = b"".join(blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, dtype=np.int64)


def some_rows(ids: NDArray[np.int64], size: int, random_state: int) -> NDArray[np.int64]:
    """Positions of at most so many different rows, in the order of their ids."""
    _, first = np.unique(ids, return_index=True)
    if len(first) > size:
        chosen = np.random.default_rng(random_state).choice(len(first), size, replace=False)
        first = first[np.sort(chosen)]
    return first


def slots(ids: NDArray[np.int64], bank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each row's position in a bank of sorted ids, -1 where it has none."""
    position = np.searchsorted(bank, ids).clip(max=len(bank) - 1)
    return np.where(bank[position] == ids, position, -1)


def centred(embedding: Tensor) -> Tensor:
    """Student embeddings less the batch's mean, 0 where that leaves no more than rounding.

    The batch's own mean has no state that could lag behind a student on its way, and its gradient
    is exact: a shift of all embeddings changes nothing.
    """
    difference = embedding - embedding.mean(dim=0)
    largest = embedding.detach().abs().amax()
    return difference * (difference.detach().abs().amax(dim=1, keepdim=True) > 1e-6 * largest)


def must_move(embedding: Tensor, objective: Objective) -> None:
    """Raise where a loss on the student's embeddings cannot change them."""
    if torch.is_grad_enabled() and not embedding.requires_grad:
        raise ValueError(
            f"{type(objective).__name__} shapes the student's embeddings, and its body has nothing "
            "to train: a linear student's are its inputs. Use another body, such as module=MLP, "
            "and do not freeze it."
        )
