"""Rows drawn from a small generative network: a VAE or a GAN."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from lelp_sklearn._compat import Interval
from lelp_sklearn.augmentation._base import Augmenter, in_turns
from lelp_sklearn.augmentation._tables import all_numbers, as_table, assemble, within


class _Generative(Augmenter):
    """What both kinds have in common: standardised numbers, classes as condition."""

    _parameter_constraints: dict = {  # noqa: RUF012
        **Augmenter._parameter_constraints,
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "hidden": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        latent_dim: int = 8,
        hidden: int = 64,
        max_epochs: int = 100,
        batch_size: int = 64,
        lr: float = 1e-3,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(random_state=random_state)
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr

    def learn(self, X: Any, y: NDArray | None) -> None:
        """Train the network."""
        from lelp_sklearn.augmentation._training import train  # torch only where it is needed

        name = type(self).__name__
        self.X_ = as_table(X)
        self.numbers_ = all_numbers(self.X_, name)
        if np.isnan(self.numbers_).any():
            raise ValueError(f"X has missing values; {name} models numbers: impute them first.")
        self.mean_ = self.numbers_.mean(axis=0)
        self.scale_ = self.numbers_.std(axis=0)
        self.scale_[self.scale_ == 0] = 1.0
        codes = np.zeros(len(self.numbers_), np.intp)
        self.condition_ = np.zeros((len(codes), 0))
        if y is not None:
            classes, codes = np.unique(y, return_inverse=True)
            self.condition_ = np.eye(len(classes))[codes]
        self.network_, self.history_ = train(
            self._network(self.numbers_.shape[1], self.condition_.shape[1]),
            (self.numbers_ - self.mean_) / self.scale_,
            self.condition_,
            max_epochs=self.max_epochs,
            batch_size=int(self.batch_size),
            lr=self.lr,
            seed=_seed(check_random_state(self.random_state)),
        )

    def draw(self, n_samples: int, rng: np.random.RandomState) -> Any:
        """Rows of the network, the classes as often as they were."""
        from lelp_sklearn.augmentation._training import generate

        condition = self.condition_[in_turns(len(self.condition_), n_samples, rng)]
        standard = generate(self.network_, condition, _seed(rng))
        numbers = within(self.mean_ + self.scale_ * standard, self.numbers_)
        p = numbers.shape[1]
        return assemble(self.X_, np.zeros((n_samples, p), np.intp), numbers, np.ones(p, bool))

    @abstractmethod
    def _network(self, n_columns: int, n_classes: int) -> Any:
        """The untrained network."""


class VAEAugmenter(_Generative):
    r"""New rows from a small variational autoencoder of the given ones, conditional on the class.

    The columns are standardised. The network maximises the evidence lower bound

    .. math::
        E_{q(z|x)} \log p(x|z) - \beta\, KL(q(z|x) \| N(0, I)),

    with a normal decoder whose standard deviation is learned for each column. New rows are draws
    from that decoder, its noise included, at :math:`z \sim N(0, I)`.

    Parameters
    ----------
    latent_dim : int, default=8
        Width of z.
    hidden : int, default=64
        Width of the hidden layer of encoder and decoder.
    beta : float, default=1.0
        Weight of the divergence; 1 is the lower bound itself.
    max_epochs : int, default=100
        Epochs.
    batch_size : int, default=64
        Rows a step.
    lr : float, default=0.001
        Step size of Adam.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches and rows.

    Attributes
    ----------
    history_ : list of float
        Mean loss a row in each epoch.

    Raises
    ------
    TypeError
        If a column holds no numbers.
    ValueError
        If there are missing values.

    See Also
    --------
    Munge, Mixup : Nothing to train.
    GANAugmenter : Without a likelihood.

    Notes
    -----
    It trains on the CPU, in seconds for thousands of rows. Numbers keep to their column's range,
    integers to integers. Labels given to fit only say which class a row is made in the manner of.

    References
    ----------
    Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR, equation 3. Rybkin,
    Daniilidis and Levine (2021), Simple and effective VAE training with calibrated decoders, ICML:
    the learned deviation.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from lelp_sklearn import VAEAugmenter
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VAEAugmenter(latent_dim=2, max_epochs=20, random_state=0).fit(X, y)
    >>> vae.sample(5).shape
    (5, 4)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **_Generative._parameter_constraints,
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        latent_dim: int = 8,
        hidden: int = 64,
        beta: float = 1.0,
        max_epochs: int = 100,
        batch_size: int = 64,
        lr: float = 1e-3,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(
            latent_dim=latent_dim,
            hidden=hidden,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            random_state=random_state,
        )
        self.beta = beta

    def _network(self, n_columns: int, n_classes: int) -> Any:
        from lelp_sklearn.augmentation._training import VAE

        return lambda: VAE(n_columns, n_classes, self.hidden, self.latent_dim, self.beta)


class GANAugmenter(_Generative):
    """New rows from a small generative adversarial network, conditional on the class; experimental.

    The columns are standardised. A generator turns normal noise into rows; a discriminator learns
    to tell them from given ones, and the generator to be taken for real (the non-saturating loss).

    Parameters
    ----------
    latent_dim : int, default=8
        Width of the noise.
    hidden : int, default=64
        Width of the two hidden layers of generator and discriminator.
    max_epochs : int, default=100
        Epochs.
    batch_size : int, default=64
        Rows a step.
    lr : float, default=0.001
        Step size of Adam, for both.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches and rows.

    Attributes
    ----------
    history_ : list of float
        Mean loss of the generator a row in each epoch; it need not fall.

    Raises
    ------
    TypeError
        If a column holds no numbers.
    ValueError
        If there are missing values.

    See Also
    --------
    VAEAugmenter : Steadier, and the one to try first.

    Notes
    -----
    On few rows it is unsteady and may make rows of few kinds: look at them before using them.
    Numbers keep to their column's range, integers to integers.

    References
    ----------
    Goodfellow et al. (2014), Generative adversarial nets, NIPS, section 3. Mirza and Osindero
    (2014), Conditional generative adversarial nets.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from lelp_sklearn import GANAugmenter
    >>> X, y = load_iris(return_X_y=True)
    >>> gan = GANAugmenter(max_epochs=20, random_state=0).fit(X, y)
    >>> gan.sample(5).shape
    (5, 4)
    """

    def _network(self, n_columns: int, n_classes: int) -> Any:
        from lelp_sklearn.augmentation._training import GAN

        return lambda: GAN(n_columns, n_classes, self.hidden, self.latent_dim)


def _seed(rng: np.random.RandomState) -> int:
    return int(rng.randint(np.iinfo(np.int32).max))
