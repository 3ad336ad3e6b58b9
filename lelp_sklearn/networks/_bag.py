"""A student body for sparse rows: text as TF-IDF or hashed n-grams, one-hot tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lelp_sklearn._numbers import layer_widths
from lelp_sklearn.inputs import Bags, SparseInputs
from lelp_sklearn.networks._bodies import MLP

_SPARSE_FROM = 50_000  # rows of a table: below, updating all of them is faster than finding some


class BagOfNgrams(nn.Module):
    """Weighted sum or mean of a vector for each column that is not zero.

    Joulin et al. (2017), "Bag of tricks for efficient text classification": the first layer of a
    network on sparse rows, which are never made dense.

    Parameters
    ----------
    n_features : int
        Columns of the sparse matrix; a student fills it in.
    dim : int, default=64
        Width of the vectors, and of the embedding where there is no hidden layer.
    mode : {"sum", "mean"}, default="sum"
        "mean" divides by the sum of a row's absolute values: of counts, the mean of the vectors.
    hidden : int or sequence of int, default=()
        Widths of the layers on top; the first one is preceded by a ReLU.
    dropout : float, default=0.0
        Probability of dropping a number of the sum, and of each hidden layer, in training.
    sparse_gradients : bool or "auto", default="auto"
        Whether a step updates only the vectors of the batch's columns (see
        :class:`SparseAdamW`): slower for a small table, much faster for a large one. "auto" does
        from 50,000 columns on. The student's optimizer must take sparse gradients: AdamW, the
        default, and SGD do; most others ask for False.

    Raises
    ------
    ValueError
        If the mode is neither of the two.

    See Also
    --------
    SparseInputs : Reads the matrix.
    MLP : For dense rows.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import HashingVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from lelp_sklearn import BagOfNgrams, CrossEntropy, StudentClassifier
    >>> texts = ["a fine film", "a dull film", "what a joy", "what a bore"]
    >>> student = StudentClassifier(
    ...     BagOfNgrams, module__dim=8, objective=CrossEntropy(), random_state=0
    ... )
    >>> classifier = make_pipeline(HashingVectorizer(ngram_range=(1, 2)), student)
    >>> classifier.fit(texts, ["good", "bad", "good", "bad"]).predict(["a fine joy"])
    array(['good'], dtype='<U4')
    """

    reads = SparseInputs

    def __init__(
        self,
        n_features: int,
        dim: int = 64,
        mode: str = "sum",
        hidden: int | Sequence[int] = (),
        dropout: float = 0.0,
        sparse_gradients: bool | str = "auto",
    ):
        super().__init__()
        if mode not in ("sum", "mean"):
            raise ValueError(f"mode={mode!r}: expected 'sum' or 'mean'.")
        self.mode = mode
        if sparse_gradients == "auto":
            sparse_gradients = n_features >= _SPARSE_FROM
        self.table = nn.EmbeddingBag(
            n_features, dim, mode="sum", sparse=bool(sparse_gradients), include_last_offset=True
        )
        # As small as fastText's: what a column means is learned, not drawn.
        nn.init.uniform_(self.table.weight, -1 / dim, 1 / dim)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.dropout = nn.Dropout(dropout)
        widths = layer_widths(hidden)
        self.layers = MLP(dim, widths, dropout) if widths else None

    def forward(self, bags: Bags) -> Tensor:
        """Return the sum or mean, through the hidden layers."""
        embedding = self.table(bags.ids, bags.offsets, bags.weights)
        if self.mode == "mean":
            embedding = embedding / total_weight(bags)[:, None]
        embedding = self.dropout(embedding + self.bias)
        return embedding if self.layers is None else self.layers(embedding.relu())


def total_weight(bags: Bags) -> Tensor:
    """Sum of the absolute weights of each row; 1 for a row without any."""
    if bags.weights is None:
        return bags.lengths.clamp_min(1)
    total = torch.segment_reduce(bags.weights.abs(), "sum", offsets=bags.offsets.long(), initial=0)
    return torch.where(total > 0, total, 1)
