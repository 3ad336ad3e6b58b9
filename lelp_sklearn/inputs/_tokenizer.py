"""Texts as the tokens of a tokenizer that is given."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from lelp_sklearn._compat import Interval
from lelp_sklearn._rows import check_texts
from lelp_sklearn.inputs._bags import Bags
from lelp_sklearn.inputs._tokens import TokenInputs, TokenVectors, as_bags

_NO_LIMIT = 10**9  # transformers says "no limit" by a number beyond


class TokenizerInputs(TokenInputs):
    """Texts as bags of tokens of a tokenizer that is given, with its special tokens.

    For objectives that compare token with token, :class:`AMAD` and :class:`TokenRelations`: the
    student then reads the very tokens that the teacher did.
    :meth:`TransformersTeacher.token_inputs` makes it.

    Parameters
    ----------
    tokenizer : fast transformers tokenizer, or tokenizers.Tokenizer
        Trained. Fitting copies it.
    max_length : int or None, default=None
        Tokens that a text is cut to, special ones too; None is the tokenizer's own limit.
    vectors : TokenVectors, default=None
        Of the same tokenizer, from :func:`~lelp_sklearn.token_vectors`: what the tokens start from.

    Attributes
    ----------
    tokenizer_ : tokenizers.Tokenizer
        The copy, which cuts texts and does not pad them.
    n_tokens_ : int
        Size of its vocabulary.

    Raises
    ------
    TypeError
        If the tokenizer is none of the package tokenizers, or a row is not a string.
    ValueError
        If there are fewer vectors than tokens.

    See Also
    --------
    TokenInputs : Trains a tokenizer on the student's own texts, which is smaller.
    TextTransformer : Reads tokens.

    Examples
    --------
    >>> from tokenizers import Tokenizer
    >>> from tokenizers.models import WordLevel
    >>> from tokenizers.pre_tokenizers import Whitespace
    >>> from lelp_sklearn import TokenizerInputs
    >>> tokenizer = Tokenizer(WordLevel({"fine": 0, "film": 1}))
    >>> tokenizer.pre_tokenizer = Whitespace()
    >>> inputs = TokenizerInputs(tokenizer, max_length=2).fit(["fine film"])
    >>> inputs.read(["film", "fine fine film"]).ids
    tensor([1, 0, 0], dtype=torch.int32)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "tokenizer": "no_validation",
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "vectors": [TokenVectors, None],
    }

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        vectors: TokenVectors | None = None,
    ):
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.vectors = vectors

    def read(self, X: list[str]) -> Bags:
        """Tokens of each text."""
        check_is_fitted(self, "tokenizer_")
        return as_bags(self.tokenizer_, check_texts(X), special_tokens=True)

    def _trained(self, texts: list[str]) -> Any:
        fast = getattr(self.tokenizer, "backend_tokenizer", self.tokenizer)
        if not hasattr(fast, "encode_batch_fast"):
            raise TypeError(
                f"the tokenizer is a {type(self.tokenizer).__name__}; expected one of the package "
                "tokenizers, or a fast one of transformers (use_fast=True), which holds such."
            )
        own = type(fast).from_str(fast.to_str())
        own.no_padding()
        limit = self.max_length
        if hasattr(self.tokenizer, "model_max_length"):  # of transformers, whose last call it keeps
            own.no_truncation()
            limit = self.tokenizer.model_max_length if limit is None else limit
        if limit is not None and limit < _NO_LIMIT:
            side = getattr(self.tokenizer, "truncation_side", "right")
            own.enable_truncation(int(limit), direction=side)
        return own

    def _start_vectors(self) -> NDArray | None:
        if self.vectors is None:
            return None
        if len(self.vectors.table) < self.n_tokens_:
            raise ValueError(
                f"there are {len(self.vectors.table)} token vectors, and the tokenizer has "
                f"{self.n_tokens_} tokens: take both from the same teacher."
            )
        return self.vectors.table[: self.n_tokens_]
