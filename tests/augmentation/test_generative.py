"""VAE and GAN: they learn what the rows are like."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone

from lelp_sklearn import GANAugmenter, VAEAugmenter
from lelp_sklearn.augmentation import _training

RNG = np.random.default_rng(0)
Y = np.arange(300) % 3 == 0
X = RNG.standard_normal((300, 2)) * [1.0, 0.2] + np.where(Y[:, None], [6.0, -1.0], [0.0, 1.0])
X[:, 1] += 0.3 * X[:, 0]
VAE = VAEAugmenter(latent_dim=2, max_epochs=60, lr=5e-3, random_state=0)


@pytest.fixture(scope="module")
def vae():
    return clone(VAE).fit(X, Y)


def test_a_vae_learns_means_spreads_and_correlation(vae):
    assert vae.history_[-1] < vae.history_[0] - 0.5
    rows = vae.sample(2000)
    assert_allclose(rows.mean(axis=0), X.mean(axis=0), atol=0.3)
    assert_allclose(rows.std(axis=0), X.std(axis=0), rtol=0.25)
    assert abs(np.corrcoef(rows.T)[0, 1] - np.corrcoef(X.T)[0, 1]) < 0.2


def test_classes_come_as_often_as_they_were(vae):
    new = vae.sample(300)
    assert_allclose(np.mean(new[:, 0] > 3), 1 / 3, atol=0.06)


def test_a_gan_comes_near_the_mean():
    gan = GANAugmenter(max_epochs=60, random_state=0).fit(X, Y)
    assert len(gan.history_) == 60
    assert_allclose(gan.sample(1000).mean(axis=0), X.mean(axis=0), atol=1.0)


@pytest.mark.parametrize("kind", [VAEAugmenter, GANAugmenter])
@pytest.mark.parametrize(
    "changed",
    [{"latent_dim": 3}, {"hidden": 9}, {"max_epochs": 3}, {"batch_size": 20}, {"lr": 0.1}],
    ids=lambda changed: next(iter(changed)),
)
def test_every_parameter_changes_the_rows(kind, changed):
    small = kind(latent_dim=2, hidden=8, max_epochs=2, random_state=0)
    rows = clone(small).fit(X).sample(10)
    assert not np.array_equal(rows, clone(small).set_params(**changed).fit(X).sample(10))


def test_a_large_beta_forgets_the_rows():
    exact = clone(VAE).set_params(beta=0.0, max_epochs=20).fit(X)
    vague = clone(VAE).set_params(beta=100.0, max_epochs=20).fit(X)
    # What the code does not carry, the decoder's deviation has to.
    assert exact.network_.log_sd.mean() < vague.network_.log_sd.mean() - 0.5


def test_the_bound_is_that_of_the_paper():
    # With weights of 0: q(z|x) = p(z), so no divergence, and a decoder of N(0, 1) for each column,
    # whose constant is left out.
    network = _training.VAE(n_columns=2, n_classes=0, hidden=3, latent=2, beta=1.0)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    network.start(1e-3)
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert float(network.step(x, torch.zeros(2, 0))) == pytest.approx(0.5 * (5 + 9) / 2)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    # q(z|x) = N(m, v): KL = (m^2 + v - 1 - log v) / 2 a dimension, m = 2 and log v = 1.
    network.encoder[-1].bias.data = torch.tensor([2.0, 2.0, 1.0, 1.0])
    divergence = (4 + np.e - 1 - 1) / 2 * 2
    loss = float(network.step(x, torch.zeros(2, 0)))
    assert loss == pytest.approx(7 / 2 + divergence, rel=1e-5)


@pytest.mark.parametrize("kind", [VAEAugmenter, GANAugmenter])
def test_constants_stay_and_missing_values_are_an_error(kind):
    constant = np.column_stack([X, np.full(len(X), 7.0)])
    assert (kind(max_epochs=2, random_state=0).fit(constant).sample(9)[:, 2] == 7).all()
    with pytest.raises(ValueError, match="missing values"):
        kind().fit(np.array([[1.0], [np.nan]]))
