"""The space that classes are clustered in: standardised, without what the logits already say."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_array, check_consistent_length

from lelp_sklearn.outputs import check_proba
from lelp_sklearn.subclasses._base import FLOATS
from lelp_sklearn.subclasses._moments import ClassMoments
from lelp_sklearn.subclasses._null_space import (
    NULL_SPACE_SKIPPED,
    NULL_SPACE_UNKNOWN,
    check_coef,
    complement,
    logit_directions,
    recovered_coef,
)


class EmbeddingSpace:
    """Columns scaled to mean 0 and variance 1 on the training rows; then the null space, if asked.

    Parameters
    ----------
    H : ndarray of shape (n_rows, D)
        Training rows of all classes.
    null_space : bool or "auto"
        Whether to remove what the logits say, as in LELPProjector.
    teacher_proba : array-like of shape (n_rows, C), optional
        Teacher probabilities.
    teacher_coef : array-like of shape (C, D), optional
        Output weights.
    """

    def __init__(
        self,
        H: NDArray,
        null_space: bool | str,
        teacher_proba: ArrayLike | None,
        teacher_coef: ArrayLike | None,
    ):
        self.scaler = StandardScaler().set_output(transform="default").fit(H)
        self.outside: NDArray | None = None
        coef = check_coef(teacher_coef, H.shape[1])
        proba = None
        if teacher_proba is not None:
            proba = check_array(teacher_proba, dtype=FLOATS, input_name="teacher_proba")
            check_consistent_length(H, proba)
            proba = check_proba(proba, "teacher_proba")
        if not null_space:
            return
        if coef is None and proba is None:
            if null_space is True:
                raise ValueError(NULL_SPACE_UNKNOWN)
            warnings.warn(NULL_SPACE_SKIPPED, UserWarning, stacklevel=5)
            return
        if coef is not None:
            V = logit_directions(coef * self.scaler.scale_)  # the same logits, of scaled columns
        else:  # it knows no classes: the moments are those of one class that holds all rows
            V = logit_directions(
                recovered_coef(ClassMoments.of(self.scaler.transform(H), np.zeros(len(H)), proba))
            )
        if V.shape[1] >= H.shape[1]:
            if null_space == "auto":
                return  # of embeddings that are the logits, all is kept
            raise ValueError(
                f"the embeddings have n_features={H.shape[1]}, and the logits say all of it: "
                "nothing is left to split classes by. Set null_space=False."
            )
        self.outside = complement(V)

    def __call__(self, H: NDArray) -> NDArray:
        """Rows of embeddings in this space, of the same type."""
        Z = self.scaler.transform(H)
        return Z if self.outside is None else Z @ self.outside.astype(Z.dtype)
