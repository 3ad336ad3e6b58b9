"""SimKD: the student predicts with the teacher's own classifier."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, xlogy
from torch import Tensor, nn

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn._torch import as_tensor
from lelp_sklearn.losses import hidden_mse
from lelp_sklearn.objectives._base import weighted_mean
from lelp_sklearn.objectives._regressors import PROJECTORS, make_projector
from lelp_sklearn.objectives._standardized import OnStandardized
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs

_RIDGE = 1e-4  # half the squared weights, so that a sure teacher's do not grow without end


class SimKD(OnStandardized):
    r"""Distillation with the teacher's classifier, used again as it is.

    .. math:: \frac1D \big\| P(s) - t \big\|^2

    The student's embedding s goes through a projector P into the teacher's space, and the teacher's
    last layer, frozen, classifies it there. No label and no probability is in the loss: where the
    projected embeddings are the teacher's, so are the predictions. P stays in the fitted student,
    which costs its parameters and needs no teacher; ``transform`` gives s. It helps where a
    teacher's strength is its embedding, and classes then come for free; a student that misses the
    directions that the classifier reads is better off with ``KD() + SimKD()``.

    Parameters
    ----------
    projector : {"linear", "orthogonal", "mlp", "ensemble"} or None, default="mlp"
        P; see :class:`EmbeddingMatching`. It is all that a linear student trains: "mlp" makes it a
        network, "linear" leaves it linear.
    hidden : int or None, default=None
        Width between the layers of "mlp" and "ensemble"; None is twice D, and less makes a cheaper
        student.

    Attributes
    ----------
    coef_ : ndarray of shape (C, D)
        Weights of the classifier, on standardised embeddings.
    intercept_ : ndarray of shape (C,)
        Its intercepts.
    agreement_ : float
        Share of the training rows for which it predicts the teacher's class. Well below 1, the
        teacher's classes are not linear in these embeddings, and SimKD is not for them.
    scaler_ : StandardScaler
        The teacher's means and scales.

    Raises
    ------
    ValueError
        If the weights that are given fit other embeddings or classes.

    See Also
    --------
    EmbeddingMatching : The same loss with a head of the student's own.

    Notes
    -----
    With ``teacher_coef`` the intercepts are those under which the weights come closest to
    ``teacher_proba``; without, weights and intercepts are: a multinomial logistic regression on the
    probabilities, in effect the teacher's last layer where that is linear. The paper's projector
    has three layers with batch normalisation, and ends in a ReLU, as the features that it aims at
    do.

    References
    ----------
    Chen, Mei, Zhang, Wang, Feng and Chen (2022), Knowledge Distillation with the Reused Teacher
    Classifier, CVPR, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from lelp_sklearn import MLP, SimKD, StudentClassifier, as_teacher
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = as_teacher(MLPClassifier(32, max_iter=30, tol=0.01, random_state=0)).fit(X, y)
    >>> student = StudentClassifier(MLP, objective=SimKD(), max_epochs=10, random_state=0)
    >>> student = student.fit(
    ...     X, y, teacher_proba=teacher.predict_proba(X), teacher_embeddings=teacher.transform(X)
    ... )
    >>> student.score(X, y) > 0.9
    True
    >>> student.objective_.agreement_ > 0.98
    True
    """

    needs = ("embeddings", "proba")
    trains_head = True  # through the classifier that it reuses
    _parameter_constraints: dict = {  # noqa: RUF012
        "projector": [StrOptions(set(PROJECTORS)), None],
        "hidden": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(self, *, projector: str | None = "mlp", hidden: int | None = None):
        self.projector = projector
        self.hidden = hidden

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> SimKD:
        """Take the classifier, or fit one; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        assert teacher.proba is not None
        Z = self._standardized(teacher)
        coef = None
        if teacher.coef is not None:
            coef = _one_row_a_class(teacher.coef, len(classes), Z.shape[1]) * self.scaler_.scale_
        self.coef_, self.intercept_ = reused_classifier(Z, teacher.proba, coef)
        winner = (Z @ self.coef_.T + self.intercept_).argmax(axis=1)
        self.agreement_ = float((winner == teacher.proba.argmax(axis=1)).mean())
        return self

    def head(self, width: int) -> nn.Module:
        """The projector, and the teacher's classifier after it."""
        projector = make_projector(self.projector, width, self.coef_.shape[1], self.hidden)
        self._head = ReusedClassifier(projector, self.coef_, self.intercept_)
        return self._head

    def relink(self, module: nn.Module | None, head: nn.Module) -> None:
        """Take the head of a copied network; see :meth:`Objective.relink`."""
        super().relink(module, head)
        assert isinstance(head, ReusedClassifier)
        self._head = head

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch."""
        projected = self._head.projector(outputs.embedding)
        return weighted_mean(hidden_mse(projected, targets["embedding"]), targets["weight"])


class ReusedClassifier(nn.Module):
    """A projector that is trained, and a linear classifier that is not."""

    weight: Tensor
    bias: Tensor

    def __init__(self, projector: nn.Module, coef: NDArray, intercept: NDArray):
        super().__init__()
        self.projector = projector
        self.register_buffer("weight", as_tensor(coef.astype(np.float32)))
        self.register_buffer("bias", as_tensor(intercept.astype(np.float32)))

    def forward(self, embedding: Tensor) -> Tensor:
        """Class logits."""
        return nn.functional.linear(self.projector(embedding), self.weight, self.bias)


def reused_classifier(
    Z: NDArray, proba: NDArray, coef: NDArray | None = None
) -> tuple[NDArray, NDArray]:
    """Weights (C, D), or those given, and intercepts (C,) that come closest to probabilities.

    The mean divergence KL(p || softmax(W z + b)) is minimised, over b alone where W is given. It
    bears probabilities of exactly 0 and 1, which have no logits.
    """
    n, dim = Z.shape
    n_classes = proba.shape[1]
    proba = proba / proba.sum(axis=1, keepdims=True)
    given = None if coef is None else Z @ coef.T
    entropy = xlogy(proba, proba).sum() / n

    def divergence(flat: NDArray) -> tuple[float, NDArray]:
        b = flat[-n_classes:]
        W = flat[:-n_classes].reshape(n_classes, -1)  # (C, 0) where W is given
        log_p = log_softmax((Z @ W.T if given is None else given) + b, axis=1)
        error = (np.exp(log_p) - proba) / n
        value = entropy - (proba * log_p).sum() / n + _RIDGE / 2 * np.square(W).sum()
        slopes = error.T @ Z + _RIDGE * W if given is None else W
        return value, np.append(slopes.ravel(), error.sum(axis=0)).astype(np.float64)

    start = np.zeros(n_classes * (dim + 1 if given is None else 1))
    found = minimize(divergence, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    if coef is None:
        coef = found[:-n_classes].reshape(n_classes, dim)
    return coef, found[-n_classes:]


def _one_row_a_class(coef: NDArray, n_classes: int, dim: int) -> NDArray:
    """Output weights (C, D); of a binary teacher's one row, that of the second class's log-odds."""
    coef = np.atleast_2d(coef)
    if coef.shape == (1, dim) and n_classes == 2:
        return np.vstack([np.zeros_like(coef), coef])
    if coef.shape != (n_classes, dim):
        raise ValueError(
            f"teacher_coef has shape {coef.shape}; SimKD uses it to classify, and expected one row "
            f"for each of {n_classes} classes and one column for each of {dim} of the embeddings. "
            "Without it the weights are fitted to teacher_proba."
        )
    return coef
