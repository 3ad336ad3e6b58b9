"""The two records that flow through everything: what a teacher says, and what a student says."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array
from torch import Tensor

from lelp_sklearn._checks import check_magnitude
from lelp_sklearn._tables import check_same_rows, in_class_order, index_of, row_places

_FLOATS = [np.float64, np.float32]
# Rows of teacher probabilities may miss 1 by this much: enough for float16, too little for logits.
PROBA_TOLERANCE = 1e-2
# 1 minus a sum of probabilities may fall this far below zero.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class TeacherOutputs:
    """A teacher's outputs on n rows; what it does not give is None.

    Attributes
    ----------
    proba : ndarray of shape (n, C) or None
        Class probabilities, columns in the order of the student's ``classes_``.
    embeddings : ndarray of shape (n, D) or None
        Embeddings, any real numbers.
    coef : ndarray of shape (C, D) or (1, D), or None
        Weights of the teacher's linear last layer on the embeddings; the same for all rows.
    hidden : ndarray of shape (n, L, D) or None
        Hidden layers, one vector a layer, first layer first; or, for objectives on tokens, one
        vector a token, those of padding zero.
    attention : ndarray of shape (n, H, Q, K) or None
        Attention of H heads; the rows of padded queries are zero.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn.outputs import TeacherOutputs
    >>> outputs = TeacherOutputs(proba=np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> outputs.given
    ['proba']
    >>> outputs.take([1]).proba
    array([[0.2, 0.8]])
    """

    proba: NDArray | None = None
    embeddings: NDArray | None = None
    coef: NDArray | None = None
    hidden: NDArray | None = None
    attention: NDArray | None = None

    @property
    def given(self) -> list[str]:
        """Names of the row-aligned fields that the teacher gives."""
        names = [f.name for f in fields(self) if f.name != "coef"]
        return [name for name in names if getattr(self, name) is not None]

    def take(self, rows: Any) -> TeacherOutputs:
        """The same fields on some of the rows (indices, mask or slice)."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.given})

    def then(self, other: TeacherOutputs) -> TeacherOutputs:
        """These rows and, after them, another's; of the fields that both give."""
        shared = [name for name in self.given if name in other.given]
        return TeacherOutputs(
            coef=self.coef,
            **{n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in shared},
        )


class BodyOutputs(NamedTuple):
    """What a student's body gives on a batch beside its embedding.

    A body that can be asked for more than an embedding has a method ``outputs`` that returns this
    for a batch; ``hidden`` holds one tensor (B, width) a layer, ``attention`` is of shape
    (B, H, Q, K), and ``mask`` (B, Q) is True for tokens that are not padding. ``tokens`` holds
    vectors of each token, (B, T, width) each: such as its query, its key and its value.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn import MLP
    >>> body = MLP(n_features=4, hidden=[8, 6])
    >>> [tuple(layer.shape) for layer in body.outputs(torch.ones(5, 4)).hidden]
    [(5, 8), (5, 6)]
    """

    embedding: Tensor
    hidden: tuple[Tensor, ...] = ()
    attention: Tensor | None = None
    mask: Tensor | None = None
    tokens: tuple[Tensor, ...] = ()


class StudentOutputs(NamedTuple):
    """A student's outputs on a batch.

    ``logits`` has one column a subclass, class after class, shape (B, sum of S_c); ``embedding``
    is what the body gives and the head reads, shape (B, E). ``hidden``, ``attention``, ``mask`` and
    ``tokens`` are those of :class:`BodyOutputs`, where the objective asks for them; ``view`` is the
    embedding of the other view of the batch that an objective makes in training.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.networks import Linear, StudentNetwork
    >>> network = StudentNetwork(Linear, {}, {}, n_logits=6, example=torch.zeros(2, 4))
    >>> outputs = network(torch.ones(5, 4))
    >>> outputs.logits.shape, outputs.embedding.shape
    (torch.Size([5, 6]), torch.Size([5, 4]))
    """

    logits: Tensor
    embedding: Tensor
    hidden: tuple[Tensor, ...] = ()
    attention: Tensor | None = None
    mask: Tensor | None = None
    tokens: tuple[Tensor, ...] = ()
    view: Tensor | None = None


def check_teacher_outputs(
    proba: ArrayLike | None,
    embeddings: ArrayLike | None,
    n_rows: int,
    classes: NDArray,
    hidden: ArrayLike | None = None,
    attention: ArrayLike | None = None,
    *,
    X: Any = None,
    y: Any = None,
) -> TeacherOutputs:
    """Check arrays from a user against the rows and classes that a student sees.

    Parameters
    ----------
    proba : array-like of shape (n_rows, n_classes) or None
        Probabilities: non-negative, and each row's sum within 0.01 of 1. A table's columns are put
        in the order of the classes, by name.
    embeddings : array-like of shape (n_rows, D) or None
        Embeddings.
    n_rows : int
        Rows of X.
    classes : ndarray
        The student's classes.
    hidden : array-like of shape (n_rows, L, D) or None
        Hidden layers.
    attention : array-like of shape (n_rows, H, Q, K) or None
        Attention.
    X, y : array-like, optional
        The user's rows and labels, whose index the tables may not contradict; that of y, where X
        has none, as after a transformer.

    Returns
    -------
    TeacherOutputs

    Raises
    ------
    ValueError
        Naming both sides of what does not fit.
    """
    whose = "y" if index_of(X) is None else "X"
    for name, values in (("proba", proba), ("embeddings", embeddings)):
        check_same_rows(values, y if whose == "y" else X, f"teacher_{name}", whose=whose)
    if proba is not None:
        proba = in_class_order(proba, classes, "teacher_proba", whose="the student's classes")
        proba = _check_rows(proba, "teacher_proba", n_rows)
        if proba.shape[1] != len(classes):
            raise ValueError(
                f"teacher_proba has {proba.shape[1]} columns, the student sees "
                f"{len(classes)} classes: {classes.tolist()}. Give one column a class, in this "
                "order; a class without a labelled row here may be missing from y."
            )
        proba = check_proba(proba, "teacher_proba")
    if embeddings is not None:
        embeddings = _check_rows(embeddings, "teacher_embeddings", n_rows)
    if hidden is not None:
        hidden = _check_rows(hidden, "teacher_hidden", n_rows, "(n_rows, layers, width)")
    if attention is not None:
        shape = "(n_rows, heads, queries, keys)"
        attention = _check_rows(attention, "teacher_attention", n_rows, shape)
    return TeacherOutputs(proba, embeddings, hidden=hidden, attention=attention)


def check_proba(proba: NDArray, name: str) -> NDArray:
    """Rows of probabilities, each sum within 0.01 of 1; what rounds below 0 is 0 afterwards."""
    off = np.abs(proba.sum(axis=1, dtype=np.float64) - 1)
    negative = (proba < -_ROUNDING).any()
    if negative or (off > PROBA_TOLERANCE).any():
        row = int(proba.min(axis=1).argmin()) if negative else int(off.argmax())
        raise ValueError(
            f"{name} row {row} is {np.round(proba[row], 4).tolist()}: expected probabilities that "
            f"sum to 1 (tolerance {PROBA_TOLERANCE}). Are these logits? Then pass their soft-max."
        )
    return np.maximum(proba, 0) if (proba < 0).any() else proba


def _check_rows(
    values: ArrayLike, name: str, n_rows: int, shape: str = "(n_rows, width)"
) -> NDArray:
    array: NDArray = check_array(values, dtype=_FLOATS, input_name=name, allow_nd=True)
    if array.ndim != shape.count(",") + 1:
        raise ValueError(f"{name} has shape {array.shape}: expected {shape}.")
    if len(array) != n_rows:
        raise ValueError(
            f"{name} has {len(array)} rows and X has {n_rows}: pass one row of the teacher's "
            "output for each row of X, in the same order. Where a sampler before the student "
            "changes the rows, put it before a DistilledClassifier."
        )
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}: expected {shape}, none of them 0.")
    check_magnitude(array, name, np.float32)
    return array


def check_teacher_coef(coef: ArrayLike, classes: NDArray) -> NDArray:
    """Weights of a teacher's last layer: a row a class, or one row for two classes.

    Rows of a frame whose index names the classes are put in the order of these.

    Raises
    ------
    ValueError
        Naming what does not fit.
    """
    places = row_places(coef, classes, "teacher_coef")
    weights = check_array(coef, dtype=_FLOATS, ensure_2d=False, input_name="teacher_coef")
    weights = weights if places is None else weights[places]
    weights = np.atleast_2d(weights)
    n_classes = len(classes)
    if len(weights) != n_classes and not (len(weights) == 1 and n_classes == 2):
        raise ValueError(
            f"teacher_coef has {len(weights)} rows, the student sees {n_classes} classes: "
            f"{classes.tolist()}. Give one row a class, in this order."
        )
    check_magnitude(weights, "teacher_coef", np.float32)
    return weights
