"""A fingerprint of any teacher by its content: parameters, weights and fitted state."""

from __future__ import annotations

import dis
import functools
import inspect
import io
import json
import logging
import pickletools
import random
import re
import sys
import threading
import types
import zipfile
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from skorch import NeuralNet

# Attributes of a library's estimators that change without changing what a teacher says.
_IGNORED = {
    "_sklearn_version",
    "_sklearn_output_config",
    "_stop_words_id",  # of a CountVectorizer: an id(), set when it is first used
    "n_jobs",
    "verbose",
}
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice)
_PLAIN = {bool, int, float, str, type(None), np.int64, np.int32}
# Of a torch module: its mode, which every teacher sets, and what is not used in a forward pass.
_NOT_IN_FORWARD = {
    "training",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
    "_non_persistent_buffers_set",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
    "model_card_data",  # of a sentence-transformer: notes on itself
}
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")  # by numbers that differ from copy to copy
_HOOK_FLAGS = (
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
)
# Of a skorch net: what training alone reads or writes, and where it runs.
_NOT_IN_PREDICT = {
    "_kwargs",
    "_modules",
    "_criteria",
    "_optimizers",
    "_params_to_validate",
    "callbacks",
    "callbacks_",
    "criterion_",
    "cuda_dependent_attributes_",
    "device",
    "history_",
    "init_context_",
    "initialized_",
    "iterator_train",
    "lr",
    "max_epochs",
    "module",
    "module_",
    "optimizer",
    "optimizer_",
    "prefixes_",
    "train_split",
    "verbose",
    "virtual_params_",
    "warm_start",
}
_TRAINING_PREFIXES = ("callbacks__", "iterator_train__", "optimizer__")
# Of a user's class: what Python or a decorator writes there, and what no method reads.
_NOT_IN_METHODS = {
    "__annotations__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}
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
        ``fingerprint``, or a string of the first name, is asked for it instead, wherever in the
        teacher it stands.

    Returns
    -------
    digest : str
        32 hexadecimal digits, the same in every process.

    Raises
    ------
    TypeError
        If a part has no content to hash. Nothing is guessed.

    Notes
    -----
    Parameters and fitted attributes count. Of a torch module these are its class, weights, buffers,
    attributes and forward hooks, on whatever device; of a skorch net and of a student, what
    predicting uses, and not its history. Functions, methods and classes of the user count by their
    code and by the globals and helpers that it reads, so that a helper redefined in a notebook
    makes another teacher. The code of installed packages counts by name, and so does what a
    function reads from outside of Python, such as a file: after changing either, clear the cache.
    Random states and cached properties do not count, nor do ``n_jobs`` and ``verbose`` of
    estimators of installed packages.

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
            said = own() if callable(own) else own
            return _digest("own", _name(type(value)).encode(), self.of(said))
        if type(value) in _CONTAINERS:
            return _CONTAINERS[type(value)](self, value)
        for kinds, method in _METHODS:
            if isinstance(value, kinds):
                return method(self, value)
        return self._of_state(value)

    def _of_array(self, value: NDArray) -> bytes:
        if isinstance(value, np.ma.MaskedArray):
            return self.all_of("masked", (value.filled(), np.ma.getmaskarray(value)))
        if type(value) not in (np.ndarray, np.memmap):
            plain = value.view(np.ndarray)
            return self.all_of(
                "array of a kind", (type(value), getattr(value, "__dict__", {}), plain)
            )
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
        # The product of two matrices is another one than that of two arrays.
        return self.all_of("sparse", (isinstance(value, sparse.sparray), *parts))

    def _of_tensor(self, value: torch.Tensor) -> bytes:
        value = value.detach()
        if hasattr(value, "__tensor_flatten__"):
            names, context = value.__tensor_flatten__()
            parts = {name: getattr(value, name) for name in names}
            return self.all_of("tensor of a kind", (type(value), parts, context))
        if value.is_quantized:
            return self.all_of("quantized", (repr(value.qscheme()), value.dequantize()))
        if value.layout != torch.strided:
            value = value.to_dense()
        data = value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        what = repr((str(value.dtype), tuple(value.shape))).encode()
        return _digest("tensor", what, data.data)

    def _of_module(self, value: torch.nn.Module) -> bytes:
        if isinstance(value, torch.jit.ScriptModule):
            return self._of_script(value)
        state = {
            name: part
            for name, part in vars(value).items()
            if name not in _NOT_IN_FORWARD and name not in _HOOKS and name not in _HOOK_FLAGS
        }
        hooks = [
            [
                (hook, [number in getattr(value, flag, {}) for flag in _HOOK_FLAGS])
                for number, hook in getattr(value, name, {}).items()
            ]
            for name in _HOOKS
        ]
        return self.all_of("module", (type(value), _by_name(state), hooks))

    def _of_script(self, value: torch.jit.ScriptModule) -> bytes:
        """Its archive, but for what tells one copy from another: numbers in the names of types."""
        buffer = io.BytesIO()
        torch.jit.save(value, buffer)
        with zipfile.ZipFile(buffer) as archive:
            files = [(name, archive.read(name)) for name in archive.namelist()]
        content: list[Any] = []
        for name, data in files:
            if name.endswith((".debug_pkl", ".data/serialization_id")):
                continue
            # Only read, and never run: a list of the pickle's instructions.
            kept = (
                repr([(op.name, arg) for op, arg, _ in pickletools.genops(data)]).encode()
                if name.endswith(".pkl")
                else data
            )
            content.append((_without_number(name.encode()), _without_number(kept)))
        return self.all_of("script", sorted(content))

    def _of_net(self, value: NeuralNet) -> bytes:
        module = getattr(value, "module_", value.module)
        if _is_library(type(value).__module__) and type(value).__module__.startswith(
            "lelp_sklearn"
        ):
            return self.all_of("net", (type(value), module, value.predict_nonlinearity))
        state = {
            name: part
            for name, part in vars(value).items()
            if name not in _NOT_IN_PREDICT and not name.startswith(_TRAINING_PREFIXES)
        }
        return self.all_of("net", (type(value), module, _by_name(state)))

    def _of_dict(self, value: Any) -> bytes:
        """In its order, which decides what a loop over it does."""
        if all(type(part) in _PLAIN for item in value.items() for part in item):
            content = repr(list(value.items())).encode("utf-8", "surrogatepass")
            return _digest("plain dict", content)
        return self.all_of("dict", [part for item in value.items() for part in item])

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
        parts = value.co_code, value.co_consts, value.co_names, value.co_exceptiontable
        return self.all_of("code", parts)

    def _of_function(self, value: types.FunctionType) -> bytes:
        closure = inspect.getclosurevars(value).nonlocals if value.__closure__ else {}
        parts = value.__defaults__, value.__kwdefaults__, closure, dict(vars(value))
        if _is_library(value.__module__):
            return self.all_of(_name(value), parts)
        read = [part for item in _globals_read(value) for part in item]
        return self.all_of(_name(value), (value.__code__, *parts, read))

    def _of_method(self, value: types.MethodType) -> bytes:
        return self.all_of("method", (value.__func__, value.__self__))

    def _of_class(self, value: type) -> bytes:
        if _is_library(value.__module__):
            return self._of_name(value)
        written = _written_by_methods(value)
        content = {
            name: part
            for name, part in vars(value).items()
            if name not in _NOT_IN_METHODS | written and not name.startswith("__dataclass_")
        }
        return self.all_of(_name(value), (value.__bases__, _by_name(content)))

    def _of_descriptor(self, value: Any) -> bytes:
        if isinstance(value, property):
            return self.all_of("property", (value.fget, value.fset))
        if isinstance(value, functools.cached_property):
            return self.all_of("cached property", [value.func])
        return self.all_of(type(value).__name__, [value.__func__])

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
        if _is_a(kind, "transformers", "PreTrainedTokenizerBase"):
            return self._of_tokenizer(value)
        if isinstance(getattr(value, "net_", None), NeuralNet) and hasattr(value, "objective_"):
            # A student predicts by what it was fitted to; the objective has done its work.
            fitted = {n: v for n, v in vars(value).items() if n.endswith("_") and n != "objective_"}
            n_subclasses = value.objective_.n_subclasses_
            return self.all_of("student", (kind, n_subclasses, _by_name(fitted)))
        if hasattr(value, "__wrapped__") and kind.__name__ == "_lru_cache_wrapper":
            return self.all_of("lru_cache", [value.__wrapped__])
        if kind.__module__.startswith("sklearn.neighbors._") and hasattr(value, "get_tree_stats"):
            # A tree of neighbours, which counts its searches beside its arrays and metric.
            parts = [part for part in value.__getstate__() if not isinstance(part, int)]
            return self.all_of(_name(kind), parts)
        try:
            reduced: Any = value.__reduce_ex__(2)
        except TypeError as error:
            raise TypeError(
                f"the teacher holds a {_name(kind)}, whose content cannot be hashed ({error}): "
                "give the teacher a method __fingerprint__() that returns a string for its "
                "content, or pass fingerprint= to TeacherCache.outputs."
            ) from error
        if isinstance(reduced, str):
            return _digest("global", kind.__module__.encode(), reduced.encode())
        build, args, state, items, pairs = (list(reduced) + [None] * 3)[:5]
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            state = dict(state[0] or {}) | state[1]  # beside the __dict__, the __slots__
        if isinstance(state, dict):
            library = _is_library(kind.__module__)
            state = {
                name: part
                for name, part in state.items()
                if not _is_cached(kind, name) and not (library and name in _IGNORED)
            }
            state = _by_name(state)
        rebuilt_from = (kind, build, args, state, list(items or ()), dict(pairs or ()))
        return self.all_of(_name(kind), rebuilt_from)

    def _of_tokenizer(self, value: Any) -> bytes:
        """Without how it cuts and pads, which every call sets anew."""
        state = {n: v for n, v in vars(value).items() if n != "_tokenizer"}
        fast = getattr(value, "_tokenizer", None)
        if fast is not None:
            state["_tokenizer"] = json.loads(fast.to_str())
            state["_tokenizer"].update(truncation=None, padding=None)
        return self.all_of("tokenizer", (type(value), _by_name(state)))


# The first that fits.
_METHODS: list[tuple[Any, Callable[[_Fingerprint, Any], bytes]]] = [
    (type, _Fingerprint._of_class),
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
    (
        (property, functools.cached_property, staticmethod, classmethod),
        _Fingerprint._of_descriptor,
    ),
    ((types.GetSetDescriptorType, types.MemberDescriptorType), _Fingerprint._of_name),
    (types.ModuleType, _Fingerprint._of_name),
    (functools.partial, _Fingerprint._of_partial),
    ((bytearray, memoryview), _Fingerprint._of_bytes),
]
# Of subclasses, the state counts as well.
_CONTAINERS: dict[type, Callable[[_Fingerprint, Any], bytes]] = {
    dict: _Fingerprint._of_dict,
    types.MappingProxyType: _Fingerprint._of_dict,
    list: _Fingerprint._of_list,
    tuple: _Fingerprint._of_list,
    set: _Fingerprint._of_set,
    frozenset: _Fingerprint._of_set,
}


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


def _own_fingerprint(value: Any) -> Any:
    """What the object or its class has as a fingerprint: a method, a string, or None."""
    if isinstance(value, type):
        return None
    own = getattr(value, "__fingerprint__", None)
    if own is not None:
        return own
    method = getattr(type(value), "fingerprint", None)
    return value.fingerprint if callable(method) else None


def _by_name(state: dict[str, Any]) -> list[tuple[str, Any]]:
    """Attributes in one order, whatever order they were set in."""
    return sorted(((str(name), part) for name, part in state.items()), key=lambda item: item[0])


def _without_number(name: bytes) -> bytes:
    return re.sub(rb"\.?___torch_mangle_\d+", b"", name)


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(kind, str(name), None), functools.cached_property)


