"""What the teacher's logits already say, and the embedding directions that they do not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lstsq, svd
from sklearn.utils.validation import check_array

from lelp_sklearn._checks import check_magnitude
from lelp_sklearn.subclasses._moments import ClassMoments

_FLOATS = [np.float64, np.float32]

NULL_SPACE_UNKNOWN = (
    "null_space=True needs the teacher's output weights: pass teacher_coef, or teacher_proba to "
    "recover them, or set null_space=False."
)
NULL_SPACE_SKIPPED = (
    "null_space='auto' is skipped: neither teacher_coef nor teacher_proba was given. Pass one of "
    "them, or set null_space=False to say that this is meant."
)


def check_coef(teacher_coef: ArrayLike | None, n_features: int) -> NDArray | None:
    """Output weights (C, D) that fit embeddings of so many columns."""
    if teacher_coef is None:
        return None
    coef = check_array(teacher_coef, dtype=_FLOATS, ensure_2d=False, input_name="teacher_coef")
    coef = np.atleast_2d(coef)
    check_magnitude(coef, "teacher_coef")
    if coef.shape[1] != n_features:
        raise ValueError(
            f"teacher_coef has shape {coef.shape}; expected one weight for each of the "
            f"{n_features} embedding columns: (n_classes, {n_features})."
        )
    return coef


def logit_basis(moments: ClassMoments, coef: NDArray | None) -> NDArray | None:
    """Basis of what the logits say, from the output weights or else from probabilities."""
    if coef is not None:
        return logit_directions(coef)
    if moments.n_proba is not None:
        return logit_directions(recovered_coef(moments))
    return None


def logit_directions(coef: NDArray) -> NDArray:
    """Orthonormal basis V (D, r) of the row space of the row-centred output weights.

    A soft-max sees only differences of logits, so the common row of ``coef`` (C, D) says nothing
    and the rank r is at most C - 1. A single row is a binary teacher's logit difference.
    """
    coef = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    if len(coef) > 1:
        coef = coef - coef.mean(axis=0)
    _, strength, Vt = svd(coef, full_matrices=False)
    return Vt[strength > 1e-6 * strength.max(initial=0.0)].T


def complement(V: NDArray) -> NDArray:
    """Orthonormal basis (D, D - r) of what is orthogonal to the columns of ``V`` (D, r)."""
    return np.linalg.qr(V, mode="complete")[0][:, V.shape[1] :]


def restricted(scatter: NDArray, outside: NDArray | None) -> NDArray:
    """A scatter matrix in the coordinates of ``outside`` (D, D - r); None is the whole space."""
    return scatter if outside is None else outside.T @ scatter @ outside


def recovered_coef(moments: ClassMoments) -> NDArray:
    """Output weights (C, D), row-centred, by least squares from log-probabilities on embeddings.

    Exact where the teacher's last layer is linear and its embeddings span their space.
    """
    coef, *_ = lstsq(moments.total_scatter, moments.cross, cond=1e-10)
    return coef.T
