"""The training of AutoencoderSplitter; the one file here that imports torch, only when used."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor, nn

from lelp_sklearn._torch import UsualSettings, as_tensor, seeded, torch_threads


@UsualSettings()
def train(
    Z: NDArray,
    *,
    widths: list[int],
    n_clusters: int,
    cluster_weight: float,
    epochs: tuple[int, int],
    batch_size: int,
    lr: float,
    seed: int,
) -> tuple[list[tuple[NDArray, NDArray]], NDArray]:
    """Weights and biases of the encoder, and centroids in its code, learned from rows ``Z``."""
    with seeded(seed, torch.device("cpu")), torch_threads(1):
        X = as_tensor(Z.astype(np.float32))
        encoder, decoder = _layers(widths), _layers(widths[::-1])
        weights = [*encoder.parameters(), *decoder.parameters()]
        optimizer = torch.optim.Adam(weights, lr=lr)
        for _ in range(epochs[0]):
            for rows in torch.randperm(len(X)).split(batch_size):
                _step(optimizer, nn.functional.mse_loss(decoder(encoder(X[rows])), X[rows]))
        kmeans = KMeans(n_clusters, n_init=4, random_state=seed).fit(_no_grad(encoder, X).numpy())
        centroids = nn.Parameter(torch.from_numpy(kmeans.cluster_centers_.copy()))
        optimizer = torch.optim.Adam([*weights, centroids], lr=lr)
        for _ in range(epochs[1]):
            target = sharpened(student_t(_no_grad(encoder, X), centroids.detach()))
            for rows in torch.randperm(len(X)).split(batch_size):
                code = encoder(X[rows])
                loss = nn.functional.mse_loss(decoder(code), X[rows])
                log_q = student_t(code, centroids).log()
                kl = nn.functional.kl_div(log_q, target[rows], reduction="batchmean")
                _step(optimizer, loss + cluster_weight * kl)
    linear = [layer for layer in encoder if isinstance(layer, nn.Linear)]
    return (
        [(_numpy(layer.weight), _numpy(layer.bias)) for layer in linear],
        _numpy(centroids),
    )


def student_t(code: Tensor, centroids: Tensor) -> Tensor:
    """Q, shape (n, S): Student's t of one degree of freedom around each centroid."""
    q = 1 / (1 + (code[:, None] - centroids).square().sum(dim=2))
    return q / q.sum(dim=1, keepdim=True)


def sharpened(q: Tensor) -> Tensor:
    """P, shape (n, S): squares of Q over the clusters' sizes, so that no cluster takes all."""
    p = q.square() / q.sum(dim=0)
    return p / p.sum(dim=1, keepdim=True)


def _layers(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _no_grad(encoder: nn.Module, X: Tensor) -> Tensor:
    with torch.no_grad():
        return encoder(X)


def _numpy(values: Tensor) -> NDArray:
    return values.detach().numpy().copy()
