"""Fitted estimators as trees of plain values, with arrays, weights and steps beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy, torch
from scipy.interpolate import BSpline
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection._search import BaseSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Bunch
from torch import nn

from lelp_sklearn._numbers import python_value
from lelp_sklearn.inputs._tokenizer import TokenizerInputs
from lelp_sklearn.objectives import Objective
from lelp_sklearn.persistence import _networks, _steps, _values
from lelp_sklearn.persistence._file import as_json
from lelp_sklearn.persistence._registry import (
    is_listed,
    names_left_out,
    prefers_skops,
    reference_name,
)
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._knowledge_base import KnowledgeBase
from lelp_sklearn.students._pipelines import without_samplers

_NUMERIC = "biuf"  # kinds of dtype


class Encoder:
    """Turns objects into JSON values, and collects what JSON cannot hold."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray] = {}
        self.weights: dict[str, Any] = {}  # tensors
        self.files: dict[str, bytes] = {}

    def members(self, estimator: BaseEstimator) -> dict[str, bytes]:
        """All members of a file."""
        tree = self.encode(estimator, type(estimator).__name__)
        members = {"model.json": as_json(tree), **self.files}
        if self.arrays:
            members["arrays.safetensors"] = numpy.save(self.arrays)
        if self.weights:
            members["weights.safetensors"] = torch.save(self.weights)
        return members

    def encode(self, value: Any, where: str) -> Any:
        """A JSON value; ``where`` says in errors which value it is of.

        Raises
        ------
        TypeError
            If a value has no form without pickle.
        """
        value = without_samplers(value)  # which predicting does not need
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"kind": "float", "value": str(value)}
        if kind is list:
            return self._items(value, where)
        if kind is tuple:
            return {"kind": "tuple", "items": self._items(value, where)}
        if kind in (dict, Bunch):
            pairs = [
                [self.encode(k, f"{where} (a key)"), self.encode(v, f"{where}[{k!r}]")]
                for k, v in value.items()
            ]
            return {"kind": kind.__name__.lower(), "items": pairs}
        if kind is slice:
            parts = [value.start, value.stop, value.step]
            return {"kind": "slice", "items": self._items(parts, where)}
        if kind is np.ndarray:
            return self._array(value, where)
        if isinstance(value, np.generic):
            return {"kind": "scalar", "of": self._array(np.asarray(value), where)}
        if isinstance(value, np.dtype):
            return {"kind": "dtype", "name": value.str}
        if kind is np.random.RandomState:
            return self._random_state(value, where)
        made_of = _values.parts_of(value)
        if made_of is not None:
            return {"kind": "value", "name": made_of[0], "parts": self._items(made_of[1], where)}
        if kind is BSpline:
            spline = [value.t, value.c, value.k, value.extrapolate, value.axis]
            return {"kind": "spline", "parts": self._items(spline, where)}
        name = reference_name(value)
        if name is not None:
            return {"kind": "reference", "name": name}
        if isinstance(value, type):
            return {"kind": "user_class", "name": value.__qualname__, "module": value.__module__}
        if isinstance(value, nn.Module):
            return {"kind": "user_module", "name": kind.__qualname__, "module": kind.__module__}
        if kind.__module__.partition(".")[0] == "tokenizers":
            text = _steps.tokenizer_text(value, where)
            return {"kind": "tokenizer", "file": self._file("tokenizers", "json", text)}
        if is_listed(kind) and not prefers_skops(kind):
            return self._object(value, where)
        if isinstance(value, BaseEstimator):
            return self._foreign(value, where)
        raise TypeError(_cannot(value, where))

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        """One of our objects, its parameters apart from what it has learnt."""
        left_out = names_left_out(type(value))
        state = {name: v for name, v in vars(value).items() if not name.startswith("__")}
        params = {}
        if isinstance(value, BaseEstimator):
            params = value.get_params(deep=False)
            params |= dict.fromkeys(set(left_out) & set(params))
            if isinstance(value, TokenizerInputs):  # the user's tokenizer may be of transformers
                params["tokenizer"] = state.get("tokenizer_") or value._trained([])
        node: dict[str, Any] = {"kind": "object", "class": type(value).__name__}
        if not is_listed(type(value)):
            node = {**node, "kind": "user_object", "module": type(value).__module__}
        if isinstance(value, KnowledgeBase):
            state = {"columns": value._columns, "index": value.index, "seed": value.seed}
        if isinstance(value, KNeighborsClassifier) and type(state.get("classes_")) is np.ndarray:
            # Its tree is made again from the rows: skops does not know it.
            names = {k: v for k, v in state.items() if k == "feature_names_in_"}
            state = {"rows": value._fit_X, "labels": value.classes_[value._y], **names}
        if isinstance(value, IsotonicRegression):  # a function, made of the thresholds
            state.pop("f_", None)
        net = None
        if isinstance(value, BaseStudentClassifier):
            net = state.pop("net_", None)
            state.pop("_skorch_names")
            state.pop("_interrupted", None)
        if isinstance(value, Objective):  # the network holds its modules
            state = {name: v for name, v in state.items() if not isinstance(v, nn.Module)}
        params = {k: python_value(v, f"{where}.{k}") for k, v in params.items()}
        state = {k: v for k, v in state.items() if k not in params and k not in left_out}
        state.pop("_metadata_request", None)
        for name, part in (("params", params), ("state", state)):
            node[name] = {k: self.encode(v, f"{where}.{k}") for k, v in part.items()}
        if net is not None:
            node["net"] = _networks.net_node(self, value, net, where)
        return node

    def _foreign(self, value: BaseEstimator, where: str) -> dict[str, Any]:
        """An estimator that is not on the list: scikit-learn's, by skops, or a user's own."""
        if isinstance(value, BaseSearchCV):
            raise TypeError(
                f"{where} is a {type(value).__name__}: save what it found, its best_estimator_. "
                "Of a Pipeline whose step it is, save the Pipeline with that in its place, by "
                "set_params; of a DistilledClassifier, student_.best_estimator_."
            )
        package = type(value).__module__.partition(".")[0]
        if package == "sklearn":
            try:
                data = _steps.dump(value, where)
            except TypeError:
                if prefers_skops(type(value)):
                    return self._object(value, where)
                raise
            return {"kind": "skops", "file": self._file("steps", "skops", data)}
        if package == "lelp_sklearn":
            raise TypeError(
                f"{where} is a {type(value).__name__}, which is not saved: students, projectors "
                "and distilled classifiers are, and predict without a teacher."
            )
        try:
            return self._object(value, where)
        except TypeError as error:
            raise TypeError(
                f"{where}, a {type(value).__name__} of {package}, is not of a kind that a file "
                f"holds: {error}{_INSTEAD.get(package, '')}"
            ) from error

    def _items(self, values: Iterable[Any], where: str) -> list[Any]:
        return [self.encode(value, f"{where}[{i}]") for i, value in enumerate(values)]

    def _file(self, folder: str, ending: str, data: bytes) -> str:
        name = next((name for name, known in self.files.items() if known == data), None)
        if name is None:
            name = f"{folder}/{len(self.files)}.{ending}"
            self.files[name] = data
        return name

    def _array(self, values: NDArray, where: str) -> dict[str, Any]:
        if values.dtype.kind in "UO":
            # numpy's numbers and strings within objects are equal to Python's.
            plain = [v.item() if _is_plain(v) else v for v in values.ravel().tolist()]
            for i, value in enumerate(plain):
                if not _values.may_be_item(value):
                    raise TypeError(_cannot(value, f"{where}[{i}]"))
            items = self._items(plain, where)
            shape = list(values.shape)
            return {"kind": "objects", "dtype": values.dtype.str, "shape": shape, "items": items}
        if values.dtype.kind not in _NUMERIC or values.dtype.itemsize > 8:
            raise TypeError(
                f"{where} has dtype {values.dtype}: expected numbers or strings. Labels are made "
                "strings by y.astype(str), before fit."
            )
        # The order of axes in memory decides how BLAS rounds.
        flipped = values.flags.f_contiguous and not values.flags.c_contiguous
        values = values.T if flipped else values
        native = np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
        name = str(len(self.arrays))
        self.arrays[name] = native
        return {"kind": "array", "name": name, "flipped": bool(flipped)}

    def _random_state(self, value: np.random.RandomState, where: str) -> dict[str, Any]:
        if value is np.random.mtrand._rand:
            return {"kind": "global_random_state"}
        generator, keys, *rest = value.get_state(legacy=True)
        if generator != "MT19937":
            raise TypeError(f"{where} draws from {generator}: expected RandomState's own MT19937.")
        return {
            "kind": "random_state",
            "keys": self._array(np.asarray(keys), where),
            "rest": self._items(rest, where),
        }


