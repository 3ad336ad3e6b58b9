"""The weight of the subclasses, chosen on held-out labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from lelp_sklearn.students._inputs import TrainingRows

SUBCLASS_WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0)
_HELD_OUT = 0.2


class ChoiceInterruptedError(Exception):
    """Ctrl-C ended the choice of a parameter, and with it the fit.

    Attributes
    ----------
    learned : dict of str to any
        Attributes of the estimator that was to be fitted, as far as they are known.
    """

    def __init__(self, parameter: str, kept: str, learned: dict[str, Any]):
        super().__init__(f"fit was interrupted while it chose {parameter}: {kept}.")
        self.learned = learned

    def end(self, estimator: Any) -> None:
        """Give it to the estimator in whose fit this is, and say so."""
        vars(estimator).update(self.learned)
        warnings.warn(str(self), UserWarning, stacklevel=5)


@contextmanager
def fits_of_a_choice() -> Iterator[None]:
    """Silence what an interrupted fit says: the estimator that chooses says it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit was interrupted", UserWarning)
        yield


def subclass_weight_scores(
    student: Any, rows: TrainingRows, classes: NDArray, seed: int
) -> dict[float, float]:
    """Held-out log-loss of each weight: one full fit each, on the same rows from the same seed.

    The log-loss, as accuracies of a few classes on a fifth of the rows are often equal.

    Raises
    ------
    ChoiceInterruptedError
        At Ctrl-C; the best candidate by then, or else the one it ended, has what is learned.
    """
    held = held_out_rows(rows.y, rows.labeled, seed, groups=rows.groups)
    train, test = rows.take(~held), rows.take(held)
    # Weights of the classes are in those of the rows by now.
    unfitted = clone(student).set_params(class_weight=None, warm_start=False, random_state=seed)
    scores: dict[float, float] = {}
    best = None
    for weight in SUBCLASS_WEIGHTS:
        candidate = clone(unfitted).set_params(subclass_weight=weight)
        try:
            with fits_of_a_choice(), train.numbered_in_faults():
                candidate.fit(train.X, classes[train.y], **train.fit_params())
        except ValueError as error:
            error.add_note(
                f"This was in choosing subclass_weight='auto', on {len(train.y)} of "
                f"{len(rows.y)} rows. A number as subclass_weight trains on all rows at once."
            )
            raise
        if candidate._interrupted:
            raise _interrupted(candidate if best is None else best, scores, len(train.y))
        log_proba = candidate.predict_log_proba(test.X)[np.arange(len(test.y)), test.y]
        loss = -float(np.average(log_proba, weights=test.weight))
        if best is None or loss < min(scores.values()):
            best = candidate
        scores[weight] = loss
    return scores


def _interrupted(best: Any, scores: dict[float, float], n_rows: int) -> ChoiceInterruptedError:
    learned = {name: getattr(best, name) for name in ("classes_", "inputs_", "objective_", "net_")}
    learned |= {"subclass_weight_scores_": scores, "_interrupted": True}
    which = f"best of {len(scores)} candidates" if scores else "first candidate, as far as it came"
    return ChoiceInterruptedError(
        "subclass_weight",
        f"the student is the {which}, of subclass_weight={best.subclass_weight} and trained on "
        f"{n_rows} rows",
        learned,
    )


def held_out_rows(
    y: NDArray,
    labeled: NDArray,
    seed: int,
    parameter: str = "subclass_weight",
    groups: NDArray | None = None,
) -> NDArray:
    """Mask of a fifth of each class's labelled rows, at least one where the class has two.

    Of rows in groups, the labelled rows of a fifth of the groups, at least one.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(y), dtype=bool)
    if groups is not None:
        own = rng.permutation(np.unique(groups[labeled]))
        if len(own) < 2:
            raise ValueError(
                f"{parameter}='auto' holds out whole groups to choose by, and all labelled rows "
                "are of one: give a number, such as 0.1."
            )
        chosen = own[: max(round(_HELD_OUT * len(own)), 1)]
        return labeled & np.isin(groups, chosen)
    for c in np.unique(y[labeled]):
        own = rng.permutation(np.flatnonzero(labeled & (y == c)))
        held[own[: max(round(_HELD_OUT * len(own)), 1)]] = len(own) > 1
    if not held.any():
        raise ValueError(
            f"{parameter}='auto' holds out labelled rows to choose by, and each class has a "
            f"single one ({labeled.sum()} in all): give a number, such as 0.1."
        )
    return held
