"""A text teacher's token embeddings, for a student's tokens to start from."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import nn

from lelp_sklearn.inputs import TokenVectors
from lelp_sklearn.teachers._hooks import as_float
from lelp_sklearn.teachers._text import SentenceTransformerTeacher, load_encoder
from lelp_sklearn.teachers._transformers import TransformersTeacher


def token_vectors(teacher: Any, dim: int | None = 128) -> TokenVectors:
    """Token embeddings of a text teacher, reduced by PCA, as a student's tokens can start from.

    Parameters
    ----------
    teacher : SentenceTransformerTeacher, TransformersTeacher, SentenceTransformer, str or path
        Whose first embedding table is taken; a name or folder is loaded by sentence-transformers.
    dim : int or None, default=128
        Principal components kept; None keeps the table as it is, but for its mean and scale.

    Returns
    -------
    TokenVectors
        For ``TokenInputs(vectors=...)``. Centred; the mean square length of a vector is 1.

    Raises
    ------
    TypeError
        If the teacher has no module with embeddings, or no fast tokenizer.
    ValueError
        If ``dim`` is larger than the width of the table.

    See Also
    --------
    TokenInputs : Gives them to the body.

    Examples
    --------
    >>> from lelp_sklearn import StaticText, StudentClassifier, TokenInputs, token_vectors
    >>> vectors = token_vectors("all-MiniLM-L6-v2", dim=64)  # doctest: +SKIP
    >>> vectors.of(["film", "movie"]).shape  # doctest: +SKIP
    (2, 64)
    >>> student = StudentClassifier(
    ...     StaticText, inputs=TokenInputs(vectors=vectors)
    ... )  # doctest: +SKIP
    """
    module, tokenizer = _parts(teacher)
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(module, nn.Module) or not hasattr(tokenizer, "encode_batch_fast"):
        raise TypeError(
            f"{type(teacher).__name__} has the module {type(module).__name__} and the tokenizer "
            f"{type(tokenizer).__name__}; expected a torch module and a fast tokenizer (of the "
            "package tokenizers), as sentence-transformers' encoders have."
        )
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    table = _table(module, tokenizer.get_vocab_size())
    table = table - table.mean(axis=0)
    if dim is not None:
        if not 1 <= dim <= table.shape[1]:
            raise ValueError(
                f"dim={dim}: expected 1 to {table.shape[1]}, the width of the teacher's vectors."
            )
        pca = PCA(dim, svd_solver="covariance_eigh").set_output(transform="default")
        table = pca.fit_transform(table)
    return TokenVectors(table / np.sqrt((table**2).sum(axis=1).mean()), tokenizer)


def _parts(teacher: Any) -> tuple[Any, Any]:
    """Module and tokenizer."""
    if isinstance(teacher, TransformersTeacher):
        return teacher.model, teacher.tokenizer
    if isinstance(teacher, SentenceTransformerTeacher):
        teacher = teacher._encoder()
    elif isinstance(teacher, (str, os.PathLike)):
        teacher = load_encoder(teacher)
    return teacher, getattr(teacher, "tokenizer", None)


def _table(module: nn.Module, n_pieces: int) -> NDArray:
    """The first table with a row a piece: those of positions are shorter, and come later."""
    tables = [m.weight for m in module.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    fitting = [as_float(weight).numpy() for weight in tables if len(weight) >= n_pieces]
    if not fitting:
        raise TypeError(
            f"{type(module).__name__} has embedding tables of {[len(table) for table in tables]} "
            f"rows, and the tokenizer {n_pieces} pieces; expected a row for each."
        )
    return fitting[0]
