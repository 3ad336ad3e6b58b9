"""The weight of the subclasses, chosen on held-out labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from lelp_sklearn.students._inputs import TrainingRows

SUBCLASS_WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0)
_HELD_OUT = 0.2


def subclass_weight_scores(
    student: Any, rows: TrainingRows, classes: NDArray, seed: int
) -> dict[float, float]:
    """Held-out log-loss of each weight: one full fit each, on the same rows from the same seed.

    The log-loss, as accuracies of a few classes on a fifth of the rows are often equal.
    """
    held = held_out_rows(rows.y, rows.labeled, seed)
    train, test = rows.take(~held), rows.take(held)
    # Weights of the classes are in those of the rows by now.
    candidate = clone(student).set_params(class_weight=None, warm_start=False, random_state=seed)
    scores = {}
    for weight in SUBCLASS_WEIGHTS:
        candidate.set_params(subclass_weight=weight)
        try:
            fitted = candidate.fit(
                train.X,
                classes[train.y],
                train.weight,
                labeled=train.labeled,
                teacher_coef=train.teacher.coef,
                **{f"teacher_{name}": getattr(train.teacher, name) for name in train.teacher.given},
            )
        except ValueError as error:
            error.add_note(
                f"This was in choosing subclass_weight='auto', on {len(train.y)} of "
                f"{len(rows.y)} rows. A number as subclass_weight trains on all rows at once."
            )
            raise
        log_proba = fitted.predict_log_proba(test.X)[np.arange(len(test.y)), test.y]
        scores[weight] = -float(np.average(log_proba, weights=test.weight))
    return scores


def held_out_rows(
    y: NDArray, labeled: NDArray, seed: int, parameter: str = "subclass_weight"
) -> NDArray:
    """Mask of a fifth of each class's labelled rows, at least one where the class has two."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(y), dtype=bool)
    for c in np.unique(y[labeled]):
        own = rng.permutation(np.flatnonzero(labeled & (y == c)))
        held[own[: max(round(_HELD_OUT * len(own)), 1)]] = len(own) > 1
    if not held.any():
        raise ValueError(
            f"{parameter}='auto' holds out labelled rows to choose by, and each class has a "
            f"single one ({labeled.sum()} in all): give a number, such as 0.1."
        )
    return held
