"""A student served by onnxruntime: it and numpy are all that this module imports."""

from __future__ import annotations

import json
import numbers
import operator
import os
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lelp_sklearn._buffers import is_buffer, read_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 1024  # rows a run: text is dense inside, so that many rows at once would fill the memory
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class OnnxStudent:
    """A classifier in a file of :func:`to_onnx`, run by onnxruntime alone.

    Neither torch nor scikit-learn is imported, here or by ``from lelp_sklearn import OnnxStudent``:
    ``pip install onnxruntime numpy`` and ``pip install --no-deps lelp-sklearn`` are enough.

    Parameters
    ----------
    path : path, bytes, binary file or onnx.ModelProto
        The file, or what it holds: its bytes, a file or buffer that is open for reading bytes and
        is read from its position on, or the model that ``to_onnx`` returned.
    n_threads : int, default=1
        Threads of one call. More than 1 rarely helps small networks.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in the order of the columns of probabilities.
    n_features_in_ : int
        Columns of the rows; 1 where they are texts.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, where the model was exported with a data frame.
    export_ : dict
        What ``to_onnx`` measured: ``rows`` checked, ``max_difference`` of a probability and
        ``label_agreement`` with the model that was exported, and whether it is ``quantized``.
    session_ : onnxruntime.InferenceSession
        What runs the model.

    Raises
    ------
    ImportError
        Without onnxruntime.
    OSError
        If the file cannot be read.
    TypeError
        If ``path`` is none of these.
    ValueError
        If the model was not written by ``to_onnx``.

    See Also
    --------
    to_onnx : Writes the file.

    Notes
    -----
    It can be pickled, copied and sent to other processes, and takes the model with it: the file
    may be gone, or be another one, where it arrives. ``sklearn.base.clone`` gives the object
    itself, as it has no parameters to fit anew.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn import CrossEntropy, OnnxStudent, StudentClassifier, to_onnx
    >>> X, y = np.float32([[-2], [-1], [1], [2]]), ["no", "no", "yes", "yes"]
    >>> student = StudentClassifier(objective=CrossEntropy(), lr=0.1, random_state=0).fit(X, y)
    >>> served = OnnxStudent(to_onnx(student, X))
    >>> served.predict(X)
    array(['no', 'no', 'yes', 'yes'], dtype='<U3')
    >>> bool(np.abs(served.predict_proba(X) - student.predict_proba(X)).max() < 1e-6)
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Any,
        *,
        n_threads: int = 1,
    ):
        try:
            self.n_threads = operator.index(n_threads)
        except TypeError:
            self.n_threads = 0
        if self.n_threads < 1 or isinstance(n_threads, bool):
            raise ValueError(f"n_threads={n_threads!r}: expected a whole number, 1 or more.")
        self._model = _bytes_of(path)
        self._start()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "session_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    def __sklearn_clone__(self) -> OnnxStudent:
        return self

    def _start(self) -> None:
        """Make the session, and read what is known of the model."""
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its errors are raised, and need no second telling
        try:
            self.session_ = runtime.InferenceSession(
                self._model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a class for each of its codes
            raise ValueError(
                "onnxruntime cannot open the model: it is no file of lelp_sklearn.to_onnx, is "
                "damaged, or was written for a newer onnxruntime (pip install --upgrade "
                f"onnxruntime). It says: {error}"
            ) from error
        written = self.session_.get_modelmeta().custom_metadata_map.get("lelp_sklearn")
        if written is None:
            raise ValueError(
                "the model has no metadata of lelp_sklearn: expected one that lelp_sklearn.to_onnx "
                "wrote."
            )
        known = json.loads(written)
        self.classes_: NDArray = np.array(known["classes"])
        self.n_features_in_: int = known["n_features"]
        if known["columns"] is not None:
            self.feature_names_in_: NDArray = np.array(known["columns"], dtype=object)
        self.export_: dict[str, Any] = known["export"]
        # Columns that the model takes as floats, and of which the sample had whole numbers only.
        self._whole = frozenset(known.get("whole", ()))
        inputs = self.session_.get_inputs()
        self._names = [one.name for one in inputs]
        self._dtypes = [_DTYPES[one.type] for one in inputs]
        # The one input of a model that takes its rows as a matrix of numbers.
        self._matrix = (
            self._names[0] if len(inputs) == 1 and self._dtypes[0] is not np.object_ else None
        )

    def predict(self, X: Any) -> NDArray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), data frame, or sequence of str
            Rows, of the kind that the model was exported with.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Labels, of the type seen in fit.
        """
        _, labels = self._run(X, ["probabilities", "label"])
        return labels.astype(self.classes_.dtype, copy=False)

    def predict_proba(self, X: Any) -> NDArray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), data frame, or sequence of str
            Rows, of the kind that the model was exported with. An array is converted to the
            model's type, which takes a moment where it has another.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes), float32
            Columns in the order of ``classes_``.

        Raises
        ------
        ValueError
            If the columns are not the model's, numbers are not those of its type, or the
            probabilities come out as NaN, as they do where numbers are missing.
        """
        return self._run(X, ["probabilities"])[0]

    def _run(self, X: Any, outputs: list[str]) -> list[NDArray]:
        """Outputs of all rows; the first are the probabilities."""
        columns = self._columns(X)
        n_rows = columns[0].shape[0]
        if n_rows == 0:
            none = np.empty((0, len(self.classes_)), np.float32), self.classes_[:0]
            return list(none[: len(outputs)])
        if n_rows <= _CHUNK:
            found = self._run_chunk(columns, outputs)
        else:
            starts = range(0, n_rows, _CHUNK)
            parts = [self._run_chunk([c[i : i + _CHUNK] for c in columns], outputs) for i in starts]
            found = [np.concatenate(part) for part in zip(*parts, strict=True)]
        total = np.vdot(found[0], found[0])
        if total != total:  # the cheapest look for a NaN: this is most of a call's own time
            row = int(np.isnan(found[0]).any(axis=1).argmax())
            raise ValueError(
                f"the probabilities of row {row} are NaN, so a number in it is NaN or far too "
                "large: impute, or leave such rows out."
            )
        return found

    def _run_chunk(self, columns: list[Any], outputs: list[str] | None) -> list[NDArray]:
        arrays = [c if type(c) is np.ndarray else c.toarray() for c in columns]
        try:
            return self.session_.run(outputs, dict(zip(self._names, arrays, strict=True)))
        except Exception as error:  # onnxruntime has a class for each of its codes
            raise ValueError(
                "onnxruntime has no answer for these rows, which must be as the sample was that "
                f"to_onnx was given. It says: {error}"
            ) from error

    def _columns(self, X: Any) -> list[Any]:
        """The rows as the model's inputs take them, one array each."""
        if self._matrix is not None and not hasattr(X, "columns"):
            sparse = hasattr(X, "toarray")  # made dense chunk by chunk
            dtype = self._dtypes[0]
            rows = X.tocsr().astype(dtype) if sparse else X
            if not sparse and (type(X) is not np.ndarray or X.dtype != dtype or self._whole):
                rows = _numbers("X", X, dtype, bool(self._whole))
            rows = rows if sparse else np.ascontiguousarray(rows)
            if len(rows.shape) != 2 or rows.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X has shape {rows.shape}; the model expects (n_rows, {self.n_features_in_})."
                )
            return [rows]
        if not hasattr(self, "feature_names_in_"):
            if self._matrix is not None:  # a frame for a model of an array
                columns = list(_by_name(X).values())
                return self._columns(np.stack(columns, axis=1) if columns else np.asarray(X))
            return [_texts("X", X, self.n_features_in_)]
        if not hasattr(X, "columns"):
            raise TypeError(
                f"X is a {type(X).__name__}; the model was exported with a data frame of the "
                f"columns {self.feature_names_in_.tolist()}."
            )
        wanted = self.feature_names_in_.tolist()
        given = _by_name(X, wanted)
        missing = [name for name in wanted if name not in given]
        if missing:
            raise ValueError(f"X lacks the columns {missing}; its columns are {list(X.columns)}.")
        arrays = [given[name] for name in wanted]
        if self._matrix is not None:
            found = [
                _numbers(name, array, self._dtypes[0], name in self._whole)
                for name, array in zip(wanted, arrays, strict=True)
            ]
            return [np.ascontiguousarray(np.stack(found, axis=1))]
        return [
            _texts(name, array)
            if dtype is np.object_
            else _numbers(name, array, dtype, name in self._whole).reshape(-1, 1)
            for name, array, dtype in zip(wanted, arrays, self._dtypes, strict=True)
        ]


