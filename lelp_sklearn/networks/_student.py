"""The student network: a user's body and our head."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lelp_sklearn.inputs._base import Rows
from lelp_sklearn.outputs import BodyOutputs, StudentOutputs

if TYPE_CHECKING:
    from lelp_sklearn.objectives import Objective


class StudentNetwork(nn.Module):
    """A body that embeds a batch, a head on it, and what its objective trains beside them.

    Parameters
    ----------
    body : type or nn.Module
        A body class, built with ``body_params`` and with what is ``known``, where its ``__init__``
        takes that; or an instance, whose copy starts from its weights.
    body_params : dict
        Keyword arguments of a body class.
    known : dict
        Arguments for those bodies that ask for them by name, such as ``n_features``.
    n_logits : int
        Outputs of the head.
    example : Rows
        A batch of inputs, only used to see how wide the body's embedding is.
    objective : Objective, default=None
        Makes the head, which is linear without it, and what else is trained.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.networks import MLP, StudentNetwork
    >>> network = StudentNetwork(
    ...     MLP, {"hidden": 8}, {"n_features": 4}, n_logits=6, example=torch.zeros(2, 4)
    ... )
    >>> network.head
    Linear(in_features=8, out_features=6, bias=True)
    """

    def __init__(
        self,
        body: type[nn.Module] | nn.Module,
        body_params: dict[str, Any],
        known: dict[str, Any],
        n_logits: int,
        example: Rows,
        objective: Objective | None = None,
    ):
        super().__init__()
        self.body = _build(body, body_params, known)
        self.sees = () if objective is None else objective.sees
        self.body.eval()
        seen = self._look_at(example, objective)
        self.width = seen.embedding.shape[1]
        if objective is None:
            self.head: nn.Module = nn.Linear(self.width, n_logits)
            return
        self.head = objective.head(self.width)
        logits = seen.embedding.new_zeros(len(example), n_logits)
        self.learned = objective.build(StudentOutputs(logits, *seen))

    def forward(self, X: Rows, *, for_loss: bool = True) -> StudentOutputs:
        """Subclass logits, the embedding they are read from, and what the objective sees.

        A prediction has no loss, and leaves the last out.
        """
        seen = self._embed(X) if for_loss else BodyOutputs(self.body(X))
        return StudentOutputs(self.head(seen.embedding), *seen)

    def _embed(self, X: Rows) -> BodyOutputs:
        ask: Any = self.body
        return ask.outputs(X) if self.sees else BodyOutputs(ask(X))

    def _look_at(self, example: Rows, objective: Objective | None) -> BodyOutputs:
        """The body's outputs for a batch, checked."""
        name = type(self.body).__name__
        if self.sees and not hasattr(self.body, "outputs"):
            raise TypeError(
                f"the objective {objective} looks at the student's {' and '.join(self.sees)}, "
                f"which the body {name} does not give: it needs a method outputs(batch) that "
                "returns a lelp_sklearn.BodyOutputs with them."
            )
        try:
            with torch.no_grad():
                seen = self._embed(example)
                alone = self.body(example) if self.sees else seen.embedding
        except Exception as error:
            raise TypeError(
                f"the body {name} failed on two rows that are a {type(example).__name__}: {error} "
                + _remedy(self.body)
            ) from error
        embedding = seen.embedding
        if embedding.ndim != 2 or len(embedding) != len(example):
            raise ValueError(
                f"the student's body maps {len(example)} rows to {tuple(embedding.shape)}; "
                f"expected one embedding a row, ({len(example)}, width)."
            )
        missing = [field for field in self.sees if getattr(seen, field) in (None, ())]
        if missing:
            raise TypeError(
                f"the objective {objective} looks at the student's {' and '.join(missing)}, which "
                f"the outputs of the body {name} lack."
            )
        same = alone.shape == embedding.shape
        if not same or not torch.allclose(embedding, alone, 1e-3, 1e-4, equal_nan=True):
            raise ValueError(
                f"outputs(batch) of the body {name} gives another embedding than forward(batch), "
                "which predictions are made by: expected the same."
            )
        return seen


def _remedy(body: nn.Module) -> str:
    """What to do about a body that fails."""
    for name, weight in body.named_parameters():
        if weight.is_meta or (weight.is_floating_point() and weight.dtype != torch.float32):
            what = "has no values (device 'meta')" if weight.is_meta else f"is {weight.dtype}"
            return (
                f"Its weight {name!r} {what}, as torch's settings were when it was made, and "
                "students compute in float32: pass the class and module__ parameters instead, or "
                "the instance's .float()."
            )
    return (
        "Inputs that suit it are named in its class attribute reads, or given as the student's "
        "inputs."
    )


def _build(
    body: type[nn.Module] | nn.Module, params: dict[str, Any], known: dict[str, Any]
) -> nn.Module:
    if not isinstance(body, type):
        if params:
            raise ValueError(
                f"module is an instance, so module__ parameters {sorted(params)} cannot reach it: "
                "pass the class instead."
            )
        return copy.deepcopy(body)
    asked = inspect.signature(body).parameters
    return body(**{name: value for name, value in known.items() if name in asked} | params)
