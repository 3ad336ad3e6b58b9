"""Texts as tokens of a tokenizer trained on them."""

import copy
import pickle
import sys
from itertools import chain

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lelp_sklearn import (
    CrossEntropy,
    DistilledClassifier,
    LELPStudentClassifier,
    StaticText,
    StudentClassifier,
    TokenInputs,
)
from lelp_sklearn.inputs import Bags, TokenVectors

pytest.importorskip("tokenizers", reason="an optional package")
from tokenizers import Tokenizer, models, pre_tokenizers

GOOD = ["a fine film", "what a joy", "a warm, lovely and funny story", "great fun"]
BAD = ["a dull film", "what a bore", "a cold, awful and endless mess", "no fun"]
TEXTS, LABELS = (GOOD + BAD) * 3, (["good"] * 4 + ["bad"] * 4) * 3


def student(cls=StudentClassifier, **params):
    own = {"objective": CrossEntropy()} if cls is StudentClassifier else {}
    own |= {"module__dim": 8, "max_epochs": 40, "lr": 0.03, "random_state": 0, "device": "cpu"}
    return cls(StaticText, **own | params)


def word_vectors():
    words = ["fine", "film", "dull", "joy", "?"]
    ids = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return TokenVectors(np.eye(5, 8), tokenizer)


def tokens(inputs, text):
    return inputs.tokenizer_.encode(text).tokens


def test_ids_of_padding_unknown_and_empty_texts():
    inputs = TokenInputs().fit(TEXTS)
    bags = inputs.read(["∀", "", "a fine film"])
    assert bags.lengths.tolist() == [2, 0, 3]  # the mark of a word's beginning is known
    assert bags.ids.tolist()[1] == 1
    assert bags.ids.dtype == bags.offsets.dtype == torch.int32
    assert inputs.tokenizer_.id_to_token(0) == "[PAD]"
    assert inputs.n_tokens_ == inputs.tokenizer_.get_vocab_size()
    assert TokenInputs().fit(["", ""]).read(["", "x"]).lengths.tolist()[0] == 0


