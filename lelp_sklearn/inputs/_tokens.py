"""Raw texts, by a tokenizer trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import InputTags
from sklearn.utils.validation import check_is_fitted
from torch.nn import functional

from lelp_sklearn._compat import Interval
from lelp_sklearn._rows import check_texts
from lelp_sklearn.inputs._bags import Bags
from lelp_sklearn.inputs._base import Inputs

_SPECIAL = ["[PAD]", "[UNK]"]  # ids 0 and 1
_WORD = "▁"  # leads a token that begins a word
_CHUNK = 10_000  # texts encoded at a time: an encoding is far larger than its ids


class TokenVectors:
    """Vectors of a teacher's tokens, and the tokenizer that splits texts into them.

    Made by :func:`~lelp_sklearn.token_vectors`, for :class:`TokenInputs`. Copies are the object
    itself.

    Parameters
    ----------
    table : ndarray of shape (n_pieces, dim)
        A vector for each id of the tokenizer; kept as float16.
    tokenizer : tokenizers.Tokenizer
        The teacher's.

    Examples
    --------
    >>> import numpy as np
    >>> from tokenizers import Tokenizer
    >>> from tokenizers.models import WordLevel
    >>> from tokenizers.pre_tokenizers import Whitespace
    >>> from lelp_sklearn.inputs import TokenVectors
    >>> tokenizer = Tokenizer(WordLevel({"fine": 0, "film": 1}))
    >>> tokenizer.pre_tokenizer = Whitespace()
    >>> vectors = TokenVectors(np.array([[1.0, 3.0], [0.0, 1.0]]), tokenizer)
    >>> vectors.of(["film", "fine film", ""])
    array([[0. , 1. ],
           [0.5, 2. ],
           [0. , 0. ]], dtype=float32)
    """

    def __init__(self, table: NDArray, tokenizer: Any):
        self.table = np.asarray(table, dtype=np.float16)
        self.tokenizer = tokenizer

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.table.shape[1]

    def of(self, texts: Sequence[str]) -> NDArray:
        """Mean vector of the pieces of each text; zeros for a text without any.

        Parameters
        ----------
        texts : sequence of str
            Words, parts of words or longer texts.

        Returns
        -------
        vectors : ndarray of shape (n_texts, dim), float32
        """
        bags = as_bags(self.tokenizer, texts)
        table = torch.from_numpy(self.table.astype(np.float32))
        means = functional.embedding_bag(
            bags.ids, table, bags.offsets, mode="mean", include_last_offset=True
        )
        return means.numpy()

    def __deepcopy__(self, memo: dict) -> TokenVectors:
        return self

    def __repr__(self) -> str:
        return f"<{len(self.table)} token vectors of dim {self.dim}>"


class TokenInputs(Inputs):
    """Texts as bags of tokens of a byte-pair encoding, which is learnt from the training texts.

    Sennrich et al. (2016), "Neural machine translation of rare words with subword units". Equal
    texts give equal tokens. Id 0 is padding, id 1 a character that no training text had; an empty
    text is an empty bag.

    Parameters
    ----------
    vocab_size : int, default=8000
        Tokens at most; the texts' characters are tokens in any case.
    min_frequency : int, default=2
        How often a pair of neighbouring tokens occurs at least to become a token.
    lowercase : bool, default=True
        Whether letters lose their case.
    max_length : int or None, default=256
        Tokens that a text is cut to; None cuts none.
    vectors : TokenVectors, default=None
        A teacher's, from :func:`~lelp_sklearn.token_vectors`: each token starts as the mean vector
        of the pieces that the teacher's tokenizer splits it into.

    Attributes
    ----------
    tokenizer_ : tokenizers.Tokenizer
        The trained tokenizer.
    n_tokens_ : int
        Size of its vocabulary.

    Raises
    ------
    ImportError
        If tokenizers is not installed.
    TypeError
        If a row is not a string.

    See Also
    --------
    StaticText, TextCNN : Bodies that read tokens.
    TokenizerInputs : Tokens of a teacher's tokenizer.
    SparseInputs : What a TfidfVectorizer gives.

    Notes
    -----
    The vectors are needed in fit alone, and the fitted ``inputs_`` are pickled without. The
    parameter is not: ``student.set_params(inputs__vectors=None)`` makes the pickle small.

    Examples
    --------
    >>> from lelp_sklearn import StudentClassifier, TokenInputs
    >>> texts = ["a fine film", "a dull film", "a fine day", "a dull day"]
    >>> inputs = TokenInputs().fit(texts)
    >>> inputs.read(["a fine dull film", ""]).lengths
    tensor([4, 0], dtype=torch.int32)
    >>> inputs.tokenizer_.encode("A fine film").tokens
    ['▁a', '▁fine', '▁film']
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "vocab_size": [Interval(Integral, 2, None, closed="left")],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "lowercase": ["boolean"],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "vectors": [TokenVectors, None],
    }

    def __init__(
        self,
        *,
        vocab_size: int = 8000,
        min_frequency: int = 2,
        lowercase: bool = True,
        max_length: int | None = 256,
        vectors: TokenVectors | None = None,
    ):
        self.vocab_size = vocab_size
        self.min_frequency = min_frequency
        self.lowercase = lowercase
        self.max_length = max_length
        self.vectors = vectors

    def check(self, student: Any, X: Any, *, reset: bool) -> list[str]:
        """Rows as a list of strings; see :class:`Inputs`. Texts have no columns to compare."""
        return check_texts(X)

    def fit(self, X: list[str]) -> TokenInputs:
        """Train the tokenizer.

        Parameters
        ----------
        X : list of str
            Training texts.

        Returns
        -------
        self
        """
        self._validate_params()
        self.tokenizer_ = self._trained(check_texts(X))
        self.n_tokens_ = self.tokenizer_.get_vocab_size()
        return self

    def read(self, X: list[str]) -> Bags:
        """Tokens of each text."""
        check_is_fitted(self, "tokenizer_")
        return as_bags(self.tokenizer_, check_texts(X))

    def example(self, student: Any) -> Bags:
        """Two rows of one token."""
        return Bags(torch.zeros(2, dtype=torch.int32), torch.arange(3, dtype=torch.int32))

    def body_params(self, student: Any) -> dict[str, Any]:
        """``n_tokens``, and the ``vectors`` that they start from, (n_tokens, dim) or None."""
        return {"n_tokens": self.n_tokens_, "vectors": self._start_vectors()}

    def input_tags(self) -> InputTags:
        """One-dimensional, strings."""
        return InputTags(string=True, two_d_array=False)

    def _trained(self, texts: list[str]) -> Any:
        try:
            from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
        except ImportError as error:
            raise ImportError(
                "TokenInputs needs tokenizers, which is not installed: "
                'pip install "lelp-sklearn[text]".'
            ) from error
        tokenizer = Tokenizer(models.BPE(unk_token=_SPECIAL[1]))
        lowercase = [normalizers.Lowercase()] if self.lowercase else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *lowercase])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Whitespace(), pre_tokenizers.Metaspace(_WORD)]
        )
        # The mark of a word's beginning is a character of its own: with the prefixes or suffixes
        # that the trainer can add, ties between pairs are broken by chance.
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=_SPECIAL,
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer, length=len(texts))
        if self.max_length is not None:
            tokenizer.enable_truncation(self.max_length)
        return tokenizer

    def _start_vectors(self) -> NDArray | None:
        if self.vectors is None:
            return None
        tokens = [self.tokenizer_.id_to_token(i) for i in range(self.n_tokens_)]
        tokens[: len(_SPECIAL)] = [""] * len(_SPECIAL)
        return self.vectors.of([token.removeprefix(_WORD) for token in tokens])

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return state | {"vectors": None} if "tokenizer_" in state else state


def as_bags(tokenizer: Any, texts: Sequence[str], special_tokens: bool = False) -> Bags:
    """Ids of each text's tokens, as int32."""
    ids, lengths = [], [0]
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        encoded = tokenizer.encode_batch_fast(chunk, add_special_tokens=special_tokens)
        rows = [encoding.ids for encoding in encoded]
        ids.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32))
        lengths += map(len, rows)
    offsets = np.cumsum(lengths, dtype=np.int32)
    return Bags(torch.from_numpy(np.concatenate(ids)), torch.from_numpy(offsets))
