"""Answers from one source, embeddings from another: a teacher that has only half, made whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_array

from lelp_sklearn._checks import check_class_labels
from lelp_sklearn._rows import n_rows
from lelp_sklearn._tables import check_same_rows, check_same_series, in_class_order
from lelp_sklearn.outputs import PROBA_TOLERANCE
from lelp_sklearn.teachers._fitting import is_fitted
from lelp_sklearn.teachers._keys import row_keys


class CompositeTeacher(ClassifierMixin, BaseEstimator):
    """Join a source of probabilities or labels with an encoder: an LLM's answers, say, with MiniLM.

    An array holds one answer for each row of the X given to fit. That X is remembered by its
    content, so any of its rows is answered afterwards, in any order and any fold; an unknown row
    is an error. Rows that are equal share the mean of their answers.

    Parameters
    ----------
    proba : array-like of shape (n, C) or (n,), classifier, or callable
        Probabilities, columns in the order of ``classes``, or of a table by name; or hard labels,
        of shape (n,); or what gives probabilities for rows: a classifier with ``predict_proba``, or
        a function of X.
    embeddings : array-like of shape (n, D), transformer, encoder, or callable
        Embeddings; or what gives them for rows: ``transform``, ``encode``, or a function of X.
    classes : array-like of shape (C,), default=None
        Label of each column of ``proba``. None: a classifier's own, the sorted hard labels, or the
        sorted labels of y in fit.
    confidence : float or array-like of shape (n,), default=1.0
        Of hard labels: the probability of the label, the rest being shared by the other classes.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    proba_, embeddings_ : source
        The source of each: fitted, if it was given unfitted.

    Raises
    ------
    ValueError
        In fit, if arrays and X differ in length; afterwards, if a row is unknown.

    Notes
    -----
    Sources that come fitted are used as they are, and clones share them, as they share the
    answers remembered. Fit fits clones of unfitted ones.

    See Also
    --------
    SentenceTransformerTeacher : An encoder with a head fitted on labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from lelp_sklearn.teachers import CompositeTeacher
    >>> texts = np.array(["a fine film", "a dull film", "what a joy"])
    >>> answers = ["good", "bad", "good"]  # of an LLM, say
    >>> encoder = TfidfVectorizer().fit(texts)
    >>> teacher = CompositeTeacher(
    ...     answers, lambda X: encoder.transform(X).toarray(), confidence=[0.9, 0.6, 0.8]
    ... ).fit(texts)
    >>> teacher.classes_
    array(['bad', 'good'], dtype='<U4')
    >>> teacher.predict_proba(texts[[2, 0]]).round(2)
    array([[0.2, 0.8],
           [0.1, 0.9]])
    """

    def __init__(
        self,
        proba: Any,
        embeddings: Any,
        *,
        classes: ArrayLike | None = None,
        confidence: float | ArrayLike = 1.0,
    ):
        self.proba = proba
        self.embeddings = embeddings
        self.classes = classes
        self.confidence = confidence

    def fit(self, X: Any, y: ArrayLike | None = None) -> CompositeTeacher:
        """Remember whose answers the arrays hold; fit the sources that are not fitted.

        Parameters
        ----------
        X : array-like of n rows
            The rows of the arrays, in their order. Where it remembers a longer X already, of which
            these rows are a part, nothing changes.
        y : array-like of shape (n,), optional
            Labels, for sources that are not fitted, and for ``classes`` if these are not given.

        Returns
        -------
        self
        """
        sources = {"proba": self.proba, "embeddings": self.embeddings}
        arrays = {n: _checked(source, n) for n, source in sources.items() if _is_array(source)}
        for name, source in sources.items():
            if not _is_array(source) and not _asks(source):
                raise TypeError(
                    f"{name} is a {type(source).__name__}; expected an array, an estimator or a "
                    "function."
                )
        if y is not None:
            check_same_series(y, X, "y")
            y = check_class_labels(y)
            if len(y) != n_rows(X):
                raise ValueError(f"y has {len(y)} labels and X has {n_rows(X)} rows: one a row.")
        if arrays and not self._knows(X):
            for name, array in arrays.items():
                if len(array) != n_rows(X):
                    raise ValueError(
                        f"{name} has {len(array)} rows and X has {n_rows(X)}: fit on the rows that "
                        "the arrays belong to, in the same order; then ask for any of them."
                    )
                check_same_rows(sources[name], X, name)
            self._rows = _row_numbers(row_keys(X))
        self.proba_ = _fitted(self.proba, "predict_proba", X, y)
        self.embeddings_ = _fitted(self.embeddings, "transform", X, y)
        labels = self._labels(arrays.get("proba"), y)
        self._order = np.argsort(labels, kind="stable")
        self.classes_ = labels[self._order]
        if "proba" in arrays:
            self._proba = self._answers(self._table(arrays["proba"], labels))
        if "embeddings" in arrays:
            self._embeddings = self._answers(arrays["embeddings"])
        return self

    def predict_proba(self, X: Any) -> NDArray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like
            Rows; for an array of answers, rows among those of fit.

        Returns
        -------
        proba : ndarray of shape (n_rows, C)
        """
        self._check_fitted()
        if _is_array(self.proba):
            return self._proba[self._find(X)]
        ask = getattr(self.proba_, "predict_proba", self.proba_)
        said = ask(X)
        check_same_rows(said, X, "what proba gives")
        return self._sorted(said, self.classes_[np.argsort(self._order)])

    def transform(self, X: Any) -> NDArray:
        """Embeddings.

        Parameters
        ----------
        X : array-like
            Rows; for an array of embeddings, rows among those of fit.

        Returns
        -------
        embeddings : ndarray of shape (n_rows, D)
        """
        self._check_fitted()
        if _is_array(self.embeddings):
            return self._embeddings[self._find(X)]
        embeddings = _encoder(self.embeddings_)(X)
        return embeddings.toarray() if hasattr(embeddings, "toarray") else np.asarray(embeddings)

    def predict(self, X: Any) -> NDArray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like
            Rows.

        Returns
        -------
        y : ndarray of shape (n_rows,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _labels(self, answers: NDArray | None, y: ArrayLike | None) -> NDArray:
        if self.classes is not None:
            return np.asarray(self.classes)
        if hasattr(self.proba_, "classes_"):
            return np.asarray(self.proba_.classes_)
        if answers is not None and answers.ndim == 1:
            return np.unique(answers)
        if y is None:
            raise ValueError(
                "the labels of the columns of proba are not known: pass classes, or y to fit."
            )
        return np.unique(y)

    def _table(self, answers: NDArray, labels: NDArray) -> NDArray:
        """Probabilities of the rows of fit, columns in the order of ``classes_``."""
        if answers.ndim == 2:
            return self._sorted(self.proba, labels)
        confidence = np.broadcast_to(np.asarray(self.confidence, dtype=float), answers.shape)
        if not ((confidence >= 0) & (confidence <= 1)).all():
            raise ValueError(
                f"confidence lies between {confidence.min()} and {confidence.max()}; expected "
                "probabilities, from 0 to 1."
            )
        strange = np.setdiff1d(answers, labels)
        if len(strange) or len(labels) < 2:
            raise ValueError(
                f"proba holds labels {np.unique(answers).tolist()} and classes are "
                f"{labels.tolist()}; expected at least two classes, and all labels among them."
            )
        is_answer = answers[:, None] == self.classes_
        other = (1 - confidence) / (len(labels) - 1)
        return np.where(is_answer, confidence[:, None], other[:, None])

    def _sorted(self, said: Any, labels: NDArray) -> NDArray:
        """Probabilities, a column a label as given, in the order of ``classes_``."""
        proba = np.asarray(in_class_order(said, labels, "proba"))
        return _check_proba(proba, len(labels))[:, self._order]

    def _answers(self, table: NDArray) -> NDArray:
        """One answer a key: the mean over equal rows."""
        numbers = self._rows["numbers"]
        sums = np.zeros((numbers.max() + 1, table.shape[1]))
        np.add.at(sums, numbers, table)
        return sums / np.bincount(numbers)[:, None]

    def _find(self, X: Any) -> NDArray:
        known = self._rows["known"]
        found = [known.get(key.tobytes(), -1) for key in row_keys(X)]
        numbers = np.array(found, dtype=np.intp)
        if (numbers < 0).any():
            row = int((numbers < 0).argmax())
            raise ValueError(
                f"row {row} of X ({int((numbers < 0).sum())} of {len(numbers)}) is not among the "
                f"{len(self._rows['numbers'])} rows that fit saw, so its answer is not known. Pass "
                "rows of that X, unchanged in values, dtype and kind of container; or a "
                "classifier, encoder or function in place of the array."
            )
        return numbers

    def _knows(self, X: Any) -> bool:
        if not hasattr(self, "_rows"):
            return False
        return all(key.tobytes() in self._rows["known"] for key in row_keys(X))

    def _check_fitted(self) -> None:
        if not hasattr(self, "classes_"):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet: call fit with the rows that its "
                "arrays belong to."
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def __sklearn_clone__(self) -> CompositeTeacher:
        # A fold must find the answers that were remembered for all rows.
        params = {name: _share(value) for name, value in self.get_params(deep=False).items()}
        copy = type(self)(**params)
        if hasattr(self, "_rows"):
            copy._rows = self._rows
        return copy


def _is_array(source: Any) -> bool:
    return hasattr(source, "__array__") or isinstance(source, list | tuple) or issparse(source)


def _checked(source: Any, name: str) -> NDArray:
    """An array of numbers (n, width); of ``proba``, one of labels (n,) will do."""
    if name == "proba":
        array = check_array(
            source, dtype=None, ensure_2d=False, ensure_all_finite=False, input_name=name
        )
        if array.ndim == 1:
            return check_class_labels(source, name)
    return check_array(source, dtype=[np.float64, np.float32], input_name=name)


def _asks(source: Any) -> bool:
    if isinstance(source, str):
        return False
    methods = ("predict_proba", "transform", "encode")
    return callable(source) or any(hasattr(source, name) for name in methods)


def _fitted(source: Any, method: str, X: Any, y: ArrayLike | None) -> Any:
    if _is_array(source) or not hasattr(source, method) or is_fitted(source):
        return source
    return clone(source).fit(X, y)


def _share(value: Any) -> Any:
    if hasattr(value, "get_params") and not isinstance(value, type) and not is_fitted(value):
        return clone(value)
    return value


def _encoder(source: Any) -> Callable[[Any], Any]:
    for name in ("transform", "encode"):
        if hasattr(source, name):
            return getattr(source, name)
    return source


def _row_numbers(keys: NDArray) -> dict[str, Any]:
    """A number for each different row, and the number of each row of X."""
    known: dict[bytes, int] = {}
    numbers = [known.setdefault(key.tobytes(), len(known)) for key in keys]
    return {"known": known, "numbers": np.array(numbers, dtype=np.intp)}


def _check_proba(proba: NDArray, n_classes: int) -> NDArray:
    if proba.ndim != 2 or proba.shape[1] != n_classes:
        raise ValueError(
            f"proba has shape {proba.shape}; expected (n, {n_classes}), one column a class."
        )
    if proba.min() < 0 or np.abs(proba.sum(axis=1) - 1).max() > PROBA_TOLERANCE:
        raise ValueError(
            "proba has rows that are negative or do not sum to 1 (tolerance "
            f"{PROBA_TOLERANCE}); expected probabilities. Are these logits? Pass their soft-max."
        )
    return proba
