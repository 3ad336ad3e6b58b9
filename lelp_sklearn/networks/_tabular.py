"""A student body for numbers and categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from lelp_sklearn.inputs._table import TableInputs
from lelp_sklearn.inputs._table_rows import Table
from lelp_sklearn.networks._bodies import MLP


class TabularMLP(nn.Module):
    """Embedded categories beside numbers, and fully connected layers on both.

    With ``n_bins`` each number is first encoded piecewise linearly and embedded by a linear layer
    with ReLU of its column's own: a small network then bends where the data do.

    Parameters
    ----------
    n_numeric : int
        Numeric columns; a student fills in this and the next two.
    cardinalities : sequence of int
        Number of codes of each categorical column. The embedding of code 0, which stands for
        missing and unseen values, begins at zero.
    quantiles : array-like of shape (n_numeric, n_quantiles), default=None
        Of each numeric column, from least to greatest; read where ``n_bins`` is positive.
    hidden : int or sequence of int, default=(128, 64)
        Widths of the hidden layers; with () the student is linear in embeddings and numbers.
    dropout : float, default=0.0
        Probability of dropping a hidden unit in training, after each layer.
    n_bins : int, default=0
        Bins of a numeric column, between its quantiles; those of equal ends fall away. Up to 128
        with the quantiles that a student fills in; 0 takes numbers as they are.
    dim : int, default=8
        Width of the embedding of a category and of a numeric column with bins.

    Raises
    ------
    ValueError
        If there are no quantiles for the bins, or fewer than the bins have ends.

    See Also
    --------
    TableInputs : Makes numbers and codes of data frames.

    References
    ----------
    Gorishniy, Rubachev, Babenko (2022), On Embeddings for Numerical Features in Tabular Deep
    Learning, equation 1.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.inputs import Table
    >>> from lelp_sklearn.networks import TabularMLP
    >>> body = TabularMLP(1, cardinalities=(3, 5), quantiles=[[-1.0, 0.0, 1.0]], n_bins=2)
    >>> body(Table(torch.zeros(4, 1), torch.zeros(4, 2).long())).shape
    torch.Size([4, 64])
    """

    reads = TableInputs
    first_codes: Tensor

    def __init__(
        self,
        n_numeric: int,
        cardinalities: Sequence[int],
        quantiles: ArrayLike | None = None,
        hidden: int | Sequence[int] = (128, 64),
        dropout: float = 0.0,
        n_bins: int = 0,
        dim: int = 8,
    ):
        super().__init__()
        # One table for all columns, each with its rows.
        ends = np.cumsum([0, *cardinalities])
        self.register_buffer("first_codes", torch.as_tensor(ends[:-1]))
        self.embedding = nn.Embedding(int(ends[-1]), dim)
        with torch.no_grad():
            self.embedding.weight[self.first_codes] = 0
        self.numeric: nn.Module = nn.Identity()
        if n_bins:
            if quantiles is None:
                raise ValueError(
                    f"n_bins={n_bins} needs quantiles, which a student with TableInputs fills in."
                )
            self.numeric = _PiecewiseLinear(quantiles, n_bins, dim)
        width = n_numeric * (dim if n_bins else 1) + len(cardinalities) * dim
        self.mlp = MLP(width, hidden, dropout)

    def forward(self, X: Table) -> Tensor:
        """Return the activations of the last hidden layer."""
        embedded = self.embedding(X.categories + self.first_codes).flatten(1)
        return self.mlp(torch.cat([self.numeric(X.numeric), embedded], dim=1))


class _PiecewiseLinear(nn.Module):
    """Columns encoded over their bins, and a linear layer with ReLU on each."""

    def __init__(self, quantiles: ArrayLike, n_bins: int, dim: int):
        super().__init__()
        self.encoding = PiecewiseLinearEncoding(quantiles, n_bins)
        n_columns = len(self.encoding.left)
        bound = n_bins**-0.5  # as in nn.Linear
        self.weight = nn.Parameter(torch.empty(n_columns, n_bins, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_columns, dim).uniform_(-bound, bound))

    def forward(self, X: Tensor) -> Tensor:
        encoded = self.encoding(X)
        return (torch.einsum("npt,ptd->npd", encoded, self.weight) + self.bias).relu().flatten(1)


class PiecewiseLinearEncoding(nn.Module):
    """How far a number has come through each bin of its column: 0 before it, 1 behind it.

    The first bin goes on to the left and the last to the right. A bin without width is always 0.
    """

    left: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, quantiles: ArrayLike, n_bins: int):
        super().__init__()
        quantiles = np.asarray(quantiles, dtype=np.float32)
        if not 0 < n_bins < quantiles.shape[1]:
            raise ValueError(
                f"n_bins={n_bins}: expected 0 to {quantiles.shape[1] - 1}, one less than there are "
                "quantiles."
            )
        # Nearest ones, not interpolated: rounding would part edges that are equal.
        at = np.linspace(0, quantiles.shape[1] - 1, n_bins + 1).round().astype(int)
        edges = quantiles[:, at]
        width = np.diff(edges, axis=1)
        there = width > 0
        first = there & (there.cumsum(axis=1) == 1)
        last = there & (there[:, ::-1].cumsum(axis=1)[:, ::-1] == 1)
        scale = np.divide(1, width, where=there, out=np.zeros_like(width))
        bounds = np.where(first, -np.inf, 0), np.where(last, np.inf, 1)
        parts = {"left": edges[:, :-1], "scale": scale, "low": bounds[0], "high": bounds[1]}
        for name, values in parts.items():
            tensor = torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, tensor)

    def forward(self, X: Tensor) -> Tensor:
        """Map (n, p) numbers to (n, p, n_bins)."""
        return ((X[:, :, None] - self.left) * self.scale).clamp(self.low, self.high)
