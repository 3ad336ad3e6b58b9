"""The student network: a user's body and our head."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import nn

from lelp_sklearn.inputs._base import Rows
from lelp_sklearn.outputs import StudentOutputs


class StudentNetwork(nn.Module):
    """A body that embeds a batch, and a linear head with one logit a subclass.

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
    ):
        super().__init__()
        self.body = _build(body, body_params, known)
        try:
            with torch.no_grad():
                embedding = self.body.eval()(example)
        except Exception as error:
            raise TypeError(
                f"the body {type(self.body).__name__} failed on two rows that are a "
                f"{type(example).__name__}: {error} Inputs that suit it are named in its class "
                "attribute reads, or given as the student's inputs."
            ) from error
        if embedding.ndim != 2 or len(embedding) != len(example):
            raise ValueError(
                f"the student's body maps {len(example)} rows to {tuple(embedding.shape)}; "
                f"expected one embedding a row, ({len(example)}, width)."
            )
        self.head = nn.Linear(embedding.shape[1], n_logits)

    def forward(self, X: Rows) -> StudentOutputs:
        """Subclass logits and the embedding they are read from."""
        embedding = self.body(X)
        return StudentOutputs(self.head(embedding), embedding)


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
