"""Matching the teacher's embeddings, row by row or batch by batch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from lelp_sklearn._compat import StrOptions
from lelp_sklearn.losses import cosine_distance, hidden_mse, log_sum
from lelp_sklearn.objectives._base import weighted_mean
from lelp_sklearn.objectives._on_embeddings import must_move
from lelp_sklearn.objectives._regressors import PROJECTORS, make_projector
from lelp_sklearn.objectives._standardized import OnStandardized
from lelp_sklearn.outputs import StudentOutputs


class EmbeddingMatching(OnStandardized):
    r"""Predict the teacher's embedding from the student's: FitNets' hints, and kin.

    .. math:: \frac1D \big\| r(s) - t \big\|^2

    of the student's embedding s, a projector r that is trained beside it and left behind, and the
    teacher's embedding t, whose columns have mean 0 and variance 1 on the training rows: a loss of
    1 is that of knowing nothing. It knows no classes: the head learns them from what is added,
    ``KD() + EmbeddingMatching()``, or in a later stage. It helps a student that is wide enough to
    hold what the teacher knows, and can hurt one that is not. A linear student's embedding is its
    inputs, and has nothing to learn here.

    Parameters
    ----------
    kind : {"mse", "cosine", "log_sum"}, default="mse"
        "cosine" is one less the cosine, which leaves lengths free; it needs two columns or more.
        "log_sum" is the logarithm of the summed fourth powers of differences, both sides normalised
        over the batch; it falls far below 0 as they match, and goes with a small weight.
    projector : {"linear", "orthogonal", "mlp", "ensemble"} or None, default="linear"
        What maps the student's embedding to the teacher's width. "orthogonal" is linear and keeps
        angles, so that the student itself, not the projector, must take the teacher's shape; "mlp"
        asks the least of the student; "ensemble" is the mean of three such; None needs a body of
        the teacher's width.

    Attributes
    ----------
    scaler_ : StandardScaler
        The teacher's means and scales.

    See Also
    --------
    VID : With a learned variance a column.
    CKA : Without a projector.
    EmbeddingApproximation : A reduced embedding, to be followed by a head.

    Notes
    -----
    FitNets halves the sum of squares, here a mean over the columns, and trains on hints first and
    on probabilities then: ``Stages([("hint", Stage(EmbeddingMatching())), ("kd", Stage(KD()))])``.
    Row weights count in all three; with "log_sum" not in the batch's normalisation.

    References
    ----------
    Romero et al. (2015), FitNets: Hints for Thin Deep Nets, ICLR, arXiv:1412.6550, equation 3.
    "log_sum": Miles and Mikolajczyk (2024), Understanding the Role of the Projector in Knowledge
    Distillation, AAAI. "orthogonal": Miles et al. (2024), VkD: Improving Knowledge
    Distillation using Orthogonal Projections, CVPR. "ensemble": Chen et al. (2022), Improved
    Feature Distillation via Projector Ensemble, NeurIPS; there of layers with a last ReLU, which
    centred targets rule out.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import KD, MLP, EmbeddingMatching, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> student = StudentClassifier(MLP, objective=KD() + EmbeddingMatching(), random_state=0)
    >>> student = student.fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> student.history_[-1]["train_embeddingmatching"] < 0.2  # of a variance of 1
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "kind": [StrOptions({"mse", "cosine", "log_sum"})],
        "projector": [StrOptions(set(PROJECTORS)), None],
    }

    def __init__(self, *, kind: str = "mse", projector: str | None = "linear"):
        self.kind = kind
        self.projector = projector

    def build(self, student: StudentOutputs) -> nn.Module:
        """The projector."""
        width = student.embedding.shape[1]
        if self.kind == "cosine" and self.scaler_.n_features_in_ == 1:
            raise ValueError(
                "teacher_embeddings has one column, where a cosine is 1 or -1 whatever the "
                'student does: nothing can be learned from it. Use kind="mse".'
            )
        self.module_ = make_projector(self.projector, width, self.scaler_.n_features_in_)
        return self.module_

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch; for "log_sum" of the batch."""
        assert self.module_ is not None
        must_move(outputs.embedding, self)
        projected = self.module_(outputs.embedding)
        teacher, weight = targets["embedding"], targets["weight"]
        if self.kind == "log_sum":
            return log_sum(projected, teacher, weight)
        rows = (hidden_mse if self.kind == "mse" else cosine_distance)(projected, teacher)
        return weighted_mean(rows, weight)
