"""A sentence-transformers encoder and a scikit-learn head as a teacher."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state

from lelp_sklearn._compat import HasMethods, Interval, StrOptions, fit_context
from lelp_sklearn._defaults import DefaultObjects
from lelp_sklearn._rows import check_texts
from lelp_sklearn._torch import UsualSettings
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._embedders import linear_coef
from lelp_sklearn.teachers._encoding import bf16_pays, encode
from lelp_sklearn.teachers._fine_tuning import fine_tune
from lelp_sklearn.teachers._fitting import is_fitted
from lelp_sklearn.teachers._sharing import SharesWeights


class SentenceTransformerTeacher(DefaultObjects, SharesWeights, ClassifierMixin, BaseEstimator):
    """A sentence-transformers encoder, and a scikit-learn classifier on its embeddings.

    The encoder stays as it is, or a copy of it is trained on the labels first.

    Parameters
    ----------
    encoder : SentenceTransformer, str or path
        The encoder, or the name or folder that sentence-transformers loads it from. It is never
        trained, and clones of the teacher share it.
    head : classifier, default=None
        Any scikit-learn classifier with ``predict_proba``. None is ``LogisticRegression()``. A
        fitted one answers at once; fit fits a clone.
    batch_size : int, default=32
        Texts a forward pass. 16 is a tenth faster on a CPU, and more is faster on a GPU.
    bf16 : bool or "auto", default="auto"
        Whether to encode in bfloat16 autocast: faster by a factor where the hardware has it, equal
        to about three digits. "auto" does so where the device multiplies in bfloat16 and a few
        sentences' embeddings keep a cosine above 0.9999 to those in float32, so that results
        differ in the third digit between machines; False is the same everywhere.
    fine_tune_epochs : int, default=0
        Passes over the labelled texts at most, in which fit trains a copy of the encoder, by
        cross-entropy and with a linear head of its own. Training stops early by the loss of a
        tenth of the texts, held out where each class has ten of them.
    fine_tune_lr : float, default=5e-5
        Peak learning rate of the encoder.
    random_state : int, RandomState or None, default=None
        Seeds the fine-tuning.
    verbose : int, default=0
        Whether to show a progress bar over the batches.

    Attributes
    ----------
    encoder_ : SentenceTransformer
        The encoder, or its fine-tuned copy; there after the first use.
    head_ : classifier
        The fitted clone of the head; only after fit.
    classes_ : ndarray of shape (C,)
        Sorted labels.
    teacher_coef_ : ndarray of shape (C, D) or (1, D)
        The weights of a linear head; missing for others.

    Raises
    ------
    ImportError
        If sentence-transformers is not installed.
    TypeError
        If a row is not a string.

    See Also
    --------
    TransformersTeacher : A transformers model with a classifier of its own.

    Examples
    --------
    >>> from lelp_sklearn.teachers import SentenceTransformerTeacher
    >>> teacher = SentenceTransformerTeacher("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> texts = ["a fine film", "a dull film", "what a joy", "what a bore"]
    >>> teacher.fit(texts, [1, 0, 1, 0]).transform(texts).shape  # doctest: +SKIP
    (4, 384)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "encoder": [str, os.PathLike, HasMethods("encode")],
        "head": [HasMethods(["fit", "predict_proba"]), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "bf16": ["boolean", StrOptions({"auto"})],
        "fine_tune_epochs": [Interval(Integral, 0, None, closed="left")],
        "fine_tune_lr": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        encoder: Any,
        head: Any = None,
        *,
        batch_size: int = 32,
        bf16: bool | str = "auto",
        fine_tune_epochs: int = 0,
        fine_tune_lr: float = 5e-5,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.encoder = encoder
        self.head = head
        self.batch_size = batch_size
        self.bf16 = bf16
        self.fine_tune_epochs = fine_tune_epochs
        self.fine_tune_lr = fine_tune_lr
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> SentenceTransformerTeacher:
        """Fine-tune if asked to, encode the texts, and fit the head on their embeddings.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weights for the head and the fine-tuning.

        Returns
        -------
        self
        """
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        head = clone(self._or_default("head"))
        self.encoder_ = self._original()
        if self.fine_tune_epochs:
            probe = LogisticRegression().fit(self.transform(X), y, **weight)
            self.encoder_ = fine_tune(
                self.encoder_,
                check_texts(X),
                probe,
                np.asarray(y),
                sample_weight,
                epochs=self.fine_tune_epochs,
                lr=self.fine_tune_lr,
                dtype=self._dtype(),
                seed=check_random_state(self.random_state).randint(2**31 - 1),
                verbose=self.verbose,
            )
        self.head_ = head.fit(self.transform(X), y, **weight)
        return self

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {"head": LogisticRegression}

    def transform(self, X: ArrayLike) -> NDArray:
        """Embeddings of texts, by the encoder.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        embeddings : ndarray of shape (n, D)
        """
        return encode(
            self._encoder(),
            check_texts(X),
            batch_size=int(self.batch_size),
            dtype=self._dtype(),
            verbose=self.verbose,
        )

    def outputs(self, X: ArrayLike) -> TeacherOutputs:
        """Probabilities and embeddings, the texts encoded once.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        TeacherOutputs
        """
        head = self._head()
        embeddings = self.transform(X)
        return TeacherOutputs(np.asarray(head.predict_proba(embeddings)), embeddings)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        proba : ndarray of shape (n, C)
        """
        proba = self.outputs(X).proba
        assert proba is not None
        return proba

    def predict(self, X: ArrayLike) -> NDArray:
        """Class of each text, by the head.

        Parameters
        ----------
        X : array-like of str of shape (n,)
            Texts.

        Returns
        -------
        y : ndarray of shape (n,)
        """
        return self._head().predict(self.transform(X))

    @property
    def classes_(self) -> NDArray:
        """Sorted labels."""
        return np.asarray(self._head().classes_)

    @property
    def teacher_coef_(self) -> NDArray:
        """Weights of a linear head."""
        coef = linear_coef(self._head())
        if coef is None:
            raise AttributeError(f"the head {type(self._head()).__name__} is not linear.")
        return coef

    def _encoder(self) -> Any:
        if not hasattr(self, "encoder_"):
            self.encoder_ = self._original()
        return self.encoder_

    def _original(self) -> Any:
        if isinstance(self.encoder, (str, os.PathLike)):
            return load_encoder(self.encoder)
        return self.encoder

    def _dtype(self) -> str | None:
        bf16 = bf16_pays(self._encoder()) if self.bf16 == "auto" else self.bf16
        return "bfloat16" if bf16 else None

    def _head(self) -> Any:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet: call fit(texts, y), or pass a "
                "fitted head."
            )
        return getattr(self, "head_", self.head)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "head_") or (self.head is not None and is_fitted(self.head))

    def __sklearn_clone__(self) -> SentenceTransformerTeacher:
        # scikit-learn would copy the encoder's weights.
        params = self.get_params(deep=False)
        head = None if self.head is None else clone(self.head)
        random_state = copy.deepcopy(self.random_state)
        return type(self)(**{**params, "head": head, "random_state": random_state})

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


@UsualSettings()
def load_encoder(name: str | os.PathLike[str]) -> Any:
    """The encoder of a hub's name or of a folder."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            "sentence encoders need sentence-transformers, which is not installed: "
            'pip install "lelp-sklearn[text]".'
        ) from error
    return SentenceTransformer(os.fspath(name))
