"""The student network: a user's body and our head."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from lelp_sklearn.outputs import StudentOutputs


class StudentNetwork(nn.Module):
    """A body that embeds a batch, and a linear head with one logit a subclass.

    Parameters
    ----------
    body : type or nn.Module
        A body class, built with ``body_params`` (and with ``n_features``, where its ``__init__``
        takes it), or an instance, whose copy starts from its weights.
    body_params : dict
        Keyword arguments of a body class.
    n_logits : int
        Outputs of the head.
    example : Tensor
        A batch of inputs, only used to see how wide the body's embedding is.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.networks import MLP, StudentNetwork
    >>> StudentNetwork(MLP, {"hidden": 8}, n_logits=6, example=torch.zeros(2, 4)).head
    Linear(in_features=8, out_features=6, bias=True)
    """

    def __init__(
        self,
        body: type[nn.Module] | nn.Module,
        body_params: dict[str, Any],
        n_logits: int,
        example: Tensor,
    ):
        super().__init__()
        self.body = _build(body, body_params, n_features=example.shape[1])
        with torch.no_grad():
            embedding = self.body.eval()(example)
        if embedding.ndim != 2 or len(embedding) != len(example):
            raise ValueError(
                f"the student's body maps inputs of shape {tuple(example.shape)} to "
                f"{tuple(embedding.shape)}; expected one embedding a row, ({len(example)}, width)."
            )
        self.head = nn.Linear(embedding.shape[1], n_logits)

    def forward(self, X: Tensor) -> StudentOutputs:
        """Subclass logits and the embedding they are read from."""
        embedding = self.body(X)
        return StudentOutputs(self.head(embedding), embedding)


def _build(body: type[nn.Module] | nn.Module, params: dict[str, Any], n_features: int) -> nn.Module:
    if not isinstance(body, type):
        if params:
            raise ValueError(
                f"module is an instance, so module__ parameters {sorted(params)} cannot reach it: "
                "pass the class instead."
            )
        return copy.deepcopy(body)
    if "n_features" in inspect.signature(body).parameters:
        params = {"n_features": n_features, **params}
    return body(**params)
