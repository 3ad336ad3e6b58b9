"""Rows that no teacher has answered, which are learned from their labels alone.

A row of NaN in ``teacher_proba`` says so. Whatever the objective, its loss counts the other rows,
and these rows have the cross-entropy with their label in its place, weight by weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lelp_sklearn.losses import fold, label_loss
from lelp_sklearn.objectives import Objective
from lelp_sklearn.objectives._base import check_loss, split_loss
from lelp_sklearn.outputs import StudentOutputs

_WEIGHTS = "weights of answered and of other rows"


def without_answer(proba: Any, n_rows: int) -> NDArray:
    """Mask of the rows of NaN, in probabilities that are not checked yet."""
    try:
        values = np.asarray(proba, dtype=float)
    except (TypeError, ValueError):  # refused by the checks that follow, in their words
        return np.zeros(n_rows, dtype=bool)
    if values.ndim != 2 or len(values) != n_rows:
        return np.zeros(n_rows, dtype=bool)
    return np.isnan(values).all(axis=1)


def with_stand_ins(proba: Any, missing: NDArray) -> Any:
    """The same probabilities, in the same container, even ones in the rows of a mask."""
    if not missing.any():
        return proba
    if hasattr(proba, "iloc"):
        filled = proba.astype(float)
        filled.iloc[missing] = 1 / filled.shape[1]
        return filled
    if hasattr(proba, "with_columns"):  # polars
        return proba.fill_nan(1 / proba.width).fill_null(1 / proba.width)
    values = np.array(proba, dtype=float)
    values[missing] = 1 / values.shape[1]
    return values


def weights_apart(weight: NDArray, answered: NDArray) -> dict[str, NDArray]:
    """A target that :func:`loss_of` looks for; none where all rows are answered."""
    if answered.all():
        return {}
    return {_WEIGHTS: np.stack([weight * answered, weight * ~answered], axis=1)}


def loss_of(
    objective: Objective, outputs: StudentOutputs, batch: Any, progress: float, check: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """An objective's loss of a batch and the scalars beside it; checked, where that is asked."""
    if _WEIGHTS not in batch.targets:
        loss = objective.loss(outputs, batch.targets, progress)
        if check:
            check_loss(objective, loss)
        return split_loss(loss)
    targets = dict(batch.targets)
    weights = targets.pop(_WEIGHTS)
    taught, alone = weights.sum(dim=0)
    logits = fold(outputs.logits, objective.n_subclasses_)
    labels = (label_loss(logits, batch[1]) * weights[:, 1]).sum()
    if taught == 0:
        return labels / alone, {}
    loss = objective.loss(outputs, targets, progress)
    if check:
        check_loss(objective, loss)
    loss, terms = split_loss(loss)
    return (taught * loss + labels) / (taught + alone), terms
