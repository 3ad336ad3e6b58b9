"""Objectives added up, with weights given, scheduled or learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor, nn

from lelp_sklearn._compat import StrOptions
from lelp_sklearn.objectives._base import (
    Loss,
    Objective,
    Weight,
    check_weight,
    split_loss,
    weight_at,
)
from lelp_sklearn.objectives._named import NamedObjectives
from lelp_sklearn.outputs import StudentOutputs

_SLOWER = 0.1  # log-variances move at a tenth of the learning rate
_LARGEST = 4.0  # a term near zero would otherwise get a weight without bound


class WeightedSum(NamedObjectives):
    r"""Several objectives at once: :math:`\sum_i w_i L_i`.

    It is what ``KD() + 0.5 * RKD()`` makes. Objectives of one logit a class see a wide head
    folded, so ``LELP() + KD()`` is a sum too. Each term is in ``history_`` under its name.

    Parameters
    ----------
    objectives : list of (str, Objective)
        Names and objectives. A grid says ``kd__temperature``.
    weights : sequence, "uncertainty", "liebel" or None, default=None
        One weight an objective: a number; a pair, of the first epoch and the last one; or a
        callable of the progress of training, from 0 to 1. None is 1 each. "uncertainty" learns
        them, :math:`e^{-s_i} L_i + s_i / 2`, and "liebel" as
        :math:`\tfrac12 e^{-s_i} L_i + \log(1 + e^{s_i})`, which is never negative. The
        :math:`s_i` start at 0, stay within ±4 and move at a tenth of the learning rate; the
        weights they come to are in ``history_`` as ``train_weight_`` and the name. A learned
        total says nothing of how good a student is: it falls as the weights adapt.

    Attributes
    ----------
    objectives_ : list of (str, Objective)
        Fitted.

    See Also
    --------
    Stages : One objective after the other.

    References
    ----------
    Kendall, Gal and Cipolla (2018), Multi-Task Learning Using Uncertainty to Weigh Losses,
    arXiv:1705.07115, equation 10; Liebel and Körner (2018), Auxiliary Tasks in Multi-task
    Learning, arXiv:1805.06334, equation 6.

    Examples
    --------
    >>> from lelp_sklearn import KD, CrossEntropy
    >>> both = KD(temperature=4.0) + 0.1 * CrossEntropy()
    >>> [name for name, _ in both.objectives], both.weights
    (['kd', 'crossentropy'], [1.0, 0.1])
    >>> both.set_params(kd__temperature=2.0).get_params()["kd"]
    KD(temperature=2.0)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "objectives": [list],
        "weights": [list, tuple, np.ndarray, StrOptions({"uncertainty", "liebel"}), None],
    }

    def __init__(
        self,
        objectives: list[tuple[str, Objective]],
        *,
        weights: Sequence[Weight] | str | None = None,
    ):
        self.objectives = objectives
        self.weights = weights

    def _given(self) -> list[tuple[str, Objective]]:
        return self.objectives

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this sum; the objectives and theirs by name.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the objectives and their parameters.

        Returns
        -------
        params : dict of str to any
        """
        return self._get_params("objectives", deep=deep)

    def set_params(self, **params: Any) -> WeightedSum:
        """Set parameters; an objective can be replaced by its name.

        Parameters
        ----------
        **params : dict
            Parameters.

        Returns
        -------
        self
        """
        self._set_params("objectives", **params)
        return self

    def _check(self, classes: NDArray) -> None:
        super()._check(classes)
        self._check_weights()

    def _check_weights(self) -> None:
        n = len(self.objectives)
        if not (self.weights is None or isinstance(self.weights, str) or len(self.weights) == n):
            raise ValueError(f"{len(self.weights)} weights for {n} objectives: expected one each.")
        if self.weights is not None and not isinstance(self.weights, str):
            for (name, _), weight in zip(self.objectives, self.weights, strict=True):
                check_weight(weight, f"the weight of {name}")

    @property
    def trains_head(self) -> bool:  # type: ignore[override]
        """Whether any of the objectives does whose weight is not 0 all along."""
        if self.weights is None or isinstance(self.weights, str):
            return super().trains_head
        self._check_weights()
        return any(
            part.trains_head and any(weight_at(weight, i / 20) for i in range(21))
            for (_, part), weight in zip(self._named(), self.weights, strict=True)
        )

    def build(self, student: StudentOutputs) -> nn.Module | None:
        """The objectives' parts, and the weights where they are learned."""
        module = super().build(student)
        if isinstance(self.weights, str):
            assert module is not None
            module.log_variances = nn.Parameter(torch.zeros(len(self.objectives_)))
        return module

    def loss(self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float) -> Loss:
        """Weighted sum of the objectives' losses; each of them beside it."""
        total, terms, values = torch.zeros_like(targets["weight"][0]), {}, []
        for name, part in self.objectives_:
            value, inner = split_loss(self._loss_of(name, part, outputs, targets, progress))
            terms[name] = value.detach()
            terms |= {f"{name}_{key}": v for key, v in inner.items()}
            values.append(value)
        weights, total = self._weights(progress, total)
        for (name, _), weight, value in zip(self.objectives_, weights, values, strict=True):
            total = total + weight * value
            if isinstance(self.weights, str):
                terms[f"weight_{name}"] = weight.detach()
        return total, terms

    def _weights(self, progress: float, nothing: Tensor) -> tuple[Sequence[Any], Tensor]:
        """The weights, and what learned ones cost."""
        if not isinstance(self.weights, str):
            given = [1.0] * len(self.objectives_) if self.weights is None else self.weights
            return [weight_at(weight, progress) for weight in given], nothing
        assert self.module_ is not None
        raw: Tensor = self.module_.log_variances  # type: ignore[assignment]
        with torch.no_grad():
            raw.clamp_(-_LARGEST / _SLOWER, _LARGEST / _SLOWER)
        s = _SLOWER * raw
        if self.weights == "uncertainty":
            return list((-s).exp()), s.sum() / 2
        return list(0.5 * (-s).exp()), nn.functional.softplus(s).sum()


def scaled(objective: Objective, weight: Weight) -> WeightedSum:
    """An objective, or each of a sum, times a weight."""
    parts, weights = _terms(objective)
    if set(weights) == {1.0}:
        return _sum(parts, [weight] * len(parts))
    if isinstance(weight, Real) and all(isinstance(w, Real) for w in weights):
        return _sum(parts, [weight * w for w in weights])
    raise TypeError(f"{weight!r} times a sum with the weights {weights}: weights must be numbers.")


def add(first: Objective, second: Objective) -> WeightedSum:
    """The sum of two objectives or sums."""
    if not isinstance(second, Objective):
        raise TypeError(f"{type(second).__name__} is not an objective, and cannot be added to one.")
    (parts, weights), (more, more_weights) = _terms(first), _terms(second)
    return _sum(parts + more, weights + more_weights)


def _terms(objective: Objective) -> tuple[list[Objective], list[Any]]:
    if not isinstance(objective, WeightedSum):
        return [clone(objective)], [1.0]
    if isinstance(objective.weights, str):
        raise TypeError(f"a sum with weights={objective.weights!r} cannot be scaled or added to.")
    parts = [clone(part) for _, part in objective.objectives]
    return parts, [1.0] * len(parts) if objective.weights is None else list(objective.weights)


def _sum(parts: list[Objective], weights: list[Any]) -> WeightedSum:
    """A sum whose objectives are named after their classes, numbered where that is not enough."""
    names = [type(part).__name__.lower() for part in parts]
    numbered = [
        name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]
    return WeightedSum(list(zip(numbered, parts, strict=True)), weights=weights)
