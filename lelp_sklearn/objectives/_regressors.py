"""Projectors: what maps a student's embedding to the width of a teacher's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PROJECTORS = frozenset({"linear", "orthogonal", "mlp", "ensemble"})
_ENSEMBLE_SIZE = 3


def make_projector(
    kind: str | None, width_in: int, width_out: int, hidden: int | None = None
) -> nn.Module:
    """A projector of a kind.

    Parameters
    ----------
    kind : {"linear", "orthogonal", "mlp", "ensemble"} or None
        "linear" is one linear layer; "orthogonal" one that keeps angles and distances, as far as
        the narrower side can; "mlp" two layers with a ReLU between them; "ensemble" the mean of
        three such; None nothing, for sides of the same width. All but None have biases: targets
        are centred, and embeddings after a ReLU are not. No last ReLU, as targets are of both
        signs; no batch normalisation, as a batch may be one row.
    width_in : int
        Width of the student's embedding.
    width_out : int
        Width of the targets.
    hidden : int, default=None
        Width between the layers of "mlp" and "ensemble"; None is twice that of the targets, which
        narrow ones need.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        For None and different widths.

    References
    ----------
    "orthogonal": Miles et al. (2024), VkD, CVPR. "ensemble": Chen et al. (2022), Improved Feature
    Distillation via Projector Ensemble, NeurIPS.
    """
    if kind is None:
        if width_in != width_out:
            raise ValueError(
                f"the student's embedding has {width_in} columns and its targets have {width_out}: "
                "projector=None needs as many. Set the body's width, such as module__hidden="
                f"{width_out}, or projector='linear'."
            )
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(width_in, width_out)
    if kind == "orthogonal":
        return Orthogonal(width_in, width_out)
    if kind == "mlp":
        return _mlp(width_in, width_out, hidden)
    return Mean(_mlp(width_in, width_out, hidden) for _ in range(_ENSEMBLE_SIZE))


class Orthogonal(nn.Module):
    """A linear map with orthonormal rows or columns, whichever are fewer, and a bias.

    The map is the first factor of a QR decomposition of free weights. torch's own parametrisation
    cannot be pickled.
    """

    def __init__(self, width_in: int, width_out: int):
        super().__init__()
        self.wide = width_out < width_in
        self.raw = nn.Parameter(torch.randn(max(width_in, width_out), min(width_in, width_out)))
        self.bias = nn.Parameter(torch.zeros(width_out))

    @property
    def weight(self) -> Tensor:
        """The map, of shape (width_out, width_in)."""
        Q, R = torch.linalg.qr(self.raw)
        Q = Q * R.diagonal().sign()  # the one of positive diagonal, which moves without jumps
        return Q.T if self.wide else Q

    def forward(self, embedding: Tensor) -> Tensor:
        """Map embeddings."""
        return nn.functional.linear(embedding, self.weight, self.bias)


class Mean(nn.ModuleList):
    """The mean of what its modules give."""

    def forward(self, embedding: Tensor) -> Tensor:
        """Map embeddings."""
        return torch.stack([module(embedding) for module in self]).mean(dim=0)


def _mlp(width_in: int, width_out: int, hidden: int | None) -> nn.Sequential:
    hidden = hidden or 2 * width_out
    return nn.Sequential(nn.Linear(width_in, hidden), nn.ReLU(), nn.Linear(hidden, width_out))
