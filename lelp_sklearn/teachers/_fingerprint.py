"""A fingerprint of any teacher by its content: parameters, weights and fitted state."""

from __future__ import annotations

import functools
import inspect
import logging
import random
import re
import threading
import types
from collections.abc import Callable, Iterable
from enum import Enum
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from skorch import NeuralNet

# Attributes that change without changing what a teacher says.
_IGNORED = {
    "_sklearn_version",
    "_sklearn_output_config",
    "_stop_words_id",  # of a CountVectorizer: an id(), set when it is first used
    "n_jobs",
    "verbose",
}
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice)
_PLAIN = {bool, int, float, str, type(None), np.int64, np.int32}
# Of a torch module, beside its weights.
_ATTRIBUTES = (bool, int, float, str, types.FunctionType, types.BuiltinFunctionType)
# Where chance stands, which device or which thread: no part of the content.
_STATELESS = (
    np.random.RandomState,
    np.random.Generator,
    np.random.BitGenerator,
    random.Random,
    torch.Generator,
    torch.device,
    logging.Logger,
    type(threading.Lock()),
    type(threading.RLock()),
)


def fingerprint(teacher: Any) -> str:
    """Digest of everything that decides what a teacher says.

    Parameters
    ----------
    teacher : object
        A scikit-learn estimator, a torch module, a skorch net, a student of this package, or any
        object that could be pickled; nothing is. One that has a method ``__fingerprint__`` or
        ``fingerprint`` is asked instead, wherever in the teacher it stands.

    Returns
    -------
    digest : str
        32 hexadecimal digits, the same in every process.

    Raises
    ------
    TypeError
        If a part has no content to hash.

    Notes
    -----
    Parameters and fitted attributes count; of a torch module its structure (class names, ``repr``,
    plain attributes such as ``self.scale = 2``) and its ``state_dict``, on whatever device; of a
    skorch net and of a student its classes and module, not its history. Random states,
    ``n_jobs``, ``verbose`` and cached properties do not count. Functions count by name and
    bytecode. The code of classes does not: after changing it, clear the cache.

    Examples
    --------
    >>> from copy import deepcopy
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from lelp_sklearn.teachers._fingerprint import fingerprint
    >>> teacher = GaussianNB().fit(*load_iris(return_X_y=True))
    >>> other = deepcopy(teacher)
    >>> fingerprint(other) == fingerprint(teacher)
    True
    >>> other.theta_[0, 0] += 1e-9
    >>> fingerprint(other) == fingerprint(teacher)
    False
    """
    return _Fingerprint().of(teacher).hex()


