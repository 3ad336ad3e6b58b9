"""What reads a user's rows for a student's body."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from sklearn.base import BaseEstimator
from sklearn.utils import InputTags
from torch import Tensor

from lelp_sklearn._rows import are_texts


class Rows(Protocol):
    """Rows on one device, of which batches are taken as of a tensor's first axis.

    A batch is of the same kind, and is what the body's ``forward`` gets. For a body that ``pads``
    they have ``lengths`` too.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def nbytes(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> Any: ...

    def index_select(self, dim: int, index: Tensor) -> Any: ...

    def split(self, size: int) -> Any: ...

    def to(self, device: torch.device | str) -> Any: ...


class Inputs(BaseEstimator, ABC):
    """Rows as users hold them in, tensors out: a student's first step, fitted with it.

    A body names its own in a class attribute ``reads``; a student's ``inputs`` replaces it. To
    read rows of another kind, subclass this.

    See Also
    --------
    TableInputs : Data frames.
    ArrayInputs, SparseInputs : Numbers, dense and sparse.

    Examples
    --------
    Rows of bytes, for a body that embeds them:

    >>> import torch
    >>> from lelp_sklearn.inputs import Inputs
    >>> class ByteInputs(Inputs):
    ...     def check(self, student, X, *, reset):
    ...         return list(X)
    ...     def read(self, X):
    ...         return torch.tensor([list(row) for row in X])
    ...     def example(self, student):
    ...         return self.read([b"ab", b"cd"])
    ...     def body_params(self, student):
    ...         return {"n_tokens": 256}
    >>> ByteInputs().read([b"ab"])
    tensor([[97, 98]])
    """

    @abstractmethod
    def check(self, student: Any, X: Any, *, reset: bool) -> Any:
        """Rows as given, checked; their columns are compared with, or set on, the student.

        Parameters
        ----------
        student : estimator
            Gets ``n_features_in_`` and, where columns have names, ``feature_names_in_``.
        X : array-like
            Rows.
        reset : bool
            Whether these are the rows of a first fit.

        Returns
        -------
        X : array-like
            The rows, of any type that scikit-learn can index.
        """

    def fit(self, X: Any) -> Any:
        """Learn what there is to learn from checked training rows; nothing by default.

        Parameters
        ----------
        X : array-like
            Rows from :meth:`check`.

        Returns
        -------
        self
        """
        return self

    def partial_fit(self, X: Any) -> Any:
        """Go on learning from further rows of a student's ``partial_fit``; by default nothing.

        Parameters
        ----------
        X : array-like
            Rows from :meth:`check`.

        Returns
        -------
        self
        """
        return self

    @property
    def settled(self) -> str:
        """What further calls of ``partial_fit`` leave as the first made it, in words."""
        cls = type(self)
        learns_once = cls.fit is not Inputs.fit and cls.partial_fit is Inputs.partial_fit
        return "what is learnt of rows" if learns_once else ""

    @abstractmethod
    def read(self, X: Any) -> Rows:
        """Tensors of checked rows.

        Parameters
        ----------
        X : array-like
            Rows from :meth:`check`.

        Returns
        -------
        Rows
            A tensor, or what behaves like one in its first axis.
        """

    def matrix(self, X: Any) -> Any:
        """Checked rows as numbers, for a splitter that looks at them.

        Parameters
        ----------
        X : array-like
            Rows from :meth:`check`.

        Returns
        -------
        array-like or sparse matrix of shape (n_rows, p), or None
            None, as here, where the rows have no such form.
        """
        return None

    @abstractmethod
    def example(self, student: Any) -> Rows:
        """Two made-up rows, for the size of the body's embedding."""

    def body_params(self, student: Any) -> dict[str, Any]:
        """What a body's ``__init__`` may ask for by name, as ``n_features``."""
        return {"n_features": student.n_features_in_}

    def input_tags(self) -> InputTags:
        """scikit-learn's tags of the rows that are read."""
        return InputTags()


def refuse_texts(X: Any, error: Exception) -> None:
    """Raise TypeError for texts that a body was to read as numbers, naming what reads texts."""
    if are_texts(X):
        raise TypeError(
            "X holds texts, and the student's body reads numbers. Put a vectorizer before it, "
            "make_pipeline(TfidfVectorizer(), StudentClassifier(BagOfNgrams)), or use a body that "
            "reads texts, module=StaticText or TextCNN."
        ) from error
