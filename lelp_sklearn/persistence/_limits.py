"""What a file may set: names and values by a list, before anything is made of them.

What a fit of one's own may do, a file must not: a parameter that skorch hands on to a compiler, a
device whose name is imported, a vectorizer that opens the files which texts name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator
from torch import nn
from torch.optim import Optimizer

from lelp_sklearn.persistence._file import ModelFileError

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
_NET = {
    *("module", "optimizer", "lr", "max_epochs", "batch_size", "validation_fraction", "seed"),
    *("body_params", "trainer_params", "vectors_dim", "history", "weights"),
}
_ITERATOR = {"batch_size", "by_length", "drop_last", "shuffle"}
_PRIVATE = {"_interrupted", "_random_state", "_skorch_names", "_sklearn_output_config"}
_PLAIN = (bool, int, float, str, type(None))


def check_net(node: Mapping[str, Any]) -> None:
    """Refuse names beside those that make a network."""
    if set(node) != _NET:
        raise ModelFileError(
            f"a network has the parts {sorted(set(node) ^ _NET)} too many or too few: save writes "
            "no such file."
        )


def check_net_values(made: Mapping[str, Any]) -> None:
    """Refuse what a network is made of, where it is of another kind than a fit's."""
    module, optimizer = made["module"], made["optimizer"]
    is_body = isinstance(module, nn.Module) or (
        isinstance(module, type) and issubclass(module, nn.Module)
    )
    if not (module is None or is_body):
        raise ModelFileError(f"the student's body is {module!r:.60}: expected a torch module.")
    _check_optimizer(optimizer)
    for name, number in (("lr", float), ("max_epochs", int), ("batch_size", int), ("seed", int)):
        value = made[name]
        if isinstance(value, bool) or not isinstance(value, int | number):
            raise ModelFileError(f"{name} is {value!r:.60}: expected a number.")
    if not isinstance(made["body_params"], dict) or not isinstance(made["trainer_params"], dict):
        raise ModelFileError("the parameters of a network are no dictionaries.")
    check_skorch_params(made["trainer_params"], optimizer)
    history = made["history"]
    if not isinstance(history, list) or not all(map(_is_epoch, history)):
        raise ModelFileError("history is no list of epochs, each of names and plain values.")


def check_student(student: Any, params: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Refuse parameters and attributes of a student that save does not write.

    Parameters
    ----------
    student : BaseStudentClassifier
        Made with the parameters, nothing else set yet.
    params, state : dict
        Of the file.
    """
    device = params.get("device", "auto")
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise ModelFileError(f"device is {device!r:.60}: expected auto, cpu, cuda or mps.")
    if params.get("callbacks") is not None:
        raise ModelFileError("callbacks are code, and no file holds any.")
    optimizer = getattr(student, "optimizer", None)
    if optimizer is not None:
        _check_optimizer(optimizer)
        own = inspect.signature(type(student).__init__).parameters
        check_skorch_params(
            {n: v for n, v in params.items() if n not in own and not n.startswith("module__")},
            optimizer,
        )
    for name in state:
        fitted = name.endswith("_") and not name.startswith("_") and name not in params
        if not (fitted or name in _PRIVATE):
            raise ModelFileError(
                f"{type(student).__name__}.{name} is no attribute that a fit sets."
            )


def check_skorch_params(params: Mapping[str, Any], optimizer: Any) -> None:
    """Refuse parameters for skorch but plain ones of the optimizer and of the batches."""
    known = set(inspect.signature(optimizer).parameters) - {"params"}
    for name, value in params.items():
        part, _, own = name.partition("__")
        listed = own in known if part == "optimizer" else own in _ITERATOR
        if part not in ("optimizer", "iterator_train", "iterator_valid") or not listed:
            raise ModelFileError(f"the parameter {name!r:.60} is none that a file may set.")
        parts = value if isinstance(value, list | tuple) else (value,)
        if not all(isinstance(part, _PLAIN) for part in parts):
            raise ModelFileError(f"{name}={value!r:.60}: expected plain numbers.")


def check_step(step: BaseEstimator) -> BaseEstimator:
    """A scikit-learn step, if its parameters are such as scikit-learn takes and read no files."""
    parts: list[Any] = [step]
    seen: set[int] = set()
    for part in parts:  # grows by what they hold
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            parts += part.values()
        elif isinstance(part, list | tuple):
            parts += part
        elif isinstance(part, BaseEstimator):
            if vars(part).get("input") in ("filename", "file"):
                raise ModelFileError(
                    f"a {type(part).__name__} with input={part.input!r} would open the files that "
                    "texts name."
                )
            if hasattr(part, "_parameter_constraints"):
                part._validate_params()
            parts += vars(part).values()
    return step


def _check_optimizer(optimizer: Any) -> None:
    if not (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        raise ModelFileError(f"the optimizer is {optimizer!r:.60}: expected a class of torch's.")


def _is_epoch(epoch: Any) -> bool:
    return isinstance(epoch, dict) and all(
        isinstance(name, str) and name != "batches" and isinstance(value, _PLAIN)
        for name, value in epoch.items()
    )
