"""Bodies that read tokens."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn import StaticText, TextCNN
from lelp_sklearn.inputs import Bags

rows_of_ids = st.lists(st.lists(st.integers(0, 19), max_size=7), min_size=1, max_size=6)
VECTORS = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)


def bags_of(rows):
    lengths = torch.tensor([0, *map(len, rows)], dtype=torch.int32)
    ids = torch.tensor([*chain(*rows)], dtype=torch.int32)
    return Bags(ids, lengths.cumsum(0, dtype=torch.int32))


@given(rows_of_ids)
def test_static_text_is_the_mean_of_vectors(rows):
    found = StaticText(20, vectors=VECTORS)(bags_of(rows))
    expected = [VECTORS[row].mean(axis=0) if row else np.zeros(5) for row in rows]
    torch.testing.assert_close(found, torch.tensor(np.array(expected), dtype=torch.float32))


@given(rows_of_ids)
def test_order_of_tokens_is_for_the_cnn_to_see(rows):
    body = StaticText(20, dim=3)
    turned = [row[::-1] for row in rows]
    torch.testing.assert_close(body(bags_of(rows)), body(bags_of(turned)))
    cnn = TextCNN(20, dim=3, channels=8)
    row = [[1, 2, 3, 4]]
    assert not torch.allclose(cnn(bags_of(row)), cnn(bags_of([row[0][::-1]])))


@given(rows_of_ids, st.lists(st.integers(0, 19), min_size=1, max_size=15))
def test_padding_changes_nothing(rows, longer):
    cnn = TextCNN(20, dim=3, widths=(2, 5), channels=4).eval()
    alone = torch.cat([cnn(bags_of([row])) for row in rows])
    together = cnn(bags_of([*rows, longer]))[:-1]
    torch.testing.assert_close(together, alone)
    assert (cnn(bags_of([[], longer]))[0] == 0).all()


def test_a_window_by_hand():
    cnn = TextCNN(3, dim=1, widths=(2,), channels=1, vectors=[[0.0], [1.0], [10.0]])
    with torch.no_grad():
        cnn.convolutions[0].weight.copy_(torch.tensor([[[1.0, -1.0]]]))
        cnn.convolutions[0].bias.zero_()
        # Differences of neighbours, zero behind the text: the last token counts as it is.
        assert cnn(bags_of([[1, 2], [2, 1], [1]])).flatten().tolist() == [10, 9, 1]


def test_sizes():
    bags = bags_of([[1, 2, 3], []])
    assert StaticText(20)(bags).shape == (2, 128)
    assert StaticText(20, dim=7)(bags).shape == (2, 7)
    assert StaticText(20, dim=7, hidden=(6, 3))(bags).shape == (2, 3)
    assert StaticText(20, vectors=VECTORS, hidden=4)(bags).shape == (2, 4)
    assert TextCNN(20)(bags).shape == (2, 192)
    assert TextCNN(20).table.weight.shape == (20, 64)
    assert TextCNN(20, dim=7, widths=[3], channels=5)(bags).shape == (2, 5)
    assert TextCNN(20, vectors=VECTORS).table.weight.shape == (20, 5)


@pytest.mark.parametrize("body", [StaticText, TextCNN])
def test_dropout_in_training_only(body):
    bags = bags_of([[1, 2, 3]])
    dropped = body(20, dropout=0.5)
    assert (dropped(bags) == 0).any()
    assert torch.equal(dropped.eval()(bags), dropped(bags))
    layered = StaticText(20, dim=4, hidden=64, dropout=0.5)
    assert any(isinstance(part, torch.nn.Dropout) for part in layered.layers.modules())


@pytest.mark.parametrize("body", [StaticText, TextCNN])
def test_vectors_are_trained_in_a_copy(body):
    vectors = torch.tensor(VECTORS)
    network = body(20, vectors=vectors)
    assert network.table.weight.requires_grad
    with torch.no_grad():
        network.table.weight.zero_()
    assert vectors.any()


@pytest.mark.parametrize("body", [StaticText, TextCNN])
@pytest.mark.parametrize(("n_tokens", "dim"), [(20, 6), (19, None)])
def test_vectors_that_do_not_fit(body, n_tokens, dim):
    with pytest.raises(ValueError, match=r"vectors have shape \(20, 5\); expected"):
        body(n_tokens, dim, vectors=VECTORS)