class _Fingerprint:
    """Digests of objects by the digests of their parts; each object is visited once."""

    def __init__(self) -> None:
        self.known: dict[int, bytes] = {}
        self.alive: list[Any] = []  # so that no id is given to another object

    def of(self, value: Any) -> bytes:
        if isinstance(value, _CONSTANTS) and type(value) in _CONSTANTS:
            return _digest(type(value).__name__, repr(value).encode("utf-8", "surrogatepass"))
        if id(value) not in self.known:
            self.alive.append(value)
            self.known[id(value)] = b"cycle %d" % len(self.known)
            self.known[id(value)] = self._of_object(value)
        return self.known[id(value)]

    def all_of(self, kind: str, values: Iterable[Any]) -> bytes:
        return _digest(kind, *map(self.of, values))

    def _of_object(self, value: Any) -> bytes:
        own = _own_fingerprint(value)
        if own is not None:
            return _digest("own", _name(type(value)).encode(), self.of(own()))
        for kinds, method in _METHODS:
            if isinstance(value, kinds):
                return method(self, value)
        return self._of_state(value)

    def _of_array(self, value: NDArray) -> bytes:
        if isinstance(value, np.ma.MaskedArray):
            return self.all_of("masked", (value.filled(), np.ma.getmaskarray(value)))
        if value.dtype.names:  # field by field, as what pads them is arbitrary
            fields = [(name, value[name]) for name in value.dtype.names]
            return self.all_of("structured", fields)
        if value.dtype.hasobject or value.dtype.kind == "T":
            return self.all_of("objects", [value.shape, *value.ravel().tolist()])
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return _digest("array", repr((value.dtype.str, value.shape)).encode(), data.data)

    def _of_number(self, value: np.generic) -> bytes:
        return self._of_array(np.asarray(value))

    def _of_sparse(self, value: Any) -> bytes:
        rows = value.tocsr(copy=True)
        rows.sum_duplicates()
        parts = rows.shape, rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data
        return self.all_of("sparse", parts)

    def _of_tensor(self, value: torch.Tensor) -> bytes:
        value = value.detach()
        if value.is_quantized:
            return self.all_of("quantized", (repr(value.qscheme()), value.dequantize()))
        if value.layout != torch.strided:
            value = value.to_dense()
        data = value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        what = repr((str(value.dtype), tuple(value.shape))).encode()
        return _digest("tensor", what, data.data)

    def _of_module(self, value: torch.nn.Module) -> bytes:
        structure = [
            (name, _name(type(module)), _plain_attributes(module))
            for name, module in value.named_modules()
        ]
        shown = re.sub(" at 0x[0-9a-fA-F]+", "", repr(value))
        return self.all_of("module", (shown, structure, dict(value.state_dict())))

    def _of_net(self, value: NeuralNet) -> bytes:
        names = ("criterion", "predict_nonlinearity", "classes", "classes_inferred_")
        module = getattr(value, "module_", value.module)
        parts = [getattr(value, name, None) for name in names]
        return self.all_of("net", (_name(type(value)), module, parts))

    def _of_dict(self, value: Any) -> bytes:
        """In any order, so that a vocabulary counts by what it says."""
        if all(type(part) in _PLAIN for item in value.items() for part in item):
            items = sorted(repr(item).encode("utf-8", "surrogatepass") for item in value.items())
        else:
            items = sorted(self.of(key) + self.of(item) for key, item in value.items())
        return _digest(_name(type(value)), *items)

    def _of_list(self, value: Any) -> bytes:
        if all(type(part) in _PLAIN for part in value):
            content = repr(list(value)).encode("utf-8", "surrogatepass")
            return _digest("plain " + _name(type(value)), content)
        return self.all_of(_name(type(value)), value)

    def _of_set(self, value: Any) -> bytes:
        return _digest("set", *sorted(map(self.of, value)))

    def _of_bytes(self, value: Any) -> bytes:
        return _digest("bytes", bytes(value))

    def _of_name(self, value: Any) -> bytes:
        return _digest("name", _name(value).encode())

    def _of_type(self, value: Any) -> bytes:
        return _digest("stateless", _name(type(value)).encode())

    def _of_enum(self, value: Enum) -> bytes:
        return _digest("enum", _name(type(value)).encode(), value.name.encode())

    def _of_code(self, value: types.CodeType) -> bytes:
        return self.all_of("code", (value.co_code, value.co_consts, value.co_names))

    def _of_function(self, value: types.FunctionType) -> bytes:
        closure = inspect.getclosurevars(value).nonlocals if value.__closure__ else {}
        parts = value.__code__, value.__defaults__, value.__kwdefaults__, closure
        return self.all_of(_name(value), parts)

    def _of_method(self, value: types.MethodType) -> bytes:
        return self.all_of("method", (value.__func__.__qualname__, value.__self__))

    def _of_builtin(self, value: Any) -> bytes:
        owner = getattr(value, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType | type):
            return self._of_name(value)
        return self.all_of("method", (value.__name__, owner))

    def _of_partial(self, value: functools.partial) -> bytes:
        return self.all_of("partial", (value.func, value.args, value.keywords))

    def _of_state(self, value: Any) -> bytes:
        """Whatever pickle would rebuild it from, taken apart."""
        kind = type(value)
        if isinstance(getattr(value, "net_", None), NeuralNet) and hasattr(value, "objective_"):
            n_subclasses = value.objective_.n_subclasses_
            return self.all_of(_name(kind), (value.classes_, n_subclasses, value.net_))
        if kind.__module__.startswith("sklearn.neighbors._") and hasattr(value, "get_tree_stats"):
            # A tree of neighbours, which counts its searches beside its arrays and metric.
            parts = [part for part in value.__getstate__() if not isinstance(part, int)]
            return self.all_of(_name(kind), parts)
        try:
            reduced: Any = value.__reduce_ex__(2)
        except TypeError as error:
            raise TypeError(
                f"the teacher holds a {_name(kind)}, whose content cannot be hashed ({error}): "
                "give the teacher a method __fingerprint__() that returns a string for its content."
            ) from error
        if isinstance(reduced, str):
            return _digest("global", kind.__module__.encode(), reduced.encode())
        build, args, state, items, pairs = (list(reduced) + [None] * 3)[:5]
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            state = dict(state[0] or {}) | state[1]  # beside the __dict__, the __slots__
        if isinstance(state, dict):
            state = {k: v for k, v in state.items() if not _is_ignored(kind, k)}
        rebuilt_from = (build, args, state, list(items or ()), dict(pairs or ()))
        return self.all_of(_name(kind), rebuilt_from)


# The first that fits.
_METHODS: list[tuple[Any, Callable[[_Fingerprint, Any], bytes]]] = [
    (type, _Fingerprint._of_name),
    (np.ndarray, _Fingerprint._of_array),
    (np.generic, _Fingerprint._of_number),
    ((sparse.spmatrix, sparse.sparray), _Fingerprint._of_sparse),
    (torch.nn.Module, _Fingerprint._of_module),
    (torch.Tensor, _Fingerprint._of_tensor),
    (NeuralNet, _Fingerprint._of_net),
    (_STATELESS, _Fingerprint._of_type),
    (Enum, _Fingerprint._of_enum),
    (types.FunctionType, _Fingerprint._of_function),
    (types.MethodType, _Fingerprint._of_method),
    ((types.BuiltinFunctionType, np.ufunc), _Fingerprint._of_builtin),
    (types.CodeType, _Fingerprint._of_code),
    (types.ModuleType, _Fingerprint._of_name),
    (functools.partial, _Fingerprint._of_partial),
    ((bytearray, memoryview), _Fingerprint._of_bytes),
    ((dict, types.MappingProxyType), _Fingerprint._of_dict),
    ((list, tuple), _Fingerprint._of_list),
    ((set, frozenset), _Fingerprint._of_set),
]


def _digest(kind: str, *parts: bytes | memoryview) -> bytes:
    """Hash of the parts, each led by its length."""
    h = blake2b(kind.encode(), digest_size=16)
    for part in parts:
        h.update(b"|%d|" % len(part))
        h.update(part)
    return h.digest()


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", getattr(value, "__name__", None)) or repr(value)
    return f"{getattr(value, '__module__', '')}.{name}"


def _own_fingerprint(value: Any) -> Callable[[], Any] | None:
    """A fingerprint method of the object's class, if it has one."""
    if isinstance(value, type):
        return None
    for name in ("__fingerprint__", "fingerprint"):
        if callable(getattr(type(value), name, None)):
            return getattr(value, name)
    return None


def _is_ignored(kind: type, name: str) -> bool:
    cached = isinstance(inspect.getattr_static(kind, str(name), None), functools.cached_property)
    return cached or name in _IGNORED


def _plain_attributes(module: torch.nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if type(value) in _ATTRIBUTES and name != "training" and name[0] != "_"
    }
