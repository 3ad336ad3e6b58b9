"""Attention of a transformers model, and its tokens, free of padding and of one shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn.teachers._hooks import as_float

# Names of the linear layers in most encoders: BERT's family, DistilBERT, BART's and T5's, DeBERTa,
# ModernBERT.
_PROJECTIONS = (
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("q_proj", "k_proj", "v_proj"),
    ("query_proj", "key_proj", "value_proj"),
    ("Wqkv",),
)


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """The one implementation of attention that gives its weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def without_padding(tokens: Any, weights: Tensor) -> Tensor:
    """Attention (B, H, L, L) whose rows and columns of padding are 0."""
    mask = tokens.get("attention_mask")
    if mask is not None:
        weights = weights * (mask[:, :, None] * mask[:, None, :])[:, None]
    return as_float(weights)


def token_layers(model: Any) -> list[nn.Module]:
    """What makes the last layer's queries, keys and values."""
    layers = {name.rpartition(".")[2]: part for name, part in model.named_modules()}  # the last
    for names in _PROJECTIONS:
        if all(name in layers for name in names):
            return [layers[name] for name in names]
    raise ValueError(
        f"{type(model).__name__} has no layers named {' or '.join(map(', '.join, _PROJECTIONS))}, "
        'which hidden_states="tokens" looks for: pass teacher_hidden, the tokens\' vectors, to the '
        "student's fit."
    )


def token_states(tokens: Any, parts: list[Tensor], length: int) -> Tensor:
    """Vectors side by side, (B, length, sum of widths), those of padding 0."""
    states = torch.cat([as_float(part) for part in parts], dim=2)
    mask = tokens.get("attention_mask")
    if mask is not None:
        states = states * mask.cpu()[:, :, None]
    return nn.functional.pad(states, (0, 0, 0, length - states.shape[1]))


def padded(batches: list[Tensor], length: int | None) -> NDArray:
    """Attention of all batches, with zeros up to a length."""
    assert length is not None
    pad = torch.nn.functional.pad
    return torch.cat([pad(w, (0, length - w.shape[-1]) * 2, value=0.0) for w in batches]).numpy()
