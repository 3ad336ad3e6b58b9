"""Subclasses as clusters in the code of an autoencoder, learned together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

from lelp_sklearn._compat import Interval
from lelp_sklearn.subclasses._per_class import ClassSplit, PerClassSplitter, subsample


class AutoencoderSplitter(PerClassSplitter):
    r"""Split each class into clusters of a code that is learned for them: DEC, as improved in IDEC.

    The embeddings are standardised on the training rows. Each class has an autoencoder of its own.
    It first learns to reconstruct the class's rows; k-means in its code gives the first centroids
    :math:`m_s`. Then encoder, decoder and centroids learn together: reconstruction plus
    ``cluster_weight`` times :math:`KL(P \| Q)`, where

    .. math::
        q_{is} \propto (1 + \lVert z_i - m_s \rVert^2)^{-1}, \qquad
        p_{is} \propto q_{is}^2 / \textstyle\sum_i q_{is},

    the target P being found anew in each epoch. The split of any row, of any class, is Q to the
    power of :math:`1 / \beta`.

    Parameters
    ----------
    n_subclasses : int, mapping of label to int, or "auto", default="auto"
        Subclasses a class, S. A class with 1 is not split. "auto" is the rule of
        :class:`LELPProjector`, on the standardised embeddings.
    subclass_temperature : float, default=0.3
        beta above 0; 1 is the Student t assignment Q itself, low is sharp.
    n_components : int, default=8
        Width of the code.
    hidden : sequence of int, default=(64,)
        Widths of the encoder's hidden layers; the decoder has them backwards.
    cluster_weight : float, default=0.1
        Weight of the clustering term; 0 is k-means in a plain autoencoder's code.
    pretrain_epochs : int, default=30
        Epochs of reconstruction alone.
    max_epochs : int, default=20
        Epochs of both together.
    batch_size : int, default=256
        Rows a step.
    lr : float, default=0.002
        Step size of Adam.
    max_rows : int or None, default=20000
        Rows a class that it learns from, a draw from the class. None takes all.
    null_space : bool or "auto", default="auto"
        Whether to remove from the embeddings what the teacher's logits already say; see
        :class:`LELPProjector`.
    random_state : int, RandomState or None, default=None
        Seed of the draw, the weights, the batches and k-means.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    n_subclasses_ : ndarray of shape (C,)
        Subclasses of each class.

    Raises
    ------
    ValueError
        If a class has fewer rows than subclasses, or the same embedding in every row, or if there
        is one class only.

    See Also
    --------
    ClusterSplitter : Clusters of the embeddings as they are, or reduced linearly.

    Notes
    -----
    It trains on the CPU; :meth:`transform` needs numpy alone.

    References
    ----------
    Xie, Girshick and Farhadi (2016), Unsupervised deep embedding for clustering analysis, ICML.
    Guo, Gao, Liu and Yin (2017), Improved deep embedded clustering with local structure
    preservation, IJCAI: the reconstruction that keeps clusters from collapsing.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import AutoencoderSplitter
    >>> X, digit = load_digits(return_X_y=True)
    >>> splitter = AutoencoderSplitter(n_subclasses=5, null_space=False, random_state=0)
    >>> splitter.fit_transform(X, digit % 2).shape
    (1797, 10)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **PerClassSplitter._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden": ["array-like"],
        "cluster_weight": [Interval(Real, 0, None, closed="left")],
        "pretrain_epochs": [Interval(Integral, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "max_rows": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        n_subclasses: int | Mapping[Any, int] | str = "auto",
        subclass_temperature: float = 0.3,
        n_components: int = 8,
        hidden: Sequence[int] = (64,),
        cluster_weight: float = 0.1,
        pretrain_epochs: int = 30,
        max_epochs: int = 20,
        batch_size: int = 256,
        lr: float = 0.002,
        max_rows: int | None = 20_000,
        null_space: bool | str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_subclasses = n_subclasses
        self.subclass_temperature = subclass_temperature
        self.n_components = n_components
        self.hidden = hidden
        self.cluster_weight = cluster_weight
        self.pretrain_epochs = pretrain_epochs
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.max_rows = max_rows
        self.null_space = null_space
        self.random_state = random_state

    def _fit_class(self, Z: NDArray, label: Any, n_subclasses: int, seed: int) -> ClassSplit:
        from lelp_sklearn.subclasses._dec import train  # torch only where it is used

        layers, centroids = train(
            subsample(Z, self.max_rows, seed),
            widths=[Z.shape[1], *self.hidden, self.n_components],
            n_clusters=n_subclasses,
            cluster_weight=self.cluster_weight,
            epochs=(self.pretrain_epochs, self.max_epochs),
            batch_size=int(self.batch_size),
            lr=self.lr,
            seed=seed,
        )
        return CodeSplit(layers, centroids)


class CodeSplit:
    """Student t assignments to centroids of the code of an encoder with ReLU layers."""

    def __init__(self, layers: list[tuple[NDArray, NDArray]], centroids: NDArray):
        self.layers = layers
        self.centroids = centroids
        self.n_subclasses = len(centroids)

    def code(self, Z: NDArray) -> NDArray:
        """Rows encoded."""
        *hidden, (weight, bias) = self.layers
        for W, b in hidden:
            Z = np.maximum(Z @ W.T + b, 0)
        return Z @ weight.T + bias

    def log_proba(self, Z: NDArray) -> NDArray:
        """Logarithm of Q up to a constant a row."""
        return -np.log1p(euclidean_distances(self.code(Z), self.centroids, squared=True))