def _is_a(kind: type, package: str, name: str) -> bool:
    """Whether a class comes from one of a package that need not be installed."""
    return any(
        c.__name__ == name and c.__module__.partition(".")[0] == package for c in kind.__mro__
    )


@functools.cache
def _is_library(module: str | None) -> bool:
    """Whether a module is installed, and not code that a user edits."""
    root = (module or "").partition(".")[0]
    if root in sys.stdlib_module_names or root == "lelp_sklearn":
        return True
    loaded = sys.modules.get(root)
    file = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", ())), None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _globals_read(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Global names in a function's code and what they stand for; modules of a user are opened."""
    # What it writes itself, such as a count of calls, would make another teacher by asking.
    names = sorted(_names_in(function.__code__) - _written(function.__code__, "STORE_GLOBAL"))
    modules = []
    for name in names:
        value = function.__globals__.get(name, sys.modules.get(name))
        if isinstance(value, types.ModuleType) and not _is_library(value.__name__):
            modules.append(value)
        elif name in function.__globals__:
            yield name, value
    for module in modules:  # grows by the modules found in modules
        for name in names:
            value = vars(module).get(name)
            if isinstance(value, types.ModuleType) and not _is_library(value.__name__):
                if value not in modules:
                    modules.append(value)
            elif name in vars(module):
                yield f"{module.__name__}.{name}", value


def _written_by_methods(kind: type) -> set[str]:
    """Attributes of a class that its own methods assign on it, such as a count of calls."""
    owners = {kind.__name__, "__class__", "type", "cls"}
    written: set[str] = set()
    for part in vars(kind).values():
        code = getattr(getattr(part, "__func__", part), "__code__", None)
        if code is not None and owners & {*code.co_names, *code.co_varnames, *code.co_freevars}:
            written |= _written(code, "STORE_ATTR")
    return written


def _written(code: types.CodeType, operation: str) -> set[str]:
    """Names that code assigns by an operation of Python's."""
    nested = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    own = {i.argval for i in dis.get_instructions(code) if i.opname == operation}
    return own.union(*(_written(part, operation) for part in nested))


def _names_in(code: types.CodeType) -> set[str]:
    nested = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(_names_in, nested))
