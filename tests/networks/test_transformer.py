"""A small transformer that shows what it attends to."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lelp_sklearn import (
    CrossEntropy,
    HiddenLayers,
    StudentClassifier,
    TextTransformer,
)
from lelp_sklearn.inputs import Bags

rows_of_ids = st.lists(st.lists(st.integers(0, 19), max_size=7), min_size=1, max_size=5)


def bags_of(rows):
    lengths = torch.tensor([0, *map(len, rows)], dtype=torch.int32)
    ids = torch.tensor([*chain(*rows)], dtype=torch.int32)
    return Bags(ids, lengths.cumsum(0, dtype=torch.int32))


@settings(max_examples=20)
@given(rows_of_ids, st.lists(st.integers(0, 19), min_size=1, max_size=15))
def test_padding_changes_nothing(rows, longer):
    body = TextTransformer(20, width=8, n_heads=2).eval()
    alone = torch.cat([body(bags_of([row])) for row in rows])
    torch.testing.assert_close(body(bags_of([*rows, longer]))[:-1], alone)
    assert (body(bags_of([[], longer]))[0] == 0).all()


def test_what_objectives_see():
    body = TextTransformer(20, width=8, n_heads=2, n_layers=3).eval()
    bags = bags_of([[1, 2, 3], [4], []])
    seen = body.outputs(bags)
    torch.testing.assert_close(seen.embedding, body(bags))
    assert seen.mask.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert [tuple(layer.shape) for layer in seen.hidden] == [(3, 8)] * 4
    assert [tuple(part.shape) for part in seen.tokens] == [(3, 3, 8)] * 3
    attention = seen.attention
    assert attention.shape == (3, 2, 3, 3)
    torch.testing.assert_close(attention.sum(dim=3), seen.mask[:, None].expand(3, 2, 3).float())
    assert (attention[1, :, 0, 1:] == 0).all()
    # It is the attention that the last layer mixes values by.
    query, key, value = (part[:1].unflatten(2, (2, 4)).transpose(1, 2) for part in seen.tokens)
    mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(attention[:1] @ value, mixed)


def test_order_and_places_count():
    body = TextTransformer(20, width=8, n_heads=2).eval()
    assert not torch.allclose(body(bags_of([[1, 2]])), body(bags_of([[2, 1]])))


def test_sizes_vectors_and_errors():
    bags = bags_of([[1, 2, 3], []])
    vectors = np.random.default_rng(0).standard_normal((20, 6))
    assert TextTransformer(20)(bags).shape == (2, 128)
    assert TextTransformer(20, n_heads=3, vectors=vectors)(bags).shape == (2, 6)
    mapped = TextTransformer(20, width=8, vectors=vectors)
    assert mapped(bags).shape == (2, 8)
    np.testing.assert_allclose(mapped.table.weight.detach(), vectors, rtol=1e-6)
    assert TextTransformer(20, width=8, n_layers=1).outputs(bags).hidden[-1].shape == (2, 8)
    with pytest.raises(ValueError, match="n_heads=3 does not divide the width 8"):
        TextTransformer(20, width=8, n_heads=3)
    with pytest.raises(ValueError, match="one vector a token"):
        TextTransformer(19, vectors=vectors)


def test_dropout_in_training_only():
    body = TextTransformer(20, width=8, dropout=0.5)
    bags = bags_of([[1, 2, 3]])
    assert not torch.equal(body(bags), body(bags))
    assert torch.equal(body.eval()(bags), body(bags))
    whole = TextTransformer(20, width=8, dropout=0.0)
    torch.testing.assert_close(whole(bags), whole.eval()(bags))


def test_a_student_of_hidden_layers():
    pytest.importorskip("tokenizers", reason="an optional package")
    texts = ["not good but bad", "not bad but good"] * 8
    hidden = np.random.default_rng(0).standard_normal((2, 3, 5))[[0, 1] * 8]
    student = StudentClassifier(
        TextTransformer,
        module__width=8,
        objective=CrossEntropy() + HiddenLayers(),
        max_epochs=10,
        device="cpu",
        random_state=0,
    )
    history = student.fit(texts, [0, 1] * 8, teacher_hidden=hidden).history_
    assert history[-1]["train_hiddenlayers"] < 0.8 * history[0]["train_hiddenlayers"]
