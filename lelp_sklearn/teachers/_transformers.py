"""A transformers sequence classifier as a teacher."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor
from tqdm.auto import tqdm

from lelp_sklearn._compat import HasMethods, Interval, StrOptions
from lelp_sklearn._rows import check_texts
from lelp_sklearn.inputs import TokenizerInputs, TokenVectors
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._attention_maps import (
    eager_attention,
    padded,
    token_layers,
    token_states,
    without_padding,
)
from lelp_sklearn.teachers._hooks import (
    as_float,
    autocast,
    captured,
    evaluating,
    joined,
    last_linear,
    moved,
)
from lelp_sklearn.teachers._labels import OutputColumns
from lelp_sklearn.teachers._sharing import SharesWeights


class TransformersTeacher(SharesWeights, ClassifierMixin, BaseEstimator):
    """A trained transformers sequence classifier.

    Parameters
    ----------
    model : transformers model for sequence classification
        Trained. Never copied; clones of the teacher share it.
    tokenizer : transformers tokenizer
        Called on a list of texts.
    classes : array-like of shape (C,), default=None
        Label of each logit, in the model's order. None numbers them 0, 1, ...
    pooling : {"mean", "first", "head"}, default="mean"
        The embedding: the mean of the last hidden states over the tokens that are not padding,
        the first token's, or what the last ``nn.Linear`` of the model reads. Only the last comes
        with ``teacher_coef_``.
    hidden_states : bool or "tokens", default=False
        Whether its answers hold every layer's vector too, for objectives such as
        :class:`HiddenLayers`; see :meth:`hidden`. "tokens": instead the last layer's queries, keys
        and values of every token, side by side, for :class:`TokenRelations`: 12 n ``max_length`` D
        bytes. It needs ``max_length``.
    attention : bool, default=False
        Whether its answers hold the last layer's attention too, for objectives such as
        :class:`AMAD`: 4 n H ``max_length``^2 bytes. It needs ``max_length``.
    batch_size : int, default=64
        Texts a forward pass.
    max_length : int, default=None
        Tokens that a text is cut to. None is the tokenizer's own limit.
    device : str, default="auto"
        Where to compute: "auto" is cuda, mps or cpu. None is where the model is.
    dtype : {"bfloat16", "float16"}, default=None
        Precision of matrix products, by autocast. None is the model's own.
    verbose : int, default=0
        Whether to show a progress bar over the batches.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    teacher_coef_ : ndarray of shape (C, D) or (1, D)
        Weights of the last ``nn.Linear``, with ``pooling="head"``.

    See Also
    --------
    SentenceTransformerTeacher : A sentence encoder and a scikit-learn head.

    Examples
    --------
    >>> from lelp_sklearn.teachers import TransformersTeacher
    >>> name = "distilbert-base-uncased-finetuned-sst-2-english"
    >>> from transformers import AutoModelForSequenceClassification  # doctest: +SKIP
    >>> from transformers import AutoTokenizer  # doctest: +SKIP
    >>> model = AutoModelForSequenceClassification.from_pretrained(name)  # doctest: +SKIP
    >>> tokenizer = AutoTokenizer.from_pretrained(name)  # doctest: +SKIP
    >>> teacher = TransformersTeacher(model, tokenizer)  # doctest: +SKIP
    >>> teacher.predict_proba(["a fine film"]).shape  # doctest: +SKIP
    (1, 2)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "model": [HasMethods(["forward", "named_modules"])],
        "tokenizer": [callable],
        "classes": ["array-like", None],
        "pooling": [StrOptions({"mean", "first", "head"})],
        "hidden_states": ["boolean", StrOptions({"tokens"})],
        "attention": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "device": [str, None],
        "dtype": [StrOptions({"bfloat16", "float16"}), None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        classes: ArrayLike | None = None,
        pooling: str = "mean",
        hidden_states: bool | str = False,
        attention: bool = False,
        batch_size: int = 64,
        max_length: int | None = None,
        device: str | None = "auto",
        dtype: str | None = None,
        verbose: int = 0,
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.classes = classes
        self.pooling = pooling
        self.hidden_states = hidden_states
        self.attention = attention
        self.batch_size = batch_size
        self.max_length = max_length
        self.device = device
        self.dtype = dtype
        self.verbose = verbose

    def fit(self, X: Any = None, y: Any = None) -> TransformersTeacher:
        """Check the parameters; the model comes trained and stays as it is.

        Parameters
        ----------
        X, y : ignored
            Not used.

        Returns
        -------
        self
        """
        self._validate_params()
        return self

    def outputs(self, X: ArrayLike) -> TeacherOutputs:
        """Probabilities, embeddings and what else is asked for, in one pass.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        TeacherOutputs
            Attention and tokens are padded to ``max_length``, so that all batches have the same
            shape.
        """
        return self._outputs(X, self.hidden_states, self.attention)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each class, the soft-max of the logits (the sigmoid of a single one).

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        proba : ndarray of shape (n, C)
        """
        columns = self._columns()
        with self._passes(X) as passes:
            return np.concatenate([columns.proba(output.logits, "logits") for _, output in passes])

    def transform(self, X: ArrayLike) -> NDArray:
        """Embeddings, as ``pooling`` says.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        embeddings : ndarray of shape (n, D)
        """
        embeddings = self._outputs(X).embeddings
        assert embeddings is not None
        return embeddings

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable class of each text.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        y : ndarray of shape (n,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def hidden(self, X: ArrayLike) -> NDArray:
        """Hidden states of every layer, pooled like the embedding ("head": like "mean").

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        hidden : ndarray of shape (n, layers + 1, D)
            The token embeddings come first.
        """
        with self._passes(X, output_hidden_states=True) as passes:
            return torch.cat([self._layers(*batch) for batch in passes]).numpy()

    def attention_maps(self, X: ArrayLike) -> NDArray:
        """Attention weights of every layer and head, O(n L^2) of memory.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        attention : ndarray of shape (n, layers, heads, L, L)
            L is the length of the longest text in tokens; rows and columns of padding are 0.
        """
        with eager_attention(self.model), self._passes(X, output_attentions=True) as passes:
            found = [
                torch.stack([without_padding(tokens, a) for a in output.attentions], dim=1)
                for tokens, output in passes
            ]
        return padded(found, max(weights.shape[-1] for weights in found))

    def token_inputs(self, vectors: TokenVectors | None = None) -> TokenizerInputs:
        """What lets a student read the teacher's own tokens, cut to the same length.

        Parameters
        ----------
        vectors : TokenVectors, default=None
            ``token_vectors(teacher)``, for the student's tokens to start from; None starts at
            random.

        Returns
        -------
        TokenizerInputs
            For a student's ``inputs``.
        """
        return TokenizerInputs(self.tokenizer, max_length=self.max_length, vectors=vectors)

    @property
    def classes_(self) -> NDArray:
        """Sorted labels."""
        return self._columns().classes

    @property
    def teacher_coef_(self) -> NDArray:
        """Output weights, where the last nn.Linear reads the embedding."""
        if self.pooling != "head":
            raise AttributeError(f"teacher_coef_ needs pooling='head', not {self.pooling!r}.")
        return self._columns().coef(last_linear(self.model).weight)

    def _outputs(
        self, X: ArrayLike, hidden_states: bool | str = False, attention: bool = False
    ) -> TeacherOutputs:
        """Probabilities and embeddings, and what else is asked for."""
        if attention and self.max_length is None:
            raise ValueError(
                "attention=True needs max_length, as every text's attention takes H max_length^2 "
                "numbers: set it to the tokens that most texts have, such as 64."
            )
        of_tokens = hidden_states == "tokens"
        if of_tokens and self.max_length is None:
            raise ValueError(
                'hidden_states="tokens" needs max_length, as every text\'s tokens take 3 D '
                "max_length numbers: set it to the tokens that most texts have, such as 64."
            )
        columns, proba, embeddings, hidden, maps = self._columns(), [], [], [], []
        at_head = self.pooling == "head"
        wanted = {}
        if (hidden_states and not of_tokens) or not at_head:
            wanted["output_hidden_states"] = True
        if attention:
            wanted["output_attentions"] = True
        with ExitStack() as stack:
            if attention:
                stack.enter_context(eager_attention(self.model))
            if at_head:
                head = last_linear(self.model)
                embeddings = stack.enter_context(captured(head, inputs=True))
            layers = token_layers(self.model) if of_tokens else []
            parts = [stack.enter_context(captured(layer, inputs=False)) for layer in layers]
            for tokens, output in stack.enter_context(self._passes(X, **wanted)):
                proba.append(columns.proba(output.logits, "logits"))
                if not at_head:
                    mask = tokens.get("attention_mask")
                    embeddings.append(self._pool(output.hidden_states[-1], mask))
                if of_tokens:
                    now = [seen.pop() for seen in parts]
                    hidden.append(token_states(tokens, now, self.max_length or 0))
                elif hidden_states:
                    hidden.append(self._layers(tokens, output))
                if attention:
                    maps.append(without_padding(tokens, output.attentions[-1]))
        found = np.concatenate(proba)
        return TeacherOutputs(
            found,
            joined([embedding.cpu() for embedding in embeddings], len(found)),
            hidden=torch.cat(hidden).numpy() if hidden_states else None,
            attention=padded(maps, self.max_length) if attention else None,
        )

    def _layers(self, tokens: Any, output: Any) -> Tensor:
        """Pooled hidden states of a batch, shape (B, layers + 1, D)."""
        mask = tokens.get("attention_mask")
        return torch.stack([self._pool(h, mask) for h in output.hidden_states], dim=1)

    def _columns(self) -> OutputColumns:
        if self.classes is not None:
            return OutputColumns(self.classes)
        return OutputColumns(np.arange(max(2, self.model.config.num_labels)))

    @contextmanager
    def _passes(self, X: ArrayLike, **wanted: bool) -> Iterator[Iterator[tuple[Any, Any]]]:
        """The tokens and the outputs of each batch; the model is as it was when it is left."""
        self._validate_params()
        texts = check_texts(X)
        size = int(self.batch_size)
        starts = range(0, len(texts), size)

        def passes(device: torch.device) -> Iterator[tuple[Any, Any]]:
            for start in tqdm(starts, desc="teacher", disable=not self.verbose):
                tokens = self.tokenizer(
                    texts[start : start + size],
                    padding=True,
                    truncation=True,
                    max_length=self.max_length,
                    return_tensors="pt",
                ).to(device)
                with autocast(device, self.dtype):
                    output = self.model(**tokens, **wanted, return_dict=True)
                yield tokens, output

        with evaluating(self.model), moved(self.model, self.device) as device:
            yield passes(device)

    def _pool(self, states: Tensor, mask: Tensor | None) -> Tensor:
        states = as_float(states)
        if self.pooling == "first":
            return states[:, 0]
        if mask is None:
            return states.mean(dim=1)
        weight = mask.cpu().to(states.dtype)[:, :, None]
        return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> TransformersTeacher:
        # scikit-learn would copy the weights.
        return type(self)(**self.get_params(deep=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
