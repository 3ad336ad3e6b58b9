"""Texts through a sentence encoder: each once, beside others of its length, and in bf16."""

from __future__ import annotations

import logging
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from lelp_sklearn.teachers._hooks import autocast, evaluating, has_bf16

logger = logging.getLogger(__name__)

# Of several lengths, as rounding errors grow with neither length nor batch alone.
_PROBE = [
    "Good.",
    "What a fine, warm and funny film!",
    "The service was slow, the food was cold, and nobody said sorry.",
    "It begins as a quiet story about two brothers who run a shop by the sea, and turns, scene by "
    "scene, into one of the strangest and most moving things that I have seen in years.",
]
_CLOSE = 0.9999  # the cosine at which embeddings count as equal
_bf16_is_close: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def encode(
    encoder: Any, texts: list[str], *, batch_size: int, dtype: str | None, verbose: int
) -> NDArray:
    """Embeddings (n, D) in float32, each distinct text encoded once.

    Texts go in order of their number of tokens, so that batches hold little padding: for batches
    of 32 sentences of film reviews it adds 7 %, where an order by characters adds 30 %.
    """
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    distinct = list(place)
    order = np.argsort(-_lengths(encoder, distinct), kind="stable")
    starts = range(0, len(distinct), batch_size)
    batches = []
    with evaluating(encoder), autocast(torch.device(encoder.device), dtype):
        for start in tqdm(starts, desc="Batches", disable=not verbose):
            some = [distinct[i] for i in order[start : start + batch_size]]
            batches.append(encoder.encode(some, batch_size=batch_size, show_progress_bar=False))
    found = np.concatenate(batches)
    embeddings = np.empty(found.shape, np.float32)
    embeddings[order] = found
    if len(distinct) == len(texts):
        return embeddings
    return embeddings[[place[text] for text in texts]]


def bf16_pays(encoder: Any) -> bool:
    """Whether the encoder's device multiplies in bfloat16, and the embeddings stay what they are.

    A few sentences are encoded both ways, once an encoder. Time is not measured: it would make
    results depend on what else the machine does.
    """
    if not has_bf16(torch.device(encoder.device)):
        return False
    if encoder not in _bf16_is_close:
        exact, rounded = (
            encode(encoder, _PROBE, batch_size=len(_PROBE), dtype=dtype, verbose=0)
            for dtype in (None, "bfloat16")
        )
        norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
        cosine = float(((exact * rounded).sum(axis=1) / norms).min())
        _bf16_is_close[encoder] = cosine > _CLOSE
        if not cosine > _CLOSE:
            logger.info(
                "encoding in float32: in bfloat16 a probe's embedding has cosine %.5f to it, not "
                "above %s",
                cosine,
                _CLOSE,
            )
    return _bf16_is_close[encoder]


def _lengths(encoder: Any, texts: list[str]) -> NDArray:
    """Tokens of each text; characters where the encoder has no tokenizer of its own."""
    tokenizer = getattr(encoder, "tokenizer", None)
    if not callable(tokenizer):
        return np.array([len(text) for text in texts])
    return np.array([len(ids) for ids in tokenizer(texts, truncation=True)["input_ids"]])
