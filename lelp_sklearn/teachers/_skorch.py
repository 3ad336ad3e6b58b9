"""A skorch net as a teacher: the net predicts, a hook reads the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from skorch import NeuralNet

from lelp_sklearn._compat import HasMethods, StrOptions, fit_context
from lelp_sklearn._torch import UsualSettings
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._hooks import (
    autocast,
    captured,
    embedding_layer,
    evaluating,
    joined,
    last_linear,
)
from lelp_sklearn.teachers._labels import OutputColumns


class SkorchTeacher(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A skorch classifier as a teacher.

    Batches, device and the step from outputs to probabilities are the net's own.

    Parameters
    ----------
    net : skorch.NeuralNetClassifier or NeuralNetBinaryClassifier
        Fitted, it answers at once; fit trains a clone of it.
    layer : str, default=None
        Name of the layer of ``net.module_`` whose output, (n, D), is the embedding. None is the
        input of the last ``nn.Linear``.
    dtype : {"bfloat16", "float16"}, default=None
        Precision of matrix products, by autocast. None is the net's own.

    Attributes
    ----------
    net_ : skorch net
        The trained clone; only after fit.
    classes_ : ndarray of shape (C,)
        Labels.
    teacher_coef_ : ndarray of shape (C, D) or (1, D)
        Weights of the last ``nn.Linear``, where its input is the embedding (``layer=None``).

    Raises
    ------
    NotFittedError
        If it is asked while neither it nor its net is fitted.

    See Also
    --------
    TorchTeacher : A bare torch module.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skorch import NeuralNetClassifier
    >>> from torch import nn
    >>> from lelp_sklearn.teachers import SkorchTeacher
    >>> X, y = load_iris(return_X_y=True)
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0)
    >>> teacher = SkorchTeacher(net).fit(X.astype("float32"), y)
    >>> teacher.transform(X.astype("float32")).shape
    (150, 8)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "net": [HasMethods(["fit", "predict_proba"])],
        "layer": [str, None],
        "dtype": [StrOptions({"bfloat16", "float16"}), None],
    }

    def __init__(self, net: Any, *, layer: str | None = None, dtype: str | None = None):
        self.net = net
        self.layer = layer
        self.dtype = dtype

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: ArrayLike, **fit_params: Any) -> SkorchTeacher:
        """Train a clone of the net.

        Parameters
        ----------
        X : array-like, Dataset or what else the net takes
            Inputs.
        y : array-like of shape (n,)
            Labels, as the net takes them.
        **fit_params : dict
            Passed to the net's fit.

        Returns
        -------
        self
        """
        with UsualSettings():
            self.net_ = clone(self.net).fit(X, y, **fit_params)
        return self

    def outputs(self, X: Any) -> TeacherOutputs:
        """Probabilities and embeddings in one pass.

        Parameters
        ----------
        X : array-like, Dataset or what else the net takes
            Inputs.

        Returns
        -------
        TeacherOutputs
        """
        net = self._net()
        layer, inputs = embedding_layer(net.module_, self.layer)
        with captured(layer, inputs=inputs) as embeddings:
            proba = self._proba(net, X)
        return TeacherOutputs(proba, joined(embeddings, len(proba)))

    def predict_proba(self, X: Any) -> NDArray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like, Dataset or what else the net takes
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n, C)
        """
        return self._proba(self._net(), X)

    def transform(self, X: Any) -> NDArray:
        """Embeddings.

        Parameters
        ----------
        X : array-like, Dataset or what else the net takes
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
        X : array-like, Dataset or what else the net takes
            Inputs.

        Returns
        -------
        y : ndarray of shape (n,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @property
    def classes_(self) -> NDArray:
        """Labels, in the order of the net's columns."""
        return np.asarray(self._net().classes_)

    @property
    def teacher_coef_(self) -> NDArray:
        """Output weights, where the last nn.Linear reads the embedding."""
        if self.layer is not None:
            raise AttributeError(f"teacher_coef_ is unknown for layer={self.layer!r}.")
        return OutputColumns(self.classes_).coef(last_linear(self._net().module_).weight)

    def _proba(self, net: NeuralNet, X: Any) -> NDArray:
        with evaluating(net.module_), autocast(torch.device(net.device), self.dtype):
            return np.asarray(net.predict_proba(X))

    def _net(self) -> NeuralNet:
        net = getattr(self, "net_", self.net)
        if not getattr(net, "initialized_", False):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet, nor is its net: call fit, or pass "
                "a trained net."
            )
        return net

    def __sklearn_is_fitted__(self) -> bool:
        return bool(getattr(getattr(self, "net_", self.net), "initialized_", False))
