"""Words dropped and swapped."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils._param_validation import InvalidParameterError

from lelp_sklearn import WordAugmenter

TEXTS = ["the film was not too bad", "a waste of time", "one"]
texts_of_words = st.lists(st.text("abé \t\n\x1c\u3000"), min_size=1, max_size=5)


@given(texts_of_words, st.floats(0, 1), st.floats(0, 1))
def test_no_text_is_emptied_and_no_word_made_up(texts, dropout, swap):
    new = WordAugmenter(dropout=dropout, swap=swap, random_state=0).fit(texts).sample(12)
    known = {word for text in texts for word in text.split()}
    assert all(set(text.split()) <= known for text in new)
    some = sum(bool(text.split()) for text in texts)
    rounds, rest = divmod(12, len(texts))
    assert sum(bool(text) for text in new) >= rounds * some
    if some == len(texts):
        assert all(new)
    assert rest < len(texts)


def test_dropout_and_swap_each_do_their_part():
    def sample(**params):
        return WordAugmenter(random_state=0, **params).fit(TEXTS[:1]).sample(300)

    assert set(sample(dropout=0.0, swap=0.0)) == {TEXTS[0]}
    lengths = [len(text.split()) for text in sample(dropout=0.25, swap=0.0)]
    assert np.mean(lengths) == pytest.approx(6 * 0.75, rel=0.05)
    in_order = [w for w in TEXTS[0].split() if w in sample(dropout=0.5, swap=0.0)[0].split()]
    assert sample(dropout=0.5, swap=0.0)[0].split() == in_order
    swapped = sample(dropout=0.0, swap=0.3)
    assert all(sorted(text.split()) == sorted(TEXTS[0].split()) for text in swapped)
    assert np.mean([text == TEXTS[0] for text in swapped]) == pytest.approx(0.7**5, abs=0.06)
    assert set(sample(dropout=1.0, swap=1.0)) == set(TEXTS[0].split())


def test_texts_come_back_in_their_container():
    def new(X):
        return WordAugmenter(random_state=0).fit(X).sample(7)

    expected = new(TEXTS)
    assert isinstance(expected, list)
    assert expected == new(TEXTS)
    assert expected != WordAugmenter(random_state=1).fit(TEXTS).sample(7)
    assert new(np.array(TEXTS, dtype=object)).tolist() == expected
    assert new(np.array(TEXTS)[:, None]).tolist() == [[text] for text in expected]
    assert new(pd.Series(TEXTS)).tolist() == expected
    for frame in (pd.DataFrame({"text": TEXTS}), pl.DataFrame({"text": TEXTS})):
        assert type(new(frame)) is type(frame)
        assert list(new(frame).dtypes) == list(frame.dtypes)
        assert new(frame)["text"].to_list() == expected


def test_errors():
    with pytest.raises(TypeError, match="expected strings"):
        WordAugmenter().fit([1, 2])
    for name in ("dropout", "swap"):
        with pytest.raises(InvalidParameterError, match=name):
            WordAugmenter(**{name: 1.1}).fit(TEXTS)
