"""The student network: a user's body and our head."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lelp_sklearn._checks import check_names
from lelp_sklearn.inputs._base import Rows
from lelp_sklearn.networks._bodies import Linear
from lelp_sklearn.outputs import BodyOutputs, StudentOutputs

if TYPE_CHECKING:
    from lelp_sklearn.objectives import Objective

# What the inputs of this package fill in, for bodies that ask for it.
_KNOWN = ("n_features", "n_tokens", "vectors", "n_numeric", "cardinalities", "quantiles")
_REFUSALS = (TypeError, ValueError, AttributeError, RuntimeError)  # of what a body is built with


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
        self.body = build_body(body, body_params, known)
        self.sees = () if objective is None else objective.sees
        self.body.eval()
        seen = look_at(self.body, example, objective)
        self.width = seen.embedding.shape[1]
        if objective is None:
            self.head: nn.Module = nn.Linear(self.width, n_logits)
            return
        self.head = objective.head(self.width)
        _check_head(self.head, seen.embedding, n_logits, objective)
        logits = seen.embedding.new_zeros(len(example), n_logits)
        self.learned = objective.build(StudentOutputs(logits, *seen))

    def forward(self, X: Rows, *, for_loss: bool = True) -> StudentOutputs:
        """Subclass logits, the embedding they are read from, and what the objective sees.

        A prediction has no loss, and leaves the last out.
        """
        seen = _embed(self.body, X, self.sees) if for_loss else BodyOutputs(self.body(X))
        return StudentOutputs(self.head(seen.embedding), *seen)


def look_at(body: nn.Module, example: Rows, objective: Objective | None = None) -> BodyOutputs:
    """A body's outputs for a batch, checked, with what an objective looks at."""
    name, sees = type(body).__name__, () if objective is None else objective.sees
    if sees and not hasattr(body, "outputs"):
        raise TypeError(
            f"the objective {objective} looks at the student's {' and '.join(sees)}, "
            f"which the body {name} does not give: it needs a method outputs(batch) that "
            "returns a lelp_sklearn.BodyOutputs with them."
        )
    try:
        with torch.no_grad():
            seen = _embed(body, example, sees)
            alone = body(example) if sees else seen.embedding
    except Exception as error:
        raise TypeError(
            f"the body {name} failed on two rows that are a {type(example).__name__}: {error} "
            + _remedy(body)
        ) from error
    embedding = seen.embedding
    if embedding.ndim != 2 or len(embedding) != len(example):
        raise ValueError(
            f"the student's body maps {len(example)} rows to {tuple(embedding.shape)}; "
            f"expected one embedding a row, ({len(example)}, width)."
        )
    missing = [field for field in sees if getattr(seen, field) in (None, ())]
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


def _check_head(head: Any, embedding: Tensor, n_logits: int, objective: Objective) -> None:
    """Refuse a head that does not make a logit a subclass of an embedding."""
    name = type(objective).__name__
    if not isinstance(head, nn.Module):
        raise TypeError(f"head of {name} made a {type(head).__name__}: expected an nn.Module.")
    try:
        with torch.no_grad():
            made = head(embedding)
    except RuntimeError as error:
        raise ValueError(
            f"the head of {name} failed on embeddings of shape {tuple(embedding.shape)}: {error}"
        ) from error
    shape = tuple(getattr(made, "shape", ()))
    if shape != (len(embedding), n_logits):
        raise ValueError(
            f"the head of {name} maps embeddings of shape {tuple(embedding.shape)} to {shape}: "
            f"expected ({len(embedding)}, {n_logits}), a logit for each subclass in n_subclasses_."
        )


def _embed(body: Any, X: Rows, sees: tuple[str, ...]) -> BodyOutputs:
    return body.outputs(X) if sees else BodyOutputs(body(X))


def check_body_params(
    body: type[nn.Module] | nn.Module, params: Iterable[str], known: Iterable[str] = _KNOWN
) -> None:
    """Refuse names of ``module__`` parameters that the body does not take.

    Parameters
    ----------
    body : type or nn.Module
        A body class, or an instance, which takes none.
    params : iterable of str
        Names, without ``module__``.
    known : iterable of str
        What a student fills in by itself.

    Raises
    ------
    TypeError
        If there are such, naming those that the body takes.
    ValueError
        If the body is an instance.
    """
    params = sorted(params)
    if not params:
        return
    given = ", ".join(f"module__{name}" for name in params)
    if not isinstance(body, type):
        raise ValueError(
            f"module is an instance, so module__ parameters {params} cannot reach it: "
            "pass the class instead."
        )
    asked = _parameters(body)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in asked.values()):
        return
    own = [name for name in asked if name not in known]
    if not own and not set(params) <= set(asked):
        linear = " (module=None)" if body is Linear else ""
        raise TypeError(
            f"got {given}, and the body {body.__name__}{linear} takes no parameters: name a body "
            "that does, such as module=MLP, or leave them out."
        )
    check_names(f"the body {body.__name__}", "module__", params, asked, own)


def _parameters(body: type[nn.Module]) -> Mapping[str, inspect.Parameter]:
    # torch's own __init__ takes anything, and refuses it.
    return {} if body.__init__ is nn.Module.__init__ else inspect.signature(body).parameters


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


def build_body(
    body: type[nn.Module] | nn.Module, params: dict[str, Any], known: dict[str, Any]
) -> nn.Module:
    """A body of a class, built with parameters and what it asks for of what is known; or a copy."""
    check_body_params(body, params, known)
    if not isinstance(body, type):
        return copy.deepcopy(body)
    asked = _parameters(body)
    filled = {name: value for name, value in known.items() if name in asked}
    try:
        return body(**filled | params)
    except _REFUSALS as error:
        given = ", ".join(f"module__{name}={value!r}" for name, value in params.items())
        required = [
            f"module__{name}"
            for name, parameter in asked.items()
            if parameter.default is parameter.empty
            and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            and name not in filled | params
        ]
        needs = f" It needs {' and '.join(required)}." if required else ""
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"the body {body.__name__} cannot be built with {given or 'no parameters'}: "
            f"{str(error).rstrip('.')}.{needs}"
        ) from error
