"""Attention weights of a transformers model, free of padding and of one shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lelp_sklearn.teachers._hooks import as_float


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


def padded(batches: list[Tensor], length: int | None) -> NDArray:
    """Attention of all batches, with zeros up to a length."""
    assert length is not None
    pad = torch.nn.functional.pad
    return torch.cat([pad(w, (0, length - w.shape[-1]) * 2, value=0.0) for w in batches]).numpy()