def _is_plain(value: Any) -> bool:
    return isinstance(value, np.generic) and value.dtype.kind in (*_NUMERIC, "U")


# What to use in the place of another package's step.
_INSTEAD = {
    "skrub": " In its place, TableInputs reads frames of numbers, categories and dates as they "
    "are, for StudentClassifier(module=TabularMLP), or a ColumnTransformer of OneHotEncoder and "
    "StandardScaler makes numbers of them; both are saved.",
}
_SCHEDULES = {"subclass_weight": 1.0, "weights": None, "budget": 0.1}  # functions of progress
_CALLED_TO_PREDICT = ("func", "inverse_func", "analyzer", "tokenizer", "preprocessor")


def _cannot(value: Any, where: str) -> str:
    name = where.rpartition(".")[2].partition("[")[0]
    if name in _CALLED_TO_PREDICT:
        remedy = (
            "In the place of the step, use one of a class of your own, with fit and transform that "
            "calls it: a file names the class, and load(path, allow=[YourStep]) builds it."
        )
    elif "categories_" in where:
        remedy = "Make strings of that column, by astype(str), before fit and before predict."
    elif name in _SCHEDULES:
        remedy = (
            "Predictions do not need it: put numbers in its place before save, by set_params("
            f"{name}={_SCHEDULES[name]}) of the student or objective that has it, and of the "
            "student's objective_, too."
        )
    else:
        remedy = (
            "Give it another value by set_params (callbacks=None, say, which predictions do not "
            "need)."
        )
    return (
        f"{where} is {value!r:.80}, of type {type(value).__name__}, which cannot be written "
        f"without pickle: files hold plain values, arrays, estimators and classes. {remedy}"
    )
