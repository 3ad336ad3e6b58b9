"""What a fitted student answers, without the teacher."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from lelp_sklearn._torch import UsualSettings, torch_threads
from lelp_sklearn.losses import fold
from lelp_sklearn.outputs import StudentOutputs
from lelp_sklearn.students._net import class_probabilities

_CHUNK = 4096  # rows a forward pass: enough to be fast, little enough to stay in cache
_PADDED_CHUNK = 256  # of a body that pads, whose rows are far larger


# A TransformerMixin here already: set_output reaches the methods of its subclasses alone.
class StudentPrediction(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Predictions of a student whose subclass logits are folded into classes."""

    classes_: NDArray
    inputs_: Any
    net_: Any
    objective_: Any
    n_threads: int | None

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Labels, of the type seen in fit.
        """
        winner = self._forward(X, self._class_proba).argmax(axis=1)
        return self.classes_[winner]

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each class, the sum over its subclasses.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes), float32
            Columns in the order of ``classes_``.
        """
        return self._forward(X, self._class_proba)

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Log-probability of each class, finite where the probability underflows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        log_proba : ndarray of shape (n_rows, n_classes), float32
        """
        return self._class_log_proba(X)

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Log-odds of the second of two classes; log-probabilities where there are more.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        score : ndarray of shape (n_rows,) or (n_rows, n_classes), float32
        """
        log_proba = self._class_log_proba(X)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def predict_subclass_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each subclass of each class.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_rows, sum of the classes' subclasses), float32
            Class after class; rows sum to 1 and a class's block to its probability.
        """
        return self._forward(X, lambda outputs: outputs.logits.softmax(dim=1))

    def transform(self, X: ArrayLike) -> NDArray:
        """Embeddings, the body's output: a student can teach the next one with them.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        embeddings : ndarray of shape (n_rows, width of the body), float32
            The inputs themselves, standardised, for a linear student.
        """
        return self._forward(X, lambda outputs: outputs.embedding)

    @property
    def teacher_coef_(self) -> NDArray:
        """Weights of the head on the embeddings (n_classes, width), for a student that teaches.

        Missing where a class has several logits.
        """
        head = self.net_.module_.head
        if set(self.objective_.n_subclasses_) != {1} or not isinstance(head, nn.Linear):
            raise AttributeError("the head is not one linear logit a class: no weights of classes.")
        return head.weight.detach().cpu().numpy()

    @property
    def _n_features_out(self) -> int:
        return self.net_.module_.width

    def _class_log_proba(self, X: ArrayLike) -> NDArray:
        return self._forward(X, lambda outputs: self._folded(outputs).log_softmax(dim=1))

    def _folded(self, outputs: StudentOutputs) -> Tensor:
        return fold(outputs.logits, self.objective_.n_subclasses_)

    def _class_proba(self, outputs: StudentOutputs) -> Tensor:
        return class_probabilities(outputs.logits, self.objective_.n_subclasses_)

    def _forward(self, X: ArrayLike, read: Callable[[StudentOutputs], Tensor]) -> NDArray:
        if not hasattr(self, "net_"):
            check_is_fitted(self, "net_")
        with UsualSettings():
            return self._computed(X, read)

    def _computed(self, X: ArrayLike, read: Callable[[StudentOutputs], Tensor]) -> NDArray:
        rows = self.inputs_.read(self.inputs_.check(self, X, reset=False))
        module = self.net_.module_
        if module.training:
            module.eval()
        device = self.net_.device
        order = rows.lengths.argsort() if getattr(module.body, "pads", False) else None
        if order is not None:
            rows = rows.index_select(0, order)
        size = _CHUNK if order is None else _PADDED_CHUNK
        chunks = [rows] if len(rows) <= size else rows.split(size)
        with torch_threads(self.n_threads), torch.inference_mode():
            # A name for the outputs would keep them while the next are made: a tenth more time.
            parts = [read(module(chunk.to(device), for_loss=False)).cpu() for chunk in chunks]
            found = parts[0] if len(parts) == 1 else torch.cat(parts)
            found = found if order is None else found[order.argsort()]
            answers = found.numpy()
            # Quicker than torch's sum. Squares of large answers may overflow, and are looked at.
            if not isfinite(np.vdot(answers, answers)):
                _refuse_rows(found)
            return answers


def _refuse_rows(found: Tensor) -> None:
    """Name the first row of what a network answers that is not finite, if there is one."""
    strange = (~found.isfinite()).flatten(1).any(dim=1)
    if strange.any():
        row, n = int(strange.int().argmax()), int(strange.sum())
        others = f", and of {n - 1} other{'s' * (n > 2)}," if n > 1 else ""
        raise ValueError(
            f"the student's answer for row {row} of X{others} is NaN or infinite: numbers in it "
            "are so large, or so far from those in training, that float32 overflows in the "
            "network, or the module itself makes them so. Leave such rows out, or clip their "
            "numbers."
        )