def _bytes_of(model: Any) -> bytes:
    """A model as the bytes of its file."""
    if isinstance(model, bytes | bytearray | memoryview):
        return bytes(model)
    if hasattr(model, "SerializeToString"):  # a ModelProto; onnx may not be installed
        return model.SerializeToString()
    if is_buffer(model, "read"):
        return read_from(model)
    with open(model, "rb") as file:
        return file.read()


def as_array(column: Any) -> NDArray:
    """A column, or rows; numbers that are objects, as nullable ones are, become floats.

    Booleans and whole numbers stay what they are where none is missing.
    """
    array = np.asarray(column)
    if array.dtype != object or array.ndim == 0:
        return array
    values = array.ravel().tolist()
    there = [value for value in values if not _is_missing(value)]
    if not there or not all(isinstance(value, numbers.Number) for value in there):
        return array
    try:
        if len(there) == len(values):
            for kind, dtype in ((bool, np.bool_), (int, np.int64)):
                if all(type(value) is kind for value in there):
                    return np.array(values, dtype=dtype).reshape(array.shape)
        floats = [np.nan if _is_missing(value) else float(value) for value in values]
        return np.array(floats).reshape(array.shape)
    except (OverflowError, TypeError):  # of huge and complex numbers
        return array


def _is_missing(value: Any) -> bool:
    """Whether it is None, NaN, or the NA and NaT of pandas, which is not imported here."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _by_name(X: Any, wanted: Any = None) -> dict[str, NDArray]:
    """Columns of a data frame; with ``wanted``, of those names."""
    names = [str(name) for name in X.columns]
    pandas = hasattr(X, "iloc")
    if wanted is None:
        wanted = dict.fromkeys(names)
    elif twice := sorted({name for name in wanted if names.count(name) > 1}):
        raise ValueError(f"X has several columns of the names {twice}: expected one of each.")
    return {
        name: as_array(X.iloc[:, i] if pandas else X[X.columns[i]])
        for i, name in enumerate(names)
        if name in wanted
    }


def _numbers(name: str, values: Any, dtype: Any, whole: bool = False) -> NDArray:
    """Values as the model's type of number; what a float cannot hold is infinite."""
    try:
        given = as_array(values)
        if given.ndim == 0:
            raise TypeError(f"it is a {type(values).__name__}, and no rows")
        if given.dtype.kind in "cmM":
            raise TypeError(f"they are {given.dtype}")
        with np.errstate(over="ignore", invalid="ignore"):
            converted = given.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} does not hold real numbers: {error}.") from error
    changed = given[:0]
    if dtype in (np.int64, np.bool_):
        changed = given[converted != given]
    elif whole:  # NaN is for the model to judge
        changed = given[(np.trunc(converted) != converted) & (converted == converted)]
    if changed.size:
        taken = np.int64.__name__ if whole else dtype.__name__
        raise ValueError(
            f"{name} holds {changed[0]}, and the model takes {taken} there, as the sample "
            "was that to_onnx was given. Give it a sample of floats, for a model that takes those."
        )
    return converted


def _texts(name: str, values: Any, width: int = 1) -> NDArray:
    """Columns of strings, as onnxruntime takes them."""
    column = np.asarray(values, dtype=object)
    if column.ndim > 2 or (1 if column.ndim < 2 else column.shape[1]) != width:
        raise ValueError(
            f"{name} has shape {column.shape}; the model expects {width} "
            f"{'string' if width == 1 else 'strings'} a row."
        )
    strange = {type(value).__name__ for value in column.ravel() if not isinstance(value, str)}
    if strange or isinstance(values, str):
        raise TypeError(
            f"{name} holds {', '.join(sorted(strange)) or 'one string'}; the model expects a "
            "sequence of strings, none of them missing."
        )
    return column.reshape(-1, width)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "OnnxStudent runs on onnxruntime: install it by `pip install onnxruntime`."
        ) from error
    return onnxruntime
