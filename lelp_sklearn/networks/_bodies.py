"""Student bodies: a batch in, an embedding out. The head is not theirs to know."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lelp_sklearn._numbers import layer_widths
from lelp_sklearn.inputs._arrays import ArrayInputs
from lelp_sklearn.outputs import BodyOutputs


class Linear(nn.Module):
    """The body of a linear student: the inputs are the embedding.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.networks import Linear
    >>> Linear()(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    reads = ArrayInputs

    def forward(self, X: Tensor) -> Tensor:
        """Return the inputs."""
        return X


class MLP(nn.Module):
    """Fully connected layers with ReLU; the last hidden layer is the embedding.

    Parameters
    ----------
    n_features : int
        Width of the inputs; a student fills it in.
    hidden : int or sequence of int, default=64
        Widths of the hidden layers.
    dropout : float, default=0.0
        Probability of dropping a hidden unit in training, after each layer.

    See Also
    --------
    Linear : No hidden layer.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.networks import MLP
    >>> MLP(3, hidden=(16, 8))(torch.ones(2, 3)).shape
    torch.Size([2, 8])
    """

    reads = ArrayInputs

    def __init__(self, n_features: int, hidden: int | Sequence[int] = 64, dropout: float = 0.0):
        super().__init__()
        widths = [n_features, *layer_widths(hidden)]
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout={dropout!r}: expected a probability, from 0 to 1.")
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out), nn.ReLU()]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)

    def forward(self, X: Tensor) -> Tensor:
        """Return the activations of the last hidden layer."""
        return self.layers(X)

    def outputs(self, X: Tensor) -> BodyOutputs:
        """Return the activations of all hidden layers."""
        hidden = []
        for layer in self.layers:
            X = layer(X)
            if isinstance(layer, nn.ReLU):
                hidden.append(X)
        return BodyOutputs(X, tuple(hidden))
