"""Texts with words left out or swapped."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn._compat import Interval
from lelp_sklearn._rows import check_texts
from lelp_sklearn.augmentation._base import Augmenter, in_turns


class WordAugmenter(Augmenter):
    """New texts are given ones with some words left out and some neighbours swapped.

    Parameters
    ----------
    dropout : float, default=0.1
        From 0 to 1, the probability that a word is left out. One word always stays.
    swap : float, default=0.1
        From 0 to 1, the probability that a word changes places with the next, after dropout.
    random_state : int, RandomState or None, default=None
        Seed of the texts.

    Raises
    ------
    TypeError
        If X holds what is no text.

    Notes
    -----
    Words are what white space separates, and are joined by single spaces. An empty text stays.
    A student that reads bags of words does not see a swap; its teacher may.

    References
    ----------
    Wei and Zou (2019), EDA: easy data augmentation techniques for boosting performance on text
    classification tasks, EMNLP: random deletion and swap.

    Examples
    --------
    >>> from lelp_sklearn import WordAugmenter
    >>> texts = ["the film was not too bad", "a waste of time"]
    >>> WordAugmenter(dropout=0.2, swap=0.2, random_state=1).fit(texts).sample(2)
    ['the film not too bad', 'a waste time of']
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **Augmenter._parameter_constraints,
        "dropout": [Interval(Real, 0, 1, closed="both")],
        "swap": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        *,
        dropout: float = 0.1,
        swap: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(random_state=random_state)
        self.dropout = dropout
        self.swap = swap

    def learn(self, X: Any, y: NDArray | None) -> None:
        """Split the texts into words."""
        self.words_ = [text.split() for text in check_texts(X)]

    def draw(self, n_samples: int, rng: np.random.RandomState) -> Any:
        """Each text in turn, changed."""
        rows = in_turns(len(self.words_), n_samples, rng)
        texts = [" ".join(self._changed(self.words_[i], rng)) for i in rows]
        if isinstance(self.X_, list):
            return texts
        if hasattr(self.X_, "columns"):
            frame = type(self.X_)(dict.fromkeys(self.X_.columns, texts))
            return frame.astype(self.X_.dtypes) if hasattr(frame, "iloc") else frame
        return np.array(texts, dtype=object).reshape(-1, *np.shape(self.X_)[1:])

    def _changed(self, words: list[str], rng: np.random.RandomState) -> list[str]:
        if not words:
            return words
        stays = rng.random_sample(len(words)) >= self.dropout
        stays[rng.randint(len(words))] |= not stays.any()
        words = [word for word, kept in zip(words, stays, strict=True) if kept]
        swapped = rng.random_sample(len(words) - 1) < self.swap
        for i in np.flatnonzero(swapped):
            words[i], words[i + 1] = words[i + 1], words[i]
        return words
