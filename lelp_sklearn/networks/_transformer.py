"""A small transformer for texts, whose attention and tokens can be seen."""

from __future__ import annotations

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lelp_sklearn.inputs import Bags, TokenInputs
from lelp_sklearn.networks._text import start_vectors
from lelp_sklearn.outputs import BodyOutputs


class TextTransformer(nn.Module):
    """Self-attention over a text's tokens, and the mean of what they become.

    Vaswani et al. (2017), "Attention is all you need", with normalisation before each part rather
    than after, and sinusoidal positions, so that texts may be of any length. An empty text is
    embedded as zeros. It shows its attention, its hidden layers and its tokens to objectives that
    look at them.

    Parameters
    ----------
    n_tokens : int
        Size of the vocabulary; a student fills it in.
    width : int, default=None
        Width of tokens and embedding. None is the width of ``vectors``, or 128 without; vectors of
        another width are mapped to it.
    n_heads : int, default=4
        Attention heads, which divide ``width``.
    n_layers : int, default=2
        Layers, each of 12 width^2 weights.
    dropout : float, default=0.1
        Probability of dropping a number of what a layer adds, in training.
    vectors : array-like of shape (n_tokens, dim), default=None
        What the tokens' vectors start from; a student fills them in from its ``inputs``. None
        starts at random.

    Raises
    ------
    ValueError
        If ``n_heads`` does not divide ``width``, or the vectors do not fit the vocabulary.

    See Also
    --------
    TextCNN : Faster, and often as good on few texts.
    TokenizerInputs : The teacher's tokens, which AMAD and TokenRelations need.

    Notes
    -----
    ``pads``: texts of a batch are padded to the longest, so a student takes its batches from texts
    of like lengths. Time and memory grow with the square of the length: ``inputs__max_length``.

    Examples
    --------
    >>> from lelp_sklearn import CrossEntropy, StudentClassifier, TextTransformer
    >>> texts = ["not good but bad", "not bad but good"] * 8
    >>> student = StudentClassifier(
    ...     TextTransformer,
    ...     module__width=16,
    ...     module__n_layers=1,
    ...     objective=CrossEntropy(),
    ...     lr=0.01,
    ...     max_epochs=20,
    ...     random_state=0,
    ... )
    >>> student.fit(texts, [0, 1] * 8).predict(texts[:2])
    array([0, 1])
    """

    reads = TokenInputs
    pads = True

    def __init__(
        self,
        n_tokens: int,
        width: int | None = None,
        n_heads: int = 4,
        n_layers: int = 2,
        dropout: float = 0.1,
        vectors: NDArray | Tensor | None = None,
    ):
        super().__init__()
        start = start_vectors(n_tokens, None if vectors is not None else width, vectors, 128)
        dim = start.shape[1]
        width = dim if width is None else width
        if width % n_heads:
            raise ValueError(f"n_heads={n_heads} does not divide the width {width}.")
        self.table = nn.Embedding.from_pretrained(start, freeze=False)
        self.widen = nn.Identity() if dim == width else nn.Linear(dim, width)
        self.first = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(_Layer(width, n_heads, dropout) for _ in range(n_layers))
        self.last = nn.LayerNorm(width)

    def forward(self, bags: Bags) -> Tensor:
        """Return the mean of the last layer's tokens."""
        return self._run(bags, seen=False).embedding

    def outputs(self, bags: Bags) -> BodyOutputs:
        """Return what objectives see beside the embedding.

        ``hidden`` holds the means of the tokens that go into the first layer and come out of each;
        ``attention``, and ``tokens`` with their queries, keys and values, are the last layer's.
        """
        return self._run(bags, seen=True)

    def _run(self, bags: Bags, seen: bool) -> BodyOutputs:
        ids, there = bags.padded()
        keys = there.clone()
        keys[:, 0] = True  # an empty text attends to padding rather than to nothing
        h = self.widen(self.table(ids))
        h = self.dropout(self.first(h + _positions(h)))
        states = [h]
        for layer in self.layers:
            h, heads = layer(h, keys[:, None, None, :])
            states.append(h)
        embedding = _mean(self.last(h), there)
        if not seen:
            return BodyOutputs(embedding)
        query, key, _ = heads
        scores = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
        attention = scores.masked_fill(~keys[:, None, None, :], -torch.inf).softmax(dim=3)
        return BodyOutputs(
            embedding,
            hidden=tuple(_mean(state, there) for state in states),
            attention=attention * there[:, None, :, None],
            mask=there,
            tokens=tuple(part.transpose(1, 2).flatten(2) for part in heads),
        )


class _Layer(nn.Module):
    """Attention, then two linear layers at each token; each adds to what it read."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(width)
        self.to_heads = nn.Linear(width, 3 * width)
        self.from_heads = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, keys: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """New tokens, and the heads' queries, keys and values, (B, H, T, width / H) each."""
        parts = self.to_heads(self.norm(h)).chunk(3, dim=2)
        heads = tuple(part.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for part in parts)
        query, key, value = heads
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=keys)
        h = h + self.dropout(self.from_heads(mixed.transpose(1, 2).flatten(2)))
        return h + self.dropout(self.feed_forward(h)), heads


def _mean(tokens: Tensor, there: Tensor) -> Tensor:
    """Over the tokens that are there; 0 where none is."""
    weight = there[:, :, None].to(tokens.dtype)
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)


def _positions(h: Tensor) -> Tensor:
    """Sines and cosines of a token's place at many wave lengths, as long as a token's vector."""
    length, width = h.shape[1:]
    half = torch.arange(-(-width // 2), device=h.device, dtype=h.dtype)
    angles = torch.arange(length, device=h.device, dtype=h.dtype)[:, None] * 1e4 ** (
        -2 * half / width
    )
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width] * (2 / width) ** 0.5
