"""A torch module as a teacher: asked in batches, its embedding read by a forward hook."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn._torch import UsualSettings
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._hooks import (
    autocast,
    captured,
    embedding_layer,
    evaluating,
    first_tensor,
    joined,
    last_linear,
    moved,
)
from lelp_sklearn.teachers._labels import OutputColumns
from lelp_sklearn.teachers._sharing import SharesWeights


class TorchTeacher(SharesWeights, ClassifierMixin, BaseEstimator):
    """A trained torch module as a teacher.

    It is asked in evaluation mode without gradients, batch by batch; its modes, its device and
    its hooks are afterwards what they were, also after an error.

    Parameters
    ----------
    module : nn.Module
        Trained. It gives logits or probabilities: a tensor of shape (n, C), or (n, 1) or (n,) for
        two classes; a tuple that starts with one; or an output with ``.logits``. Never copied,
        clones of the teacher share it.
    layer : str, default=None
        Name of the layer (as in ``module.named_modules()``) whose output, (n, D), is the
        embedding. None is the input of the last ``nn.Linear``.
    classes : array-like of shape (C,), default=None
        Label of each output column, in the module's order; a single column is the second label's.
        None numbers the outputs of the last ``nn.Linear``: 0, 1, ...
    batch_size : int, default=1024
        Rows a forward pass.
    device : str, default="auto"
        Where to compute: "auto" is cuda, mps or cpu. None is where the module is.
    dtype : {"bfloat16", "float16"}, default=None
        Precision of matrix products, by autocast. None is the module's own.
    output : {"logits", "proba"}, default="logits"
        What the module gives.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels, the order of the columns of :meth:`predict_proba`.
    teacher_coef_ : ndarray of shape (C, D) or (1, D)
        Weights of the last ``nn.Linear``, where its input is the embedding (``layer=None``).

    Raises
    ------
    ValueError
        If the layer does not exist or gives no embedding a row, if outputs and classes differ in
        number, or if this machine lacks the device.

    See Also
    --------
    SkorchTeacher : A skorch net.
    TransformersTeacher : A transformers sequence classifier.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from lelp_sklearn.teachers import TorchTeacher
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> teacher = TorchTeacher(module, classes=["cat", "dog", "ant"])
    >>> X = np.ones((5, 4))
    >>> teacher.classes_, teacher.predict_proba(X).shape, teacher.transform(X).shape
    (array(['ant', 'cat', 'dog'], dtype='<U3'), (5, 3), (5, 8))
    >>> teacher.teacher_coef_.shape
    (3, 8)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "module": [nn.Module],
        "layer": [str, None],
        "classes": ["array-like", None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str, None],
        "dtype": [StrOptions({"bfloat16", "float16"}), None],
        "output": [StrOptions({"logits", "proba"})],
    }

    def __init__(
        self,
        module: nn.Module,
        *,
        layer: str | None = None,
        classes: ArrayLike | None = None,
        batch_size: int = 1024,
        device: str | None = "auto",
        dtype: str | None = None,
        output: str = "logits",
    ):
        self.module = module
        self.layer = layer
        self.classes = classes
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.output = output

    def fit(self, X: Any = None, y: Any = None) -> TorchTeacher:
        """Check the parameters; the module comes trained and stays as it is.

        Its probabilities are therefore never out of fold, whatever asks for them.

        Parameters
        ----------
        X, y : ignored
            Not used.

        Returns
        -------
        self
        """
        self._validate_params()
        return self

    def outputs(self, X: Any) -> TeacherOutputs:
        """Probabilities and embeddings in one pass.

        Parameters
        ----------
        X : array-like, Tensor or mapping of them, n rows each
            Inputs; a mapping becomes keyword arguments. Floating-point numbers take the dtype of
            the module's weights; whole numbers too, unless the module has an embedding table.

        Returns
        -------
        TeacherOutputs
        """
        self._validate_params()
        layer, inputs = embedding_layer(self.module, self.layer)
        proba, embeddings = self._ask(X, layer, inputs)
        return TeacherOutputs(proba, embeddings)

    def predict_proba(self, X: Any) -> NDArray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like, Tensor or mapping of them, n rows each
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n, C)
        """
        self._validate_params()
        return self._ask(X, None, False)[0]

    def transform(self, X: Any) -> NDArray:
        """Embeddings.

        Parameters
        ----------
        X : array-like, Tensor or mapping of them, n rows each
            Inputs.

        Returns
        -------
        embeddings : ndarray of shape (n, D)
        """
        embeddings = self.outputs(X).embeddings
        assert embeddings is not None
        return embeddings

    def predict(self, X: Any) -> NDArray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like, Tensor or mapping of them, n rows each
            Inputs.

        Returns
        -------
        y : ndarray of shape (n,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @property
    def classes_(self) -> NDArray:
        """Sorted labels."""
        return self._columns().classes

    @property
    def teacher_coef_(self) -> NDArray:
        """Output weights, where the last nn.Linear reads the embedding."""
        if self.layer is not None:
            raise AttributeError(
                f"teacher_coef_ is known for layer=None only, not for layer={self.layer!r}, since "
                "other layers may stand between it and the logits."
            )
        return self._columns().coef(last_linear(self.module).weight)

    def _columns(self) -> OutputColumns:
        if self.classes is not None:
            return OutputColumns(self.classes)
        return OutputColumns(np.arange(max(2, last_linear(self.module).out_features)))

    @UsualSettings()
    def _ask(self, X: Any, layer: nn.Module | None, inputs: bool) -> tuple[NDArray, Any]:
        columns, rows, seen = self._columns(), self._rows(X), []
        n_rows = len(next(iter(rows.values())) if isinstance(rows, dict) else rows)
        if not n_rows:
            raise ValueError("X has 0 rows; expected at least one.")
        outputs = []
        with evaluating(self.module), moved(self.module, self.device) as device:
            size = int(self.batch_size)
            for start in range(0, n_rows, size):
                batch = _slice(rows, slice(start, start + size), device)
                with autocast(device, self.dtype):
                    if layer is None:
                        answer = _call(self.module, batch)
                    else:
                        with captured(layer, inputs=inputs) as embeddings:
                            answer = _call(self.module, batch)
                        seen += [embedding.cpu() for embedding in embeddings]
                outputs.append(columns.proba(first_tensor(answer), self.output))
        if layer is not None and not seen:
            raise ValueError(
                "the embedding layer did not run in the forward pass: name one that does by layer."
            )
        return np.concatenate(outputs), None if layer is None else joined(seen, n_rows)

    def _rows(self, X: Any) -> Tensor | dict[str, Tensor]:
        weight = next((p for p in self.module.parameters() if p.is_floating_point()), None)
        dtype = torch.float32 if weight is None else weight.dtype
        tables = any(isinstance(p, (nn.Embedding, nn.EmbeddingBag)) for p in self.module.modules())
        if isinstance(X, Mapping):
            return {name: _tensor(value, dtype, tables) for name, value in X.items()}
        return _tensor(X, dtype, tables)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> TorchTeacher:
        # scikit-learn would copy the weights.
        return type(self)(**self.get_params(deep=False))


def _tensor(values: Any, dtype: torch.dtype, keep_integers: bool) -> Tensor:
    if not isinstance(values, Tensor):
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"X holds {array.dtype}; a torch module takes numbers: encode X first, or use "
                "TransformersTeacher or SentenceTransformerTeacher for text."
            )
        values = torch.tensor(array)
    if keep_integers and not values.is_floating_point():
        return values
    return values.to(dtype)


def _slice(rows: Any, batch: slice, device: torch.device) -> Any:
    if isinstance(rows, dict):
        return {name: value[batch].to(device) for name, value in rows.items()}
    return rows[batch].to(device)


def _call(module: nn.Module, batch: Any) -> Any:
    return module(**batch) if isinstance(batch, dict) else module(batch)
