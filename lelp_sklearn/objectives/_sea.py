"""SEA: the student learns a reduced embedding of the teacher's, specialised to its data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lelp_sklearn._compat import HasMethods, Interval, StrOptions
from lelp_sklearn._rows import plain_rows
from lelp_sklearn.losses import hidden_mse
from lelp_sklearn.objectives._base import weighted_mean
from lelp_sklearn.objectives._on_embeddings import must_move
from lelp_sklearn.objectives._regressors import PROJECTORS, make_projector
from lelp_sklearn.objectives._standardized import OnStandardized
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs
from lelp_sklearn.subclasses._per_class import seeded_clone
from lelp_sklearn.transfer import STRATEGIES, UNSURE, select_rows


class EmbeddingApproximation(OnStandardized):
    r"""Specialized embedding approximation (SEA): learn a reduced embedding, then put a head on it.

    .. math:: \frac1d \big\| r(s) - \phi(t) \big\|^2

    of the student's embedding s and a reduction :math:`\phi` of the teacher's embedding t to d
    columns, fitted to some of the training rows: only what the teacher tells apart in this data is
    asked of the student. It needs no labels, and knows no classes. A head is trained in a second
    stage, on the body as it is::

        Stages([
            ("embedding", Stage(EmbeddingApproximation())),
            ("head", Stage(KD(), frozen=["body"])),
        ])

    It helps where one small embedding is to serve several tasks, whose heads cost next to nothing
    then. A linear student's embedding is its inputs, and has nothing to learn here.

    Parameters
    ----------
    reducer : {"pca", "umap"}, transformer or None, default="pca"
        phi. The paper found principal components better than UMAP, whose ``transform`` is slow;
        "umap" takes the package umap-learn, its minimal distance at 0.9, for the paper also found
        global structure to matter most. A transformer is cloned, and knows its own number of
        columns. None keeps the teacher's columns.
    n_components : int, default=32
        d for "pca" and "umap"; at most the sampled rows and the teacher's columns for "pca".
    sampler : str, default="random"
        Which rows phi is fitted to, by a strategy of :func:`select_rows` on the standardised
        embeddings and, for "entropy", "margin" and "informed", ``teacher_proba``: "informed" takes
        rows of large entropy more often, "k-means++", "k-center" and "k-dpp" those far apart.
        Where measured, neither "informed" nor "k-dpp" was better than random rows.
    sample_size : int or None, default=None
        How many rows; None is all of them, and the sampler does nothing.
    whiten : bool, default=False
        Whether each column of phi is scaled to variance 1 on the sampled rows. If not, all have
        one scale, which makes their mean variance 1, and the first of "pca" count most.
    projector : {"linear", "orthogonal", "mlp", "ensemble"} or None, default="linear"
        r, left behind after training; see :class:`EmbeddingMatching`. None is the paper's: a body
        of width d, whose last layer must give values of both signs, as no ReLU does.

    Attributes
    ----------
    reducer_ : transformer or None
        The fitted phi, of standardised embeddings.
    sample_ : ndarray of int
        Numbers of the training rows that it was fitted to.
    scaler_ : StandardScaler
        The teacher's means and scales.

    Raises
    ------
    ImportError
        For "umap", if umap-learn is not installed.

    See Also
    --------
    EmbeddingMatching : The whole embedding, beside the classes.
    Stages : One objective after the other.
    select_rows : Chooses rows by the same strategies.

    Notes
    -----
    The paper samples audio by loudness, for which the teacher's entropy stands here, and by a
    determinantal point process of three Markov steps, which "k-dpp" replaces by its greedy mode.

    References
    ----------
    Srivastava, Roy, Cartwright, Bello and Arora (2021), Specialized Embedding Approximation for
    Edge Intelligence, ICASSP, equation 1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from lelp_sklearn import (
    ...     KD, MLP, EmbeddingApproximation, Stage, Stages, StudentClassifier, as_teacher
    ... )
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = as_teacher(MLPClassifier(64, max_iter=30, tol=0.01, random_state=0)).fit(X, y)
    >>> objective = Stages([
    ...     ("embedding", Stage(EmbeddingApproximation(n_components=8), max_epochs=20)),
    ...     ("head", Stage(KD(), max_epochs=15, frozen=["body"])),
    ... ])
    >>> student = StudentClassifier(MLP, objective=objective, random_state=0).fit(
    ...     X, y, teacher_proba=teacher.predict_proba(X), teacher_embeddings=teacher.transform(X)
    ... )
    >>> student.score(X, y) > 0.9
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "reducer": [StrOptions({"pca", "umap"}), HasMethods(["fit", "transform"]), None],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "sampler": [StrOptions(set(STRATEGIES))],
        "sample_size": [Interval(Integral, 2, None, closed="left"), None],
        "whiten": ["boolean"],
        "projector": [StrOptions(set(PROJECTORS)), None],
    }

    def __init__(
        self,
        *,
        reducer: str | BaseEstimator | None = "pca",
        n_components: int = 32,
        sampler: str = "random",
        sample_size: int | None = None,
        whiten: bool = False,
        projector: str | None = "linear",
    ):
        self.reducer = reducer
        self.n_components = n_components
        self.sampler = sampler
        self.sample_size = sample_size
        self.whiten = whiten
        self.projector = projector

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Embeddings, and probabilities for samplers that read them."""
        return ("embeddings", "proba") if self.sampler in UNSURE else ("embeddings",)

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> EmbeddingApproximation:
        """Sample rows and fit phi; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        Z = self._standardized(teacher)
        self.sample_ = self._sample(Z, teacher.proba, random_state)
        Z = Z[self.sample_]
        self.reducer_ = self._make_reducer(Z, random_state)
        if self.reducer_ is not None:
            self.reducer_.fit(Z)
        phi = self._reduced(Z)
        self._mean, variance = phi.mean(axis=0), phi.var(axis=0)
        if not self.whiten:
            variance = np.full_like(variance, variance.mean())
        self._scale = np.sqrt(np.where(variance > 0, variance, 1))
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """The reduced embeddings, centred and scaled."""
        phi = self._reduced(self._standardized(teacher))
        return {"embedding": ((phi - self._mean) / self._scale).astype(np.float32, copy=False)}

    def build(self, student: StudentOutputs) -> nn.Module:
        """The projector."""
        width = student.embedding.shape[1]
        self.module_ = make_projector(self.projector, width, len(self._scale))
        return self.module_

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch."""
        assert self.module_ is not None
        must_move(outputs.embedding, self)
        rows = hidden_mse(self.module_(outputs.embedding), targets["embedding"])
        return weighted_mean(rows, targets["weight"])

    def _sample(self, Z: NDArray, proba: NDArray | None, seed: int) -> NDArray:
        n = len(Z)
        if self.sample_size is None or self.sample_size >= n:
            return np.arange(n)
        proba = proba if self.sampler in UNSURE else None
        rows = select_rows(
            Z, self.sample_size, strategy=self.sampler, proba=proba, random_state=seed
        )
        return np.sort(rows)

    def _make_reducer(self, Z: NDArray, seed: int) -> Any:
        if self.reducer == "pca":
            if not np.ptp(Z, axis=0).any():
                raise ValueError(
                    f"teacher_embeddings are the same in all of {len(Z)} rows: nothing of them can "
                    "be approximated. Check the teacher."
                )
            pca = PCA(min(self.n_components, *Z.shape), random_state=seed)
            return pca.set_output(transform="default")
        if self.reducer == "umap":
            return _umap(self.n_components, len(Z), seed)
        return None if self.reducer is None else seeded_clone(self.reducer, seed)

    def _reduced(self, Z: NDArray) -> NDArray:
        return Z if self.reducer_ is None else plain_rows(self.reducer_.transform(Z))


def _umap(n_components: int, n_rows: int, seed: int) -> Any:
    try:
        with warnings.catch_warnings():
            # Its networks, which need TensorFlow, are not used here.
            warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
            from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "reducer='umap' needs umap-learn: pip install umap-learn, or take reducer='pca'."
        ) from error
    return UMAP(
        n_components=n_components,
        n_neighbors=max(2, min(50, n_rows - 1)),
        min_dist=0.9,
        random_state=seed,
        n_jobs=1,
    )
