"""Centred kernel alignment of a batch's embeddings, with nothing learned beside the student."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lelp_sklearn.losses import cka_distance
from lelp_sklearn.objectives._on_embeddings import must_move
from lelp_sklearn.objectives._standardized import OnStandardized
from lelp_sklearn.outputs import StudentOutputs


class CKA(OnStandardized):
    r"""Align the student's embeddings with the teacher's, up to rotation, shift and scale.

    .. math:: 1 - \frac{\|T^\top S\|_F^2}{\|S^\top S\|_F \, \|T^\top T\|_F}

    of a batch's centred embeddings. Widths may differ and there is no projector that could do the
    student's work. It knows no classes: add ``KD()``. It costs a matrix of inner products of the
    batch's rows a side. A linear student's embedding is its inputs, and has nothing to learn here.

    Parameters
    ----------
    unbiased : bool, default=False
        Whether to leave out the rows' products with themselves, by which any embeddings wider than
        the batch seem aligned: for wide teachers and small batches. Row weights do not count then.

    Attributes
    ----------
    scaler_ : StandardScaler
        The teacher's means and scales.

    See Also
    --------
    SP, PKT, RKD : Other relations among the rows of a batch.
    EmbeddingMatching : Row by row, with a projector.

    Notes
    -----
    Batches should have 64 rows and more. The teacher's columns have variance 1 on the training
    rows: a few of large variance would be all that is aligned. Row weights count in both sides'
    means and products.

    References
    ----------
    Kornblith, Norouzi, Lee and Hinton (2019), Similarity of Neural Network Representations
    Revisited, ICML, section 3; unbiased: Nguyen, Raghu and Kornblith (2021), Do Wide and Deep
    Networks Learn the Same Things?, ICLR. They measure by it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import CKA, KD, MLP, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> student = StudentClassifier(
    ...     MLP, objective=KD() + CKA(), max_epochs=20, random_state=0
    ... ).fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> student.history_[-1]["train_cka"] < 0.2
    True
    """

    _parameter_constraints: dict = {"unbiased": ["boolean"]}  # noqa: RUF012

    def __init__(self, *, unbiased: bool = False):
        self.unbiased = unbiased

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Of the batch."""
        must_move(outputs.embedding, self)
        return cka_distance(
            outputs.embedding, targets["embedding"], targets["weight"], self.unbiased
        )
