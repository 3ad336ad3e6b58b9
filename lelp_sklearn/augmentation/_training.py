"""The networks behind the generative augmenters, and their training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lelp_sklearn._torch import UsualSettings, seeded

CPU = torch.device("cpu")
_LEAST_LOG_SD = -3.0  # 5% of a column's deviation: one that is known exactly has no likelihood


class VAE(nn.Module):
    """A variational autoencoder with one hidden layer a side, and a normal decoder."""

    def __init__(self, n_columns: int, n_classes: int, hidden: int, latent: int, beta: float):
        super().__init__()
        self.latent, self.beta = latent, beta
        self.encoder = _mlp(n_columns + n_classes, hidden, 2 * latent)
        self.decoder = _mlp(latent + n_classes, hidden, n_columns)
        self.log_sd = nn.Parameter(torch.zeros(n_columns))

    def start(self, lr: float) -> None:
        """Make the optimizer."""
        self.adam = torch.optim.Adam(self.parameters(), lr=lr)

    def step(self, x: Tensor, c: Tensor) -> Tensor:
        """One step on the negative evidence lower bound; its mean over the rows."""
        mean, log_var = self.encoder(torch.cat([x, c], dim=1)).chunk(2, dim=1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        log_sd = self.log_sd.clamp(min=_LEAST_LOG_SD)
        off = (x - self.decoder(torch.cat([z, c], dim=1))) / log_sd.exp()
        unlikely = (0.5 * off.square() + log_sd).sum(dim=1)
        divergence = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1)
        loss = (unlikely + self.beta * divergence).mean()
        _descend(self.adam, loss)
        return loss.detach()

    def generate(self, c: Tensor) -> Tensor:
        """Draws from the decoder."""
        mean = self.decoder(torch.cat([torch.randn(len(c), self.latent), c], dim=1))
        sd = self.log_sd.clamp(min=_LEAST_LOG_SD).exp()
        return mean + sd * torch.randn_like(mean)


class GAN(nn.Module):
    """A generator and a discriminator with two hidden layers each."""

    def __init__(self, n_columns: int, n_classes: int, hidden: int, latent: int):
        super().__init__()
        self.latent = latent
        self.generator = _mlp(latent + n_classes, hidden, n_columns, depth=2)
        self.discriminator = _mlp(n_columns + n_classes, hidden, 1, depth=2)

    def start(self, lr: float) -> None:
        """Make the optimizers."""
        # Less momentum than usual: what the other one does changes the gradient at every step.
        self.adam = torch.optim.Adam(self.generator.parameters(), lr=lr, betas=(0.5, 0.9))
        self.rival = torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=(0.5, 0.9))

    def step(self, x: Tensor, c: Tensor) -> Tensor:
        """One step of the discriminator and one of the generator, whose loss it returns."""
        made = self.generate(c)
        softplus = functional.softplus
        taken = softplus(-self._real(x, c)) + softplus(self._real(made.detach(), c))
        _descend(self.rival, taken.mean())
        loss = softplus(-self._real(made, c)).mean()
        _descend(self.adam, loss)
        return loss.detach()

    def generate(self, c: Tensor) -> Tensor:
        """Rows from noise."""
        return self.generator(torch.cat([torch.randn(len(c), self.latent), c], dim=1))

    def _real(self, x: Tensor, c: Tensor) -> Tensor:
        return self.discriminator(torch.cat([x, c], dim=1))


@UsualSettings()
def train(
    build: Callable[[], Any],
    X: NDArray,
    condition: NDArray,
    *,
    max_epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> tuple[Any, list[float]]:
    """Build a network and train it on standardised rows; the network, and the loss by epoch."""
    x = torch.from_numpy(X.astype(np.float32))
    c = torch.from_numpy(condition.astype(np.float32))
    history = []
    with seeded(seed, CPU):
        network = build()
        network.start(lr)
        for _ in range(max_epochs):
            batches = torch.randperm(len(x)).split(batch_size)
            losses = [network.step(x[rows], c[rows]) * len(rows) for rows in batches]
            history.append(float(torch.stack(losses).sum()) / len(x))
    return network, history


@UsualSettings()
def generate(network: Any, condition: NDArray, seed: int) -> NDArray[np.float64]:
    """Rows of a trained network, one for each condition."""
    with seeded(seed, CPU), torch.no_grad():
        rows = network.generate(torch.from_numpy(condition.astype(np.float32)))
    return rows.numpy().astype(np.float64)


def _mlp(n_in: int, hidden: int, n_out: int, depth: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(n_in, hidden), nn.LeakyReLU(0.2)]
        n_in = hidden
    return nn.Sequential(*layers, nn.Linear(n_in, n_out))


def _descend(adam: torch.optim.Optimizer, loss: Tensor) -> None:
    adam.zero_grad()
    loss.backward()
    adam.step()
