"""Student bodies for texts as tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lelp_sklearn._numbers import layer_widths
from lelp_sklearn.inputs import Bags, TokenInputs
from lelp_sklearn.networks._bodies import MLP


class StaticText(nn.Module):
    """Mean of the vectors of a text's tokens, whatever their order; zeros for an empty text.

    Iyyer et al. (2015), "Deep unordered composition rivals syntactic methods for text
    classification". It reads millions of texts a minute: the tokenizer takes most of the time.

    Parameters
    ----------
    n_tokens : int
        Size of the vocabulary; a student fills it in.
    dim : int, default=None
        Width of the vectors, and of the embedding where there is no hidden layer. None is the
        width of ``vectors``, or 128 without.
    hidden : int or sequence of int, default=()
        Widths of the layers on top.
    dropout : float, default=0.0
        Probability of dropping a number of the mean, and of each hidden layer, in training.
    vectors : array-like of shape (n_tokens, dim), default=None
        What the tokens' vectors start from; a student fills them in from its ``inputs``. None
        starts at random.

    Raises
    ------
    ValueError
        If the vectors do not fit the vocabulary or ``dim``.

    See Also
    --------
    TokenInputs : Reads the texts.
    token_vectors : Vectors of a teacher's tokens to start from.
    TextCNN : Sees the order of neighbouring tokens.
    BagOfNgrams : For TF-IDF and other sparse rows.

    Examples
    --------
    >>> from lelp_sklearn import CrossEntropy, StaticText, StudentClassifier
    >>> texts = ["a fine film", "a dull film", "what a joy", "what a bore"]
    >>> student = StudentClassifier(
    ...     StaticText, module__dim=8, objective=CrossEntropy(), random_state=0
    ... )
    >>> student.fit(texts, ["good", "bad", "good", "bad"]).predict(["a fine joy"])
    array(['good'], dtype='<U4')
    """

    reads = TokenInputs

    def __init__(
        self,
        n_tokens: int,
        dim: int | None = None,
        hidden: int | Sequence[int] = (),
        dropout: float = 0.0,
        vectors: NDArray | Tensor | None = None,
    ):
        super().__init__()
        start = start_vectors(n_tokens, dim, vectors, default=128)
        self.table = nn.EmbeddingBag.from_pretrained(
            start, freeze=False, mode="mean", include_last_offset=True
        )
        self.dropout = nn.Dropout(dropout)
        self.layers = MLP(start.shape[1], hidden, dropout)

    def forward(self, bags: Bags) -> Tensor:
        """Return the means, through the hidden layers."""
        return self.layers(self.dropout(self.table(bags.ids, bags.offsets)))


class TextCNN(nn.Module):
    """Convolutions over a text's tokens, and the maximum of each channel over the text.

    Kim (2014), "Convolutional neural networks for sentence classification". A window counts where
    it begins within the text, so that padding changes nothing; an empty text is embedded as zeros.

    Parameters
    ----------
    n_tokens : int
        Size of the vocabulary; a student fills it in.
    dim : int, default=None
        Width of the tokens' vectors. None is the width of ``vectors``, or 64 without.
    widths : sequence of int, default=(2, 3, 4)
        Tokens that a convolution sees at a time, one convolution each.
    channels : int, default=64
        Channels of each convolution; the embedding holds them side by side.
    dropout : float, default=0.0
        Probability of dropping a number of the embedding in training.
    vectors : array-like of shape (n_tokens, dim), default=None
        What the tokens' vectors start from; a student fills them in from its ``inputs``. None
        starts at random.

    Raises
    ------
    ValueError
        If the vectors do not fit the vocabulary or ``dim``.

    See Also
    --------
    TokenInputs : Reads the texts.
    StaticText : Faster, and blind to order.

    Notes
    -----
    ``pads``: texts of a batch are padded to the longest, so a student takes its batches from texts
    of like lengths.

    Examples
    --------
    >>> from lelp_sklearn import CrossEntropy, StudentClassifier, TextCNN
    >>> texts = ["not good but bad", "not bad but good"] * 8
    >>> student = StudentClassifier(
    ...     TextCNN, module__channels=8, objective=CrossEntropy(), random_state=0
    ... )
    >>> student.fit(texts, [0, 1] * 8).predict(texts[:2])
    array([0, 1])
    """

    reads = TokenInputs
    pads = True

    def __init__(
        self,
        n_tokens: int,
        dim: int | None = None,
        widths: Sequence[int] = (2, 3, 4),
        channels: int = 64,
        dropout: float = 0.0,
        vectors: NDArray | Tensor | None = None,
    ):
        super().__init__()
        start = start_vectors(n_tokens, dim, vectors, default=64)
        self.widths = tuple(layer_widths(widths))
        self.table = nn.Embedding.from_pretrained(start, freeze=False)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(start.shape[1], channels, width) for width in self.widths
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, bags: Bags) -> Tensor:
        """Return each channel's maximum over the text."""
        ids, there = bags.padded()
        X = (self.table(ids) * there[:, :, None]).transpose(1, 2)
        found = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            # Zeros behind the text let windows begin at its last token.
            windows = convolution(functional.pad(X, (0, width - 1)))
            # Where there is no text there are zeros, which never win against a ReLU's output.
            found.append((windows.relu() * there[:, None, :]).amax(dim=2))
        return self.dropout(torch.cat(found, dim=1))


def start_vectors(
    n_tokens: int, dim: int | None, vectors: NDArray | Tensor | None, default: int
) -> Tensor:
    """The vectors to start from: those given, or random ones of length one."""
    if vectors is None:
        dim = default if dim is None else dim
        return torch.randn(n_tokens, dim) * dim**-0.5
    start = torch.as_tensor(vectors, dtype=torch.float32).clone()
    if start.ndim != 2 or len(start) != n_tokens or dim not in (None, start.shape[1]):
        raise ValueError(
            f"vectors have shape {tuple(start.shape)}; expected ({n_tokens}, "
            f"{'dim' if dim is None else dim}), one vector a token. Leave dim out to take theirs."
        )
    return start
