"""Variational information distillation: embeddings predicted with a learned variance a column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

import torch
from torch import Tensor, nn

from lelp_sklearn._compat import Interval, StrOptions
from lelp_sklearn.losses import gaussian_nll
from lelp_sklearn.objectives._base import weighted_mean
from lelp_sklearn.objectives._on_embeddings import must_move
from lelp_sklearn.objectives._regressors import PROJECTORS, make_projector
from lelp_sklearn.objectives._standardized import OnStandardized
from lelp_sklearn.outputs import StudentOutputs

_SMALLEST_VARIANCE = 1e-5


class VID(OnStandardized):
    r"""Variational information distillation: predict embeddings, and how well each column can be.

    .. math::
        \frac1D \sum_d \tfrac12 \Big[ \frac{(t_d - \mu_d(s))^2}{v_d} + \log v_d \Big], \qquad
        v_d = \log(1 + e^{\alpha_d}) + 10^{-5}

    a lower bound of what the student's embedding s tells of the teacher's t, whose columns have
    mean 0 and variance 1 on the training rows. Columns that a small student cannot follow get a
    large variance and stop weighing on it, where a mean squared error insists. It knows no classes:
    add ``KD()``. A linear student's embedding is its inputs, and has nothing to learn here.

    Parameters
    ----------
    projector : {"linear", "orthogonal", "mlp", "ensemble"} or None, default="mlp"
        mu: what maps the student's embedding to the teacher's width; trained beside the student
        and left behind. "mlp" has two layers, the paper three; see :class:`EmbeddingMatching`. Of
        "mlp" and "ensemble" the width between the layers is twice D, but no more than D or 256,
        whichever is larger: it is what VID costs.
    init_variance : float, default=1.0
        The variances' start, above 1e-5: 1 is what a student that knows nothing leaves. The
        paper's 5 belongs to features of any scale, and takes long to fall.

    Attributes
    ----------
    scaler_ : StandardScaler
        The teacher's means and scales.

    See Also
    --------
    EmbeddingMatching : With one variance for all.

    Notes
    -----
    The loss is negative where variances are small. ``history_`` has their mean, ``variance``.

    References
    ----------
    Ahn, Hu, Damianou, Lawrence and Dai (2019), Variational Information Distillation for Knowledge
    Transfer, CVPR, section 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import KD, MLP, VID, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> student = StudentClassifier(
    ...     MLP, objective=KD() + 0.5 * VID(), max_epochs=20, random_state=0
    ... ).fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> student.history_[-1]["train_vid_variance"] < 0.5
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "projector": [StrOptions(set(PROJECTORS)), None],
        "init_variance": [Interval(Real, _SMALLEST_VARIANCE, None, closed="neither")],
    }

    def __init__(self, *, projector: str | None = "mlp", init_variance: float = 1.0):
        self.projector = projector
        self.init_variance = init_variance

    def build(self, student: StudentOutputs) -> nn.Module:
        """The projector and the variances."""
        width, dim = student.embedding.shape[1], self.scaler_.n_features_in_
        hidden = min(2 * dim, max(dim, 256))
        projector = make_projector(self.projector, width, dim, hidden)
        self.module_ = Gaussian(projector, dim, float(self.init_variance))
        return self.module_

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the batch; the mean variance beside it."""
        gaussian = self.module_
        assert isinstance(gaussian, Gaussian)
        must_move(outputs.embedding, self)
        variance = gaussian.variance
        rows = gaussian_nll(gaussian.mean(outputs.embedding), targets["embedding"], variance)
        return weighted_mean(rows, targets["weight"]), {"variance": variance.detach().mean()}


class Gaussian(nn.Module):
    """A mean that is predicted, and a variance a column that is learned."""

    def __init__(self, mean: nn.Module, dim: int, variance: float):
        super().__init__()
        self.mean = mean
        excess = variance - _SMALLEST_VARIANCE
        # The inverse of soft-plus, for large and small values.
        alpha = excess + math.log(-math.expm1(-excess))
        self.alpha = nn.Parameter(torch.full((dim,), alpha))

    @property
    def variance(self) -> Tensor:
        """v, of shape (D,)."""
        return nn.functional.softplus(self.alpha) + _SMALLEST_VARIANCE
