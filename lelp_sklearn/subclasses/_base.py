"""What every way of splitting classes into pseudo-subclasses has in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from lelp_sklearn._checks import check_class_labels, check_magnitude
from lelp_sklearn._compat import check_feature_names_in
from lelp_sklearn._tables import check_same_series, in_class_order
from lelp_sklearn.outputs import check_proba
from lelp_sklearn.subclasses._blocks import block_softmax, block_starts

FLOATS = [np.float64, np.float32]


class SubclassSplitter(TransformerMixin, BaseEstimator):
    """A transformer from teacher embeddings to ``P(subclass | class, row)``.

    A splitter's :meth:`transform` has one block of columns a class; every class is split for
    every row, and each block sums to 1. To write one, set ``classes_`` and ``n_subclasses_`` in
    ``fit`` and give ``_scores``: the log-probabilities of the subclasses, up to a constant a block.

    See Also
    --------
    LELPProjector : Subclasses along directions of the embeddings.

    Examples
    --------
    A splitter of one's own, by the sign of the first column:

    >>> import numpy as np
    >>> from lelp_sklearn import SubclassSplitter
    >>> class SignSplitter(SubclassSplitter):
    ...     def fit(self, H, y):
    ...         H, y = self._check_fit(H, y)
    ...         self.classes_ = np.unique(y)
    ...         self.n_subclasses_ = np.full(len(self.classes_), 2)
    ...         return self
    ...
    ...     def _scores(self, H):
    ...         return np.tile(np.where(H[:, :1] > 0, [0, -np.inf], [-np.inf, 0]), 2)
    >>> SignSplitter().fit_transform([[1.0], [-3.0]], ["a", "b"])
    array([[1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """

    classes_: NDArray
    n_subclasses_: NDArray
    n_features_in_: int

    @abstractmethod
    def fit(self, H: ArrayLike, y: ArrayLike) -> SubclassSplitter:
        """Learn the subclasses of each class from embeddings and labels."""

    @abstractmethod
    def _scores(self, H: NDArray) -> NDArray:
        """Unnormalised log P(s | c, x), shape (n, sum of n_subclasses_)."""

    def transform(self, H: ArrayLike) -> NDArray:
        """Split every class for every row.

        Parameters
        ----------
        H : array-like of shape (n_rows, n_features)
            Teacher embeddings.

        Returns
        -------
        split : ndarray of shape (n_rows, sum of n_subclasses_)
            ``P(subclass | class, row)``: the columns of each class sum to 1.
        """
        H = self._check_embeddings(H)
        return block_softmax(self._scores(H), self.n_subclasses_).astype(H.dtype, copy=False)

    def joint(self, split: ArrayLike, proba: ArrayLike) -> NDArray:
        """Probability of class and subclass together, ``p_c(x) P(s | c, x)``.

        Parameters
        ----------
        split : array-like of shape (n_rows, sum of n_subclasses_)
            What :meth:`transform` gave.
        proba : array-like of shape (n_rows, n_classes)
            Class probabilities, columns in the order of ``classes_``.

        Returns
        -------
        joint : ndarray of shape (n_rows, sum of n_subclasses_)
            The columns of class ``c`` sum to ``proba[:, c]``.
        """
        check_is_fitted(self)
        p_split: NDArray = check_array(split, dtype=FLOATS, input_name="split")
        proba = in_class_order(proba, self.classes_, "proba")
        p_class: NDArray = check_array(proba, dtype=FLOATS, input_name="proba")
        n_rows, width = len(p_split), self.n_subclasses_.sum()
        if p_split.shape[1] != width or p_class.shape != (n_rows, len(self.classes_)):
            raise ValueError(
                f"split has shape {p_split.shape} and proba {p_class.shape}; expected "
                f"({n_rows}, {width}) and ({n_rows}, {len(self.classes_)}), for the classes "
                f"{self.classes_.tolist()}."
            )
        p_class = check_proba(p_class, "proba")
        return p_split * np.repeat(p_class, self.n_subclasses_, axis=1)

    def representatives(
        self, H: ArrayLike, k: int = 5, *, y: ArrayLike | None = None
    ) -> NDArray[np.intp]:
        """Rows that lie furthest towards each subclass: look at them to see what it holds.

        Parameters
        ----------
        H : array-like of shape (n_rows, n_features)
            Teacher embeddings.
        k : int, default=5
            Rows a subclass.
        y : array-like of shape (n_rows,), optional
            Labels. With them a subclass is shown by rows of its own class only.

        Returns
        -------
        rows : ndarray of shape (sum of n_subclasses_, k)
            Row numbers, the most extreme first.
        """
        check_scalar(k, "k", Integral, min_val=1)
        H = self._check_embeddings(H)
        label = None if y is None else check_class_labels(y, warn=False)
        if label is not None and label.shape != (len(H),):
            raise ValueError(f"y has shape {label.shape}; expected ({len(H)},), one label a row.")
        scores = self._scores(H)
        chosen = []
        for c, start in enumerate(block_starts(self.n_subclasses_)):
            of_class = np.ones(len(H), bool) if label is None else label == self.classes_[c]
            members = np.flatnonzero(of_class)
            if len(members) < k:
                name = repr(self.classes_.tolist()[c])
                raise ValueError(f"class {name} has {len(members)} rows, fewer than k={k}.")
            block = scores[members, start : start + self.n_subclasses_[c]]
            chosen.append(members[np.argsort(-block, axis=0, kind="stable")[:k].T])
        return np.concatenate(chosen)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Names of the columns of :meth:`transform`: ``<class>_<number of the subclass>``.

        Parameters
        ----------
        input_features : array-like of str, optional
            Only checked against the names seen in fit.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features)
        names = [
            f"{label}_{s}"
            for label, count in zip(self.classes_, self.n_subclasses_, strict=True)
            for s in range(count)
        ]
        return np.array(names, dtype=object)

    def _check_fit(self, H: ArrayLike, y: ArrayLike, *, reset: bool = True) -> tuple[Any, Any]:
        check_same_series(y, H, "y")
        y = None if y is None else check_class_labels(y)
        rows, labels = validate_data(self, H, y, dtype=FLOATS, reset=reset)
        check_magnitude(rows, "X")
        return rows, labels

    def _check_embeddings(self, H: ArrayLike) -> NDArray:
        check_is_fitted(self)
        return validate_data(self, H, dtype=FLOATS, reset=False)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def one_class_message(classes: NDArray, who: str) -> str:
    """Why a single class is refused: there is nothing to distil."""
    return f"{who} needs at least two classes; y holds only one class, {classes.tolist()}."


def too_few_rows_message(label: Any, n_rows: int, n_subclasses: int) -> str:
    """Why a class that is smaller than its number of subclasses is refused."""
    return (
        f"class {label!r} has {n_rows} rows, fewer than its {n_subclasses} subclasses: lower "
        "n_subclasses, or give it as a mapping from class to number, with 1 for small classes."
    )


def too_few_columns_message(label: Any, n_needed: int, count: int, n_features: str) -> str:
    """Why a class is refused that has fewer columns than directions; n_features in words."""
    return (
        f"class {label!r} needs {n_needed} directions for {count} subclasses; the embeddings have "
        f"{n_features}: lower n_subclasses, or set null_space=False."
    )


def no_spread_message(label: Any, n_rows: int) -> str:
    """Why a class of equal rows is refused."""
    return (
        f"class {label!r} has the same embedding in all of its {n_rows} rows, so nothing splits "
        "it: check the teacher, or give it n_subclasses 1."
    )


def subclass_counts(n_subclasses: int | Mapping[Any, int], classes: NDArray) -> NDArray:
    """Number of subclasses of each class, from one number or a mapping of label to number."""
    if not isinstance(n_subclasses, Mapping):
        return np.full(len(classes), n_subclasses, dtype=np.int64)
    missing = [label for label in classes.tolist() if label not in n_subclasses]
    unknown = [label for label in n_subclasses if label not in classes.tolist()]
    if missing or unknown:
        raise ValueError(
            f"n_subclasses maps {list(n_subclasses)}, y holds {classes.tolist()}: "
            f"missing {missing}, not in y {unknown}."
        )
    wrong = {c: n for c, n in n_subclasses.items() if not isinstance(n, Integral) or n < 1}
    if wrong:
        raise ValueError(f"n_subclasses must be whole numbers of at least 1; got {wrong}.")
    return np.array([n_subclasses[label] for label in classes.tolist()], dtype=np.int64)
