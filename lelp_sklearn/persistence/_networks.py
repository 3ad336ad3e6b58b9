"""A student's network in a file: how it is built, and its weights."""

from __future__ import annotations

import copy
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.history import History
from torch import Tensor, nn
from torch.optim import AdamW

from lelp_sklearn._torch import UsualSettings, resolve_device, seeded
from lelp_sklearn.inputs import TokenInputs
from lelp_sklearn.persistence._budget import Budget, nbytes_of
from lelp_sklearn.persistence._file import ModelFileError
from lelp_sklearn.persistence._limits import check_net, check_net_values
from lelp_sklearn.students._building import make_net
from lelp_sklearn.students._net import DistillationNet
from lelp_sklearn.students._optimizers import SparseAdamW

if TYPE_CHECKING:
    from lelp_sklearn.persistence._decoder import Decoder
    from lelp_sklearn.persistence._encoder import Encoder

_TRAINER = ("optimizer__", "iterator_train__", "iterator_valid__")


def net_node(encoder: Encoder, student: Any, net: Any, where: str) -> dict[str, Any]:
    """How the net was made in fit, which parameters set since then do not change; its weights."""
    state = net.module_.state_dict()
    wrong = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise TypeError(f"{where}.net_ has {wrong} that are no tensors: files hold weights only.")
    problem = _not_finite(net.module_)
    if problem:
        raise ValueError(
            f"the weights {problem} of {where} are not finite: its training has diverged. Fit "
            "again with a lower lr."
        )
    prefix = f"{len({name.partition('/')[0] for name in encoder.weights})}/"
    for name, value in state.items():
        encoder.weights[prefix + name] = (
            value.detach().cpu().clone(memory_format=torch.contiguous_format)
        )
    held_out = net.train_split
    trainer = {name: v for name, v in vars(net).items() if name.startswith(_TRAINER)}
    if "optimizer__fused" not in student.get_params(deep=False):
        trainer.pop("optimizer__fused", None)  # make_net's own, by device
    made = {
        "module": net.module__body,
        "optimizer": AdamW if net.optimizer is SparseAdamW else net.optimizer,
        "lr": net.lr,
        "max_epochs": net.max_epochs,
        "batch_size": net.batch_size,
        "validation_fraction": getattr(held_out, "fraction", 0.0),
        "seed": getattr(held_out, "random_state", 0),
        "body_params": net.module__body_params,
        "trainer_params": trainer,
        "vectors_dim": _vectors_dim(student.inputs_, net.module_.body),
        "history": student.history_,
    }
    node = {name: encoder.encode(value, f"{where}.net_.{name}") for name, value in made.items()}
    return {**node, "weights": prefix}


def rebuild(decoder: Decoder, student: Any, node: dict[str, Any]) -> DistillationNet:
    """The net of :func:`net_node`, made as in fit, with the weights of the file."""
    check_net(node)
    made = {name: decoder.decode(v) for name, v in node.items() if name != "weights"}
    check_net_values(made)
    _check_body(made["module"], decoder.allow)
    prefix = node["weights"]
    weights = {
        name.removeprefix(prefix): value
        for name, value in decoder.weights.items()
        if name.startswith(prefix)
    }
    skorch_params = made.pop("trainer_params")
    skorch_params |= {f"module__{name}": value for name, value in made.pop("body_params").items()}
    history, dim = made.pop("history"), made.pop("vectors_dim")
    as_made = copy.copy(student)
    vars(as_made).update(made)
    device = _device(student.device)
    budget = Budget(sum(map(nbytes_of, weights.values())), len(weights))
    inputs, given = student.inputs_, getattr(student.inputs_, "vectors", None)
    try:
        if dim is not None:
            inputs.vectors = _StartVectors(inputs.n_tokens_, dim, budget)
        with UsualSettings(), seeded(0, device), budget:
            net = make_net(as_made, student.objective_, skorch_params, device, made["seed"])
    finally:
        if dim is not None:
            inputs.vectors = given
    _load_weights(net.module_, weights)
    net.module_.eval()
    net.history_ = History()
    for epoch in history:
        net.history_.append({**epoch, "batches": []})
    return net


def _check_body(body: Any, allow: list[Any]) -> None:
    """Layers of torch can make large rows of small ones, as numbers in the file say."""
    if isinstance(body, type) and body.__module__.startswith("torch.") and body not in allow:
        raise ModelFileError(
            f"the student's body is torch's {body.__name__}. If you trust the file, pass it: "
            f"load(path, allow=[{body.__name__}])."
        )


def _load_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    expected = {name: (tuple(v.shape), v.dtype) for name, v in module.state_dict().items()}
    found = {name: (tuple(v.shape), v.dtype) for name, v in weights.items()}
    if found != expected:
        names = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        name = names[0]
        raise ModelFileError(
            f"weight {name!r} is {found.get(name, 'missing')} in the file, and the network that "
            f"its parameters make has {expected.get(name, 'none')}: the file is damaged, or the "
            "body that is allowed is not the one that was trained."
        )
    module.load_state_dict(weights, strict=True)
    problem = _not_finite(module)
    if problem:
        raise ModelFileError(f"the weights {problem} in the file are not finite.")


def _not_finite(module: nn.Module) -> str | None:
    """Name of a parameter that is not finite, or a buffer that is NaN; bins' ends are infinite."""
    for name, values in module.named_parameters():
        if not values.detach().isfinite().all():
            return name
    return next((name for name, v in module.named_buffers() if v.isnan().any()), None)


def _device(name: str) -> torch.device:
    try:
        return resolve_device(name)
    except ValueError:
        warnings.warn(
            f"device={name!r}, which the student was trained on, is not here: it predicts on the "
            "cpu. To train it further, set_params(device='auto').",
            UserWarning,
            stacklevel=2,
        )
        return torch.device("cpu")


def _vectors_dim(inputs: Any, body: nn.Module) -> int | None:
    """Width of the token vectors that a body started from, which are not kept."""
    if not isinstance(inputs, TokenInputs):
        return None
    if inputs.vectors is not None:
        return inputs.vectors.dim
    return getattr(getattr(body, "table", None), "embedding_dim", None)


class _StartVectors:
    """Stand-in for token vectors: the weights of the file take their place."""

    def __init__(self, n_tokens: int, dim: int, budget: Budget):
        self.n_tokens = n_tokens
        self.dim = dim
        self.budget = budget

    def of(self, tokens: list[str]) -> NDArray:
        """Zeros."""
        return self._zeros(len(tokens))

    @cached_property
    def table(self) -> NDArray:
        """Zeros, for each token."""
        return self._zeros(self.n_tokens)

    def _zeros(self, n_rows: int) -> NDArray:
        self.budget.take(4 * n_rows * self.dim)
        return np.zeros((n_rows, self.dim), dtype=np.float32)
