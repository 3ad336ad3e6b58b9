"""Save and load."""

from __future__ import annotations

import json
import logging
import platform
import struct
import warnings
from collections.abc import Callable, Iterable
from os import PathLike
from typing import IO, Any, cast

import numpy
import safetensors
import sklearn
import skorch
import torch
from safetensors import numpy as numpy_tensors
from safetensors import torch as torch_tensors
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted
from torch import nn

from lelp_sklearn._buffers import is_buffer
from lelp_sklearn.persistence import _file
from lelp_sklearn.persistence._decoder import Decoder
from lelp_sklearn.persistence._encoder import Encoder
from lelp_sklearn.persistence._file import ModelFileError
from lelp_sklearn.persistence._model_card import ModelCard, model_card

_logger = logging.getLogger(__name__)
_PACKAGES = (numpy, safetensors, sklearn, skorch, torch)


def save(
    estimator: BaseEstimator,
    path: str | PathLike[str] | IO[bytes],
    *,
    card: bool | ModelCard = False,
) -> None:
    """Write a fitted estimator to a file that loads without executing code.

    Students, projectors, distilled and retrieval-augmented classifiers, and Pipelines, votes,
    stacks, calibrations and the like around them: predictions after :func:`load` are equal to the
    last bit. The file is one zip of JSON (parameters, classes, names of features, history),
    safetensors (weights and arrays) and, for scikit-learn steps that hold more than plain
    attributes, skops. A file that is named is written beside its place and moved there when it is
    whole.

    A teacher is never in the file, nor a teacher cache: of a loaded
    :class:`DistilledClassifier` ``teacher`` is None and ``teacher_`` missing. Nor are the
    optimizer's moments: further training starts an optimizer of its own. Nor is what
    ``set_fit_request`` and its like asked for.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    path : str, path or binary file
        File to write; by custom it ends in ``.lelp``. A file of that name is replaced. Or a file
        open for writing bytes, or a buffer such as ``io.BytesIO()``: it is written to from its
        position on, and left behind what was written.
    card : bool or ModelCard, default=False
        Whether to write a :func:`model_card` beside it, as ``path.md`` and ``path.json``; or the
        card, such as one with metrics.

    Raises
    ------
    TypeError
        If a parameter cannot be written without pickle, as a callback or another function; the
        message names it, and nothing is written. If a file is open for text.
    NotFittedError
        If it is not fitted.
    ValueError
        If weights are not finite.
    ImportError
        If it holds a scikit-learn step that needs skops, which is not installed.

    See Also
    --------
    load : Reads the file.

    Notes
    -----
    A body of your own is written by name and weights, and :func:`load` asks for its class. Samplers
    of an imblearn Pipeline, which predicting does not need, are left out: what comes back is
    scikit-learn's.

    Examples
    --------
    >>> import tempfile
    >>> import lelp_sklearn
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import MLP, CrossEntropy, StudentClassifier
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> student = StudentClassifier(MLP, objective=CrossEntropy(), max_epochs=3, random_state=0)
    >>> student = student.fit(X / 16, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lelp_sklearn.save(student, f"{folder}/student.lelp")
    ...     again = lelp_sklearn.load(f"{folder}/student.lelp")
    >>> bool((again.predict_proba(X) == student.predict_proba(X)).all())
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"got a {type(estimator).__name__}: expected a fitted estimator, such as a student."
        )
    if is_buffer(path, "write") and card:
        raise TypeError(
            f"card={card!r:.40} is written beside a path, and path is a {type(path).__name__}: "
            "write it by model_card(estimator).write(name)."
        )
    check_is_fitted(estimator)
    members = Encoder().members(estimator)
    if card is True:
        card = model_card(estimator)
    _file.write(path, members, _versions())
    if card:
        card.write(cast(str, path))
    if hasattr(estimator, "teacher_"):
        _logger.info("%s holds the student; the teacher is not saved.", _file.name_of(path))


def load(path: str | PathLike[str] | IO[bytes], *, allow: Iterable[type | nn.Module] = ()) -> Any:
    """Read what :func:`save` wrote. Nothing in the file is executed.

    Objects are built only of the classes of lelp_sklearn, those of scikit-learn that are listed or
    that skops trusts, and those that you allow. A model trained on a GPU loads where there is none.

    Parameters
    ----------
    path : str, path or binary file
        The file. One that is open for reading bytes, or a buffer, is read from its position to its
        end.
    allow : iterable of classes and modules, default=()
        Your own classes that the file may name: bodies, objectives, inputs, splitters, steps. For
        a body that was given as an instance, a module built as that one was.

    Returns
    -------
    estimator : estimator
        Fitted, as it was saved.

    Raises
    ------
    ModelFileError
        If the file is damaged or forged, was written by a newer version, or names a class that is
        not allowed. It is a ValueError.
    OSError
        If it cannot be read.
    ImportError
        If it needs skops or tokenizers, and they are not installed.

    Warns
    -----
    UserWarning
        If the device that a student was trained on by name is not here.
    sklearn.exceptions.InconsistentVersionWarning
        If steps of scikit-learn in the file are of another version of it.

    See Also
    --------
    save : Writes the file.

    Notes
    -----
    A forged file cannot run code, but can predict whatever its author likes: load models of those
    whom you trust with your predictions.

    Examples
    --------
    With a body of one's own, which the file knows by name only:

    >>> import tempfile
    >>> import lelp_sklearn
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from lelp_sklearn import CrossEntropy, StudentClassifier
    >>> class Halves(nn.Module):
    ...     def forward(self, X):
    ...         return X[:, ::2]
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> student = StudentClassifier(Halves, objective=CrossEntropy(), max_epochs=3, random_state=0)
    >>> student = student.fit(X / 16, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lelp_sklearn.save(student, f"{folder}/student.lelp")
    ...     again = lelp_sklearn.load(f"{folder}/student.lelp", allow=[Halves])
    >>> bool((again.predict_proba(X) == student.predict_proba(X)).all())
    True
    """
    allow = list(allow)
    members, versions = _file.read(path)
    try:
        arrays = _tensors(members, "arrays.safetensors", numpy_tensors.load)
        weights = _tensors(members, "weights.safetensors", torch_tensors.load)
        decoder = Decoder(arrays, weights, members, allow)
        estimator = decoder.decode(json.loads(members["model.json"].decode()))
        if not isinstance(estimator, BaseEstimator):
            raise ModelFileError(f"it holds a {type(estimator).__name__}: expected an estimator.")
    except ModelFileError:
        raise
    except BaseException as error:  # whatever a forged value leads to
        missing = isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError)
        # What a tokenizer cannot read ends in a panic of Rust's, which is no Exception.
        ours = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if missing or not ours:
            raise
        raise ModelFileError(
            f"{_file.name_of(path)} cannot be rebuilt ({type(error).__name__}: {error}): it is "
            "damaged or forged, or a class that you allow is not the one it was saved with."
        ) from error
    written_by = versions.get("sklearn", "unknown")
    if decoder.sklearn_steps and written_by != sklearn.__version__:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=decoder.sklearn_steps[0],
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=written_by,
            ),
            stacklevel=2,
        )
    return estimator


def _versions() -> dict[str, str]:
    from lelp_sklearn import __version__  # set when all modules are imported

    packages = {package.__name__: str(package.__version__) for package in _PACKAGES}
    return {"lelp_sklearn": __version__, "python": platform.python_version(), **packages}


def _tensors(members: dict[str, bytes], name: str, parse: Callable[[bytes], Any]) -> dict[str, Any]:
    """Tensors of a safetensors member by name; none where there is no such member."""
    data = members.get(name)
    if data is None:
        return {}
    (header,) = struct.unpack("<Q", data[:8])
    if header > len(data) - 8:
        raise ModelFileError(f"{name} claims a header of {header} bytes, and has {len(data)}.")
    return parse(data)
