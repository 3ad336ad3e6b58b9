"""From trees of plain values back to fitted estimators, of classes on the allow-list alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Bunch, check_random_state
from torch import Tensor

from lelp_sklearn.inputs import Inputs
from lelp_sklearn.objectives import Objective
from lelp_sklearn.persistence import _networks, _steps, _values
from lelp_sklearn.persistence._file import ModelFileError
from lelp_sklearn.persistence._limits import check_step, check_student
from lelp_sklearn.persistence._registry import (
    find_allowed,
    listed_class,
    names_left_out,
    reference,
)
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._knowledge_base import KnowledgeBase
from lelp_sklearn.students._parameters import SkorchParameters

_MOST_BYTES = 2**24  # of an array of strings, whose width is a number in the file


class Decoder:
    """Builds what :class:`Encoder` wrote.

    Parameters
    ----------
    arrays, weights, files : dict
        The other members.
    allow : list
        The user's classes, and modules.
    """

    def __init__(
        self,
        arrays: dict[str, NDArray],
        weights: dict[str, Tensor],
        files: dict[str, bytes],
        allow: list[Any],
    ):
        self.arrays, self.weights, self.files = arrays, weights, files
        self.allow = allow
        self.sklearn_steps: list[str] = []  # that are built attribute by attribute

    def decode(self, node: Any) -> Any:
        """The value of a JSON value."""
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        build = getattr(self, f"_make_{node['kind']}", None)
        if build is None:
            raise ModelFileError(f"unknown kind of value {node['kind']!r}.")
        return build(node)

    def _make_float(self, node: dict[str, Any]) -> float:
        return float(node["value"])

    def _make_tuple(self, node: dict[str, Any]) -> tuple:
        return tuple(self.decode(node["items"]))

    def _make_dict(self, node: dict[str, Any]) -> dict:
        return {self.decode(key): self.decode(value) for key, value in node["items"]}

    def _make_bunch(self, node: dict[str, Any]) -> Bunch:
        return Bunch(**self._make_dict(node))

    def _make_value(self, node: dict[str, Any]) -> Any:
        return _values.made_of(node["name"], self.decode(node["parts"]))

    def _make_spline(self, node: dict[str, Any]) -> BSpline:
        knots, coefficients, degree, extrapolate, axis = self.decode(node["parts"])
        return BSpline(knots, coefficients, degree, extrapolate, axis)

    def _make_slice(self, node: dict[str, Any]) -> slice:
        return slice(*self.decode(node["items"]))

    def _make_dtype(self, node: dict[str, Any]) -> np.dtype:
        if not re.fullmatch(r"[<>|=]([biuf][1248]|O|U\d{0,6})", node["name"]):
            raise ModelFileError(f"unknown dtype {node['name']!r}.")
        return np.dtype(node["name"])

    def _make_array(self, node: dict[str, Any]) -> NDArray:
        values = self.arrays[node["name"]].copy()
        return values.T if node["flipped"] else values

    def _make_objects(self, node: dict[str, Any]) -> NDArray:
        dtype = self._make_dtype({"name": node["dtype"]})
        items, shape = self.decode(node["items"]), node["shape"]
        strange = {type(item).__name__ for item in items if not _values.may_be_item(item)}
        if strange or len(items) != int(np.prod(shape)):
            raise ModelFileError(f"an array of shape {shape} holds {len(items)} values {strange}.")
        if len(items) * dtype.itemsize > _MOST_BYTES and dtype.kind == "U":
            raise ModelFileError(f"an array of {len(items)} strings of dtype {dtype}.")
        values = np.empty(len(items), dtype=dtype)
        for i, item in enumerate(items):  # one by one, as an item may be an array
            values[i] = item
        return values.reshape(shape)

    def _make_scalar(self, node: dict[str, Any]) -> Any:
        return self.decode(node["of"])[()]

    def _make_random_state(self, node: dict[str, Any]) -> np.random.RandomState:
        keys, (position, *rest) = self.decode(node["keys"]), self.decode(node["rest"])
        if keys.shape != (624,) or not 0 <= position <= 624:  # numpy reads beyond without a check
            raise ModelFileError(f"a RandomState of {keys.shape} keys at {position}.")
        state = np.random.RandomState(0)
        state.set_state(("MT19937", keys, position, *rest))
        return state

    def _make_global_random_state(self, node: dict[str, Any]) -> np.random.RandomState:
        return check_random_state(None)

    def _make_reference(self, node: dict[str, Any]) -> Any:
        found = reference(node["name"])
        if found is None:
            raise ModelFileError(f"{node['name']!r} is no class that a file may name.")
        return found

    def _make_user_class(self, node: dict[str, Any]) -> type:
        return self._allowed(node["name"], node["module"], instance=False)

    def _make_user_module(self, node: dict[str, Any]) -> Any:
        return self._allowed(node["name"], node["module"], instance=True)

    def _make_skops(self, node: dict[str, Any]) -> BaseEstimator:
        return check_step(_steps.load(self.files[node["file"]], node["file"]))

    def _make_tokenizer(self, node: dict[str, Any]) -> Any:
        return _steps.tokenizer(self.files[node["file"]], node["file"])

    def _make_object(self, node: dict[str, Any]) -> Any:
        cls = listed_class(node["class"])
        if cls is None:
            raise ModelFileError(f"{node['class']!r} is no class that a file may name.")
        if cls.__module__.startswith("sklearn."):
            self.sklearn_steps.append(cls.__name__)
            return check_step(self._build(cls, node))
        return self._build(cls, node)

    def _make_user_object(self, node: dict[str, Any]) -> Any:
        return self._build(self._allowed(node["class"], node["module"], instance=False), node)

    def _build(self, cls: type, node: dict[str, Any]) -> Any:
        params, state = (
            {name: self.decode(value) for name, value in node[part].items()}
            for part in ("params", "state")
        )
        forged = [n for n in names_left_out(cls) if {**params, **state}.get(n) is not None]
        if forged:
            raise ModelFileError(f"{cls.__name__}.{forged[0]} is nothing that save writes.")
        if issubclass(cls, KnowledgeBase):
            return cls(*state["columns"], index=state["index"], seed=state["seed"])
        if not issubclass(cls, BaseEstimator):
            made: Any = cls.__new__(cls)
        else:
            made = cls(**params)
            if issubclass(cls, SkorchParameters):
                made._skorch_params  # noqa: B018  # checks their names
            if issubclass(cls, BaseStudentClassifier):
                check_student(made, params, state)
            ours = cls.__module__.startswith("lelp_sklearn.")
            if ours and hasattr(cls, "_parameter_constraints"):
                made._validate_params()
        if issubclass(cls, KNeighborsClassifier) and state:
            made.fit(state.pop("rows"), state.pop("labels"))
        if overridden := sorted(set(state) & set(params)):
            raise ModelFileError(f"{cls.__name__}.{overridden[0]} is set twice.")
        for name in state:
            known = getattr(cls, name, None)
            if name.startswith("__") or callable(known) or isinstance(known, property):
                raise ModelFileError(f"{cls.__name__}.{name} is no attribute that a fit sets.")
        vars(made).update(state)
        if issubclass(cls, IsotonicRegression) and state:
            made.__setstate__(state)  # which makes its function
        if "net" in node:
            _check_fitted_student(made)
            made.net_ = _networks.rebuild(self, made, node["net"])
        return made

    def _allowed(self, name: str, module: str, *, instance: bool) -> Any:
        found = find_allowed(self.allow, name, instance=instance)
        if found is None:
            last = name.rpartition(".")[2]
            raise ModelFileError(
                f"the file holds {module}.{name}, which is not a class of lelp_sklearn. If you "
                f"trust it, pass it: load(path, allow=[{last}{'(...)' if instance else ''}])"
                + (", a module built as the one that was trained." if instance else ".")
            )
        return found


def _check_fitted_student(student: BaseStudentClassifier) -> None:
    """What a network is built from is of the right kind, and agrees on the number of classes."""
    counts = student.objective_.n_subclasses_
    labels = student.classes_
    if not isinstance(student.inputs_, Inputs) or not isinstance(student.objective_, Objective):
        raise ModelFileError(f"a {type(student).__name__} without inputs or objective.")
    if not isinstance(labels, np.ndarray) or labels.ndim != 1:
        raise ModelFileError(f"classes_ is {labels!r:.40}: expected a row of labels.")
    sound = isinstance(counts, tuple) and all(type(n) is int and n > 0 for n in counts)
    if not sound or len(counts) != len(labels):
        raise ModelFileError(
            f"{len(labels)} classes with {counts!r:.40} subclasses: the file is damaged or forged."
        )
