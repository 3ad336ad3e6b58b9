"""Batches of rows of like lengths, for bodies that pad."""

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from lelp_sklearn import CrossEntropy, StaticText, StudentClassifier, TextCNN
from lelp_sklearn.inputs import Bags
from lelp_sklearn.students import _prediction as prediction
from lelp_sklearn.students._batches import SliceIterator, TensorRows

pytest.importorskip("tokenizers", reason="an optional package")
RNG = np.random.default_rng(0)
TEXTS = [
    " ".join(RNG.choice(["fine", "dull", "film", "joy"], size=n))
    for n in RNG.integers(1, 41, size=80)
]
LABELS = ["fine" in text for text in TEXTS]


def rows(n=640):
    lengths = np.random.default_rng(0).geometric(0.05, size=n)
    ids = torch.arange(n).repeat_interleave(torch.tensor(lengths))  # a row's ids are its number
    return TensorRows(Bags(ids, torch.tensor([0, *lengths.cumsum()])), np.arange(n))


def padding(batches):
    """Share of padded places that hold no id."""
    there = torch.cat([batch[0].padded()[1].flatten() for batch in batches])
    return 1 - there.float().mean().item()


def numbers(batches):
    return [number for batch in batches for number in batch[1].tolist()]


def test_less_padding_and_every_row_once():
    data = rows()
    plain = SliceIterator(data, 16, shuffle=True)
    sorted_ = SliceIterator(data, 16, shuffle=True, by_length=True)
    assert padding(sorted_) < 0.15 < 0.5 < padding(plain)
    first, second = numbers(sorted_), numbers(sorted_)
    assert sorted(first) == list(range(640))
    assert first != second
    means = [batch[0].lengths.float().mean().item() for batch in sorted_]
    assert means != sorted(means)  # the batches' own order is by chance
    for X, y in sorted_:
        assert X.ids.unique().tolist() == sorted(y.tolist())


def test_sorted_in_pools_only(monkeypatch):
    monkeypatch.setattr("lelp_sklearn.students._batches._POOL", 2)
    data = rows()
    share = padding(SliceIterator(data, 16, shuffle=True, by_length=True))
    assert 0.2 < share < padding(SliceIterator(data, 16, shuffle=True))


def test_rows_of_a_subset_and_a_last_batch_of_one():
    batches = list(SliceIterator(Subset(rows(), range(100, 133)), 16, shuffle=True, by_length=True))
    assert sorted(map(len, (batch[1] for batch in batches))) == [16, 17]
    assert sorted(numbers(batches)) == list(range(100, 133))


def test_order_of_the_data_set_without_shuffling():
    assert numbers(SliceIterator(rows(), 16, by_length=True)) == list(range(640))


def student(module, **params):
    return StudentClassifier(
        module,
        objective=CrossEntropy(),
        module__dim=8,
        max_epochs=3,
        batch_size=8,
        random_state=0,
        device="cpu",
        **params,
    )


@pytest.mark.parametrize("instance", [False, True])
def test_students_set_it_for_bodies_that_pad(instance):
    fitted = student(TextCNN, validation_fraction=0.2).fit(TEXTS, LABELS)
    if instance:
        fitted = StudentClassifier(
            fitted.net_.module_.body, objective=CrossEntropy(), max_epochs=1, device="cpu"
        ).fit(TEXTS, LABELS)
    assert fitted.net_.get_params()["iterator_train__by_length"]
    assert "iterator_valid__by_length" not in fitted.net_.get_params()
    off = student(TextCNN, iterator_train__by_length=False).fit(TEXTS, LABELS)
    assert not off.net_.get_params()["iterator_train__by_length"]
    assert (
        "iterator_train__by_length" not in student(StaticText).fit(TEXTS, LABELS).net_.get_params()
    )


def test_predictions_in_the_order_of_the_rows(monkeypatch):
    fitted = student(TextCNN).fit(TEXTS, LABELS)
    one_by_one = np.concatenate([fitted.transform([text]) for text in TEXTS])
    monkeypatch.setattr(prediction, "_PADDED_CHUNK", 7)
    places = []
    body = fitted.net_.module_.body
    body.register_forward_pre_hook(lambda _, args: places.append(args[0].padded()[0].numel()))
    np.testing.assert_allclose(fitted.transform(TEXTS), one_by_one, atol=1e-6)
    in_order = sum(places)
    places.clear()
    monkeypatch.setattr(TextCNN, "pads", False)
    monkeypatch.setattr(prediction, "_CHUNK", 7)
    np.testing.assert_allclose(fitted.transform(TEXTS), one_by_one, atol=1e-6)
    assert in_order < 0.8 * sum(places)