def test_equal_texts_give_equal_tokenizers():
    texts = [" ".join(f"w{i * j % 97}" for j in range(20)) for i in range(50)]
    first, second = (TokenInputs(vocab_size=60).fit(texts).tokenizer_.to_str() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("container", [list, np.array, pd.Series, pl.Series, pd.DataFrame])
def test_any_column_of_strings(container):
    fitted = student(max_epochs=1).fit(container(TEXTS), LABELS)
    assert fitted.predict(container(TEXTS[:2])).shape == (2,)


def test_vocab_size_and_min_frequency():
    n_letters = len(set("▁" + "".join(TEXTS).replace(" ", "")))
    assert TokenInputs(vocab_size=2).fit(TEXTS).n_tokens_ == 2 + n_letters
    assert TokenInputs(vocab_size=2 + n_letters + 5).fit(TEXTS).n_tokens_ == 2 + n_letters + 5
    frequent = TokenInputs(min_frequency=6).fit(TEXTS)
    assert tokens(frequent, "fun film") == ["▁fun", "▁film"]  # six times each
    assert len(tokens(frequent, "joy")) > 1  # three times


def test_lowercase():
    texts = ["A Fine Film", "a fine film"] * 2
    assert tokens(TokenInputs().fit(texts), "A FINE film") == ["▁a", "▁fine", "▁film"]
    kept = TokenInputs(lowercase=False).fit(texts)
    assert tokens(kept, "A Fine film") == ["▁A", "▁Fine", "▁film"]


def test_max_length():
    text = ["fine " * 300]
    assert TokenInputs().fit(TEXTS).read(text).lengths.tolist() == [256]
    assert TokenInputs(max_length=7).fit(TEXTS).read(text).lengths.tolist() == [7]
    assert TokenInputs(max_length=None).fit(TEXTS).read(text).lengths.tolist() == [300]


def test_more_texts_than_are_encoded_at_a_time(monkeypatch):
    inputs = TokenInputs().fit(TEXTS)
    whole = inputs.read(TEXTS)
    monkeypatch.setattr("lelp_sklearn.inputs._tokens._CHUNK", 5)
    parts = inputs.read(TEXTS)
    assert torch.equal(whole.ids, parts.ids)
    assert torch.equal(whole.offsets, parts.offsets)


def test_tokens_start_from_the_teachers_vectors():
    vectors = word_vectors()
    inputs = TokenInputs(vectors=vectors).fit(TEXTS)
    known = inputs.body_params(None)
    assert known["n_tokens"] == inputs.n_tokens_
    assert known["vectors"].shape == (inputs.n_tokens_, 8)
    fine = inputs.tokenizer_.token_to_id("▁fine")
    np.testing.assert_array_equal(known["vectors"][fine], np.eye(5, 8)[0])
    np.testing.assert_array_equal(known["vectors"][:2], 0)
    fitted = student(inputs=inputs, lr=1e-9, max_epochs=1).fit(TEXTS, LABELS)
    start = fitted.net_.module_.body.table.weight[fine]
    np.testing.assert_allclose(start.detach(), np.eye(5, 8)[0], atol=1e-6)
    assert TokenInputs().fit(TEXTS).body_params(None)["vectors"] is None


def test_copies_share_vectors_and_fitted_inputs_are_pickled_without():
    vectors = word_vectors()
    inputs = TokenInputs(vectors=vectors)
    assert clone(inputs).vectors is vectors
    assert copy.deepcopy(vectors) is vectors
    loaded = pickle.loads(pickle.dumps(inputs)).vectors
    np.testing.assert_array_equal(loaded.of(["fine film"]), vectors.of(["fine film"]))
    assert pickle.loads(pickle.dumps(inputs.fit(TEXTS))).vectors is None
    assert repr(vectors) == "<5 token vectors of dim 8>"
    fitted = student(inputs=inputs).fit(TEXTS, LABELS)
    assert b"TokenVectors" not in pickle.dumps(fitted.set_params(inputs__vectors=None))


@given(st.lists(st.lists(st.sampled_from(["fine", "film", "dull", "joy"]), max_size=6), min_size=1))
def test_vectors_of_texts_are_means(rows):
    vectors = word_vectors()
    order = {"fine": 0, "film": 1, "dull": 2, "joy": 3}
    expected = [
        np.mean([vectors.table[order[w]] for w in row], axis=0) if row else np.zeros(8)
        for row in rows
    ]
    found = vectors.of([" ".join(row) for row in rows])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_student_of_texts_is_an_estimator_like_others():
    fitted = student().fit(TEXTS, LABELS)
    assert fitted.score(TEXTS, LABELS) == 1
    assert fitted.predict_proba([""]).sum() == pytest.approx(1)
    assert fitted.transform(TEXTS).shape == (24, 8)
    assert not hasattr(fitted, "n_features_in_")
    assert fitted.__sklearn_tags__().input_tags.string
    assert not fitted.__sklearn_tags__().input_tags.two_d_array
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        clone(fitted).fit(TEXTS, LABELS),
    ):
        np.testing.assert_array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    more = fitted.partial_fit(["a new film"], ["good"])
    assert more.inputs_.n_tokens_ == fitted.inputs_.n_tokens_


def test_inside_a_distilled_classifier():
    teacher = make_pipeline(CountVectorizer(), LogisticRegression())
    model = DistilledClassifier(teacher, student(LELPStudentClassifier), cv=2)
    model.set_params(student__projector__n_subclasses=2)
    model.fit(TEXTS, LABELS, X_unlabeled=["a fine story", "an awful bore"])
    assert model.score(TEXTS, LABELS) > 0.8


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ("one text", "in brackets"),
        (["a", None], "None .NoneType. in row 1"),
        ([1.0, 2.0], "1.0 .float. in row 0"),
        (np.eye(2), r"shape \(2, 2\)"),
    ],
)
def test_rows_that_are_no_texts(X, words):
    fitted = student(max_epochs=1).fit(TEXTS, LABELS)
    with pytest.raises((TypeError, ValueError), match=words):
        fitted.predict(X)
    with pytest.raises((TypeError, ValueError), match=words):
        student().fit(X, ["a", "b"])


def test_errors_of_the_inputs():
    with pytest.raises(NotFittedError):
        TokenInputs().read(TEXTS)
    with pytest.raises(ValueError, match="vocab_size"):
        TokenInputs(vocab_size=0).fit(TEXTS)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r'pip install "lelp-sklearn\[text\]"'):
        TokenInputs().fit(TEXTS)


rows_of_ids = st.lists(st.lists(st.integers(1, 50), max_size=6), min_size=1, max_size=6)


@given(rows_of_ids, st.integers(1, 9))
def test_padding_and_back(rows, at_least):
    lengths = torch.tensor([0, *map(len, rows)])
    bags = Bags(torch.tensor([*chain(*rows)], dtype=torch.int64), lengths.cumsum(0))
    ids, there = bags.padded(at_least, padding=99)
    assert ids.shape == (len(rows), max(at_least, *map(len, rows), 1))
    assert [row[mask].tolist() for row, mask in zip(ids, there, strict=True)] == rows
    assert (ids[~there] == 99).all()
