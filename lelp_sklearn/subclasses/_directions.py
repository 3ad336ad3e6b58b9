"""Section 3.1 of the LELP paper: informative directions of one class, and their random rotation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.stats import ortho_group

from lelp_sklearn.subclasses._base import (
    no_spread_message,
    too_few_columns_message,
    too_few_rows_message,
)
from lelp_sklearn.subclasses._moments import ClassMoments
from lelp_sklearn.subclasses._null_space import restricted


class ClassDirections(NamedTuple):
    """The S directions of one class, as rows."""

    components: NDArray  # (S, D)
    scale: float  # root mean square of the projections, over rows and directions
    rotation: NDArray  # (S, K): what mixed the K basis directions into S
    explained_variance_ratio: NDArray  # (K,), of the basis directions


def class_directions(
    covariance: NDArray,
    outside: NDArray | None,
    n_subclasses: int,
    kind: str,
    rng: np.random.Generator,
) -> ClassDirections:
    """Directions v'_{c,1..S} and scale r_c of a class with the given covariance (D, D).

    They lie in the span of ``outside`` (D, D - r), orthonormal columns; None is the whole space.
    """
    n_basis = n_basis_directions(n_subclasses, kind)
    covariance = restricted(covariance, outside)
    if kind == "random":
        basis = _random_directions(len(covariance), n_basis, rng)
    else:
        basis = _principal_directions(covariance, n_basis)
    if kind == "varimax":
        # In the embeddings' own columns: what is simple in those of `outside` means nothing.
        columns = basis.T if outside is None else outside @ basis.T
        loadings = columns * np.sqrt(_variance(covariance, basis))
        rotation = varimax(loadings).T
    else:
        rotation = _mixing(n_subclasses, kind, rng)
    components = rotation @ basis
    total = np.trace(covariance)
    return ClassDirections(
        components if outside is None else components @ outside.T,
        float(np.sqrt(_variance(covariance, components).mean())) or 1.0,
        rotation,
        _variance(covariance, basis) / total if total > 0 else np.zeros(n_basis),
    )


def class_shortage(
    moments: ClassMoments, c: int, n_subclasses: int, kind: str, n_left: int
) -> str | None:
    """Why class number c cannot be split along directions, in a sentence; None where it can."""
    label, n_rows, mean = moments.classes.tolist()[c], moments.count[c], moments.mean[c]
    n_basis = n_basis_directions(n_subclasses, kind)
    if kind == "signed_pca" and n_subclasses % 2:
        return (
            f"directions='signed_pca' takes each direction with both signs, so n_subclasses must "
            f"be even; class {label!r} has {n_subclasses}."
        )
    if n_rows < n_subclasses:
        return too_few_rows_message(label, n_rows, n_subclasses)
    if n_basis > n_left:
        left = f"n_features={len(mean)}, of which {n_left} are left beside what the logits say"
        return too_few_columns_message(label, n_basis, n_subclasses, left)
    if moments.is_constant(c):
        return no_spread_message(label, n_rows)
    return None


def n_basis_directions(n_subclasses: int, kind: str) -> int:
    """K, the basis directions that S subclasses are mixed from."""
    return n_subclasses // 2 if kind == "signed_pca" and n_subclasses > 1 else n_subclasses


def _mixing(n_subclasses: int, kind: str, rng: np.random.Generator) -> NDArray:
    if kind == "rotated" and n_subclasses > 1:
        # Haar: the first principal direction would rule the soft-max; mixed, none does.
        return ortho_group.rvs(n_subclasses, random_state=rng)
    if kind == "signed_pca" and n_subclasses > 1:
        half = np.eye(n_subclasses // 2)
        return np.concatenate([half, -half])
    return np.eye(n_subclasses)


def varimax(loadings: NDArray, *, tol: float = 1e-10, max_iter: int = 1000) -> NDArray:
    """Kaiser's rotation R (K, K): squares of ``loadings @ R`` (D, K) vary most within columns.

    By the iteration of singular value decompositions that goes uphill from no rotation.
    """
    R = np.eye(loadings.shape[1])
    reached = 0.0
    for _ in range(max_iter):
        rotated = loadings @ R
        uphill = loadings.T @ (rotated**3 - rotated * (rotated**2).mean(axis=0))
        U, strength, Vt = np.linalg.svd(uphill)
        R = U @ Vt
        if strength.sum() <= reached * (1 + tol):
            break
        reached = strength.sum()
    return R


def _principal_directions(covariance: NDArray, n_directions: int) -> NDArray:
    n_features = len(covariance)
    _, vectors = eigh(covariance, subset_by_index=[n_features - n_directions, n_features - 1])
    directions = vectors[:, ::-1].T
    largest = np.abs(directions).argmax(axis=1)  # signs fixed, so that a refit gives the same
    return directions * np.sign(directions[np.arange(n_directions), largest])[:, None]


def _random_directions(n_features: int, n_directions: int, rng: np.random.Generator) -> NDArray:
    return np.linalg.qr(rng.standard_normal((n_features, n_directions)))[0].T


def _variance(covariance: NDArray, directions: NDArray) -> NDArray:
    return np.maximum(np.einsum("sd,sd->s", directions @ covariance, directions), 0.0)
