"""A model's output columns as class probabilities in the order of the sorted labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lelp_sklearn.teachers._hooks import as_float


class OutputColumns:
    """What a model's columns mean: their labels, and whether they are logits or probabilities.

    Parameters
    ----------
    labels : array-like of shape (C,)
        The label of each column, in the model's order. A model with a single column for two
        classes gives the second one's probability, or its log-odds.
    """

    def __init__(self, labels: ArrayLike):
        self.labels = np.asarray(labels)
        if self.labels.ndim != 1 or len(np.unique(self.labels)) != self.labels.size:
            raise ValueError(
                f"classes is {self.labels.tolist()}; expected different labels, one an output "
                "column, in the model's order."
            )
        if len(self.labels) < 2:
            raise ValueError(
                f"classes is {self.labels.tolist()}; expected two or more. A single output column "
                "is the probability of the second of two."
            )
        self.order = np.argsort(self.labels, kind="stable")
        self.classes = self.labels[self.order]

    def proba(self, output: Tensor, kind: str) -> NDArray:
        """Probabilities, columns as in ``classes``, from outputs of shape (n, C), (n, 1), (n,)."""
        output = as_float(output)
        if output.ndim == 1:
            output = output[:, None]
        if output.ndim != 2 or output.shape[1] not in (len(self.labels), 1):
            raise ValueError(
                f"the model gives outputs of shape {tuple(output.shape)}; expected (rows, "
                f"{len(self.labels)}), one column for each of {self.labels.tolist()}. Pass classes "
                "in the order of the columns."
            )
        if output.shape[1] == 1:
            self._check_binary()
            second = output.sigmoid() if kind == "logits" else output
            proba = np.concatenate([1 - second.numpy(), second.numpy()], axis=1)
        else:
            proba = (output.softmax(dim=1) if kind == "logits" else output).numpy()
        return proba[:, self.order]

    def coef(self, weight: Any) -> NDArray:
        """Weights of a last linear layer, rows in the order of ``classes``; (1, D) if it has one.

        The single row is the log-odds of ``classes[1]``.
        """
        rows = as_float(weight).numpy()
        if len(rows) == 1:
            self._check_binary()
            return rows if self.order[1] == 1 else -rows
        return rows[self.order]

    def _check_binary(self) -> None:
        if len(self.labels) != 2:
            raise ValueError(
                f"the model gives a single output column for the {len(self.labels)} classes "
                f"{self.labels.tolist()}; expected one column a class."
            )
