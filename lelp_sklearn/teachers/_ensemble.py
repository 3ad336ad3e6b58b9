"""Several teachers as one: their probabilities combined, their embeddings side by side."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin, TransformerMixin, clone
from sklearn.utils import indexable
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
)

from lelp_sklearn._checks import check_groups, check_magnitude, unchanged_on_error, validate_deep
from lelp_sklearn._compat import (
    Interval,
    StrOptions,
    check_feature_names_in,
    check_sample_weight,
    fit_context,
)
from lelp_sklearn._tables import check_same_series, in_class_order
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._combining import (
    StandardBlock,
    ca_mkd_weights,
    cross_entropy,
    entropy_weights,
    mean_logits,
)
from lelp_sklearn.teachers._dispatch import as_teacher, fitted_teacher
from lelp_sklearn.teachers._named import NamedTeachers, class_numbers
from lelp_sklearn.teachers._out_of_fold import fit_params, out_of_fold_proba
from lelp_sklearn.teachers._outputs import align_proba, teacher_outputs
from lelp_sklearn.teachers._sklearn import takes_weight


class TeacherEnsemble(TransformerMixin, ClassifierMixin, NamedTeachers):
    r"""Several teachers as one.

    With :math:`p_m` the probabilities of teacher m of M, :math:`H_m` their entropy in a row and
    :math:`\ell_m = -\log p_m(y)` the row's cross-entropy with its label, ``combine`` is one of

    ==============  ==================================================================
    "mean_proba"    :math:`\frac{1}{M} \sum_m p_m`; distilling from it has the same
                    gradient as the mean of the M distillation losses
    "mean_logits"   :math:`\mathrm{softmax}(\frac{1}{M} \sum_m \log p_m)`, the geometric
                    mean
    "log_loss"      :math:`\sum_m w_m p_m`, w the soft-max over teachers of minus their
                    log-loss on held-out rows
    "entropy"       :math:`\sum_m w_m(x)\, p_m`,
                    :math:`w_m = (1 - H_m / \sum_j H_j) / (M - 1)`: sure teachers count
                    more, row by row
    "ca_mkd"        the same with
                    :math:`w_m = (1 - \mathrm{softmax}_m(\ell)) / (M - 1)`: right
                    teachers count more, row by row
    ==============  ==================================================================

    A single teacher has weight 1, and its probabilities are returned as they are. Logarithms are
    taken of probabilities clipped to 1e-7 from below.

    Embeddings are those of every teacher that has them, each centred, reduced to its principal
    components if wanted, and divided by one number, so that its columns have a total variance of 1
    over the rows of fit; then side by side.

    Parameters
    ----------
    teachers : list of (str, classifier)
        Names and teachers, with ``predict_proba`` and ``classes_``; embeddings come from
        ``transform``. One without it adds none: :func:`as_teacher` gives it some. A name is a
        parameter, for ``set_params(name=...)`` and ``name__parameter`` in grids. Column orders may
        differ; the labels must be the same.
    combine : {"mean_proba", "mean_logits", "log_loss", "entropy", "ca_mkd"}, default="mean_proba"
        How probabilities are combined.
    prefit : bool, default=False
        Whether the teachers are fitted. They are then used as they are, clones of the ensemble
        share them, and fit learns only the weights and the standardisation of the embeddings: give
        it rows that the teachers did not see.
    cv : int or splitter, default=5
        Folds for the held-out log-loss of teachers that are fitted here, by a number shuffled and
        stratified; the log-loss of prefit ones is that on the rows of fit.
    n_components : int, default=None
        Principal components that each teacher's embeddings are reduced to; narrower ones stay as
        they are. None reduces none.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels.
    teachers_ : list of classifier
        The fitted teachers.
    weights_ : ndarray of shape (M,)
        Weight of each teacher; only where it is the same for all rows.
    log_loss_ : ndarray of shape (M,)
        Held-out log-loss of each teacher, with ``combine="log_loss"``.
    n_features_in_ : int
        Columns of X, where a teacher counts them.

    See Also
    --------
    as_teacher : Gives a classifier embeddings.
    DistilledClassifier : Takes the ensemble as its teacher.

    References
    ----------
    Zhang, Chen and Wang (2022), Confidence-Aware Multi-Teacher Knowledge Distillation, ICASSP.

    Kwon, Na, Lee and Kim (2020), Adaptive Knowledge Distillation Based on Entropy, ICASSP.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lelp_sklearn.teachers import as_teacher
    >>> from lelp_sklearn import TeacherEnsemble
    >>> X, y = load_iris(return_X_y=True)
    >>> teachers = [
    ...     ("lda", LinearDiscriminantAnalysis()),
    ...     ("lr", as_teacher(LogisticRegression(max_iter=500))),
    ... ]
    >>> ensemble = TeacherEnsemble(teachers, combine="log_loss").fit(X, y)
    >>> ensemble.weights_.round(2)
    array([0.52, 0.48])
    >>> ensemble.predict_proba(X).shape, ensemble.transform(X).shape
    ((150, 3), (150, 6))
    >>> ensemble.get_feature_names_out()
    array(['lda_0', 'lda_1', 'lr_0', 'lr_1', 'lr_2', 'lr_3'], dtype=object)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "teachers": [list],
        "combine": [StrOptions({"mean_proba", "mean_logits", "log_loss", "entropy", "ca_mkd"})],
        "prefit": ["boolean"],
        "cv": ["cv_object"],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        teachers: list[tuple[str, Any]],
        *,
        combine: str = "mean_proba",
        prefit: bool = False,
        cv: Any = 5,
        n_components: int | None = None,
    ):
        self.teachers = teachers
        self.combine = combine
        self.prefit = prefit
        self.cv = cv
        self.n_components = n_components

    # Teachers are validated when they are fitted, prefit ones not at all.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> TeacherEnsemble:
        """Fit the teachers (unless prefit), their weights, and the scale of their embeddings.

        Parameters
        ----------
        X : array-like of n_rows rows
            Rows, as the teachers take them.
        y : array-like of shape (n_rows,)
            Labels. Prefit teachers need them for ``combine="log_loss"`` only.
        sample_weight : array-like of shape (n_rows,), optional
            Weights, for log-losses, embeddings, and teachers whose fit takes ``sample_weight``;
            other teachers are fitted without.
        groups : array-like of shape (n_rows,), optional
            Groups of rows that the folds of ``combine="log_loss"`` keep whole, and teachers whose
            fit takes ``groups`` get.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            for name in ("weights_", "log_loss_", "n_features_in_", "feature_names_in_"):
                if name in vars(self):  # of an earlier fit; not every one sets them
                    delattr(self, name)
            self._check_teachers()
            for name, values in (("y", y), ("sample_weight", sample_weight)):
                check_same_series(values, X, name)
            labels = self._check_labels(X, y)
            weight = sample_weight
            if weight is not None:
                weight = check_sample_weight(weight, X, ensure_non_negative=True)
                check_magnitude(weight, "sample_weight")
            group_numbers = check_groups(groups, X)
            if self.prefit:
                self.teachers_ = [fitted_teacher(teacher, X) for _, teacher in self.teachers]
                classes = np.unique(np.asarray(self.teachers_[0].classes_))
            else:
                fresh = [clone(as_teacher(teacher)) for _, teacher in self.teachers]
                for teacher in fresh:  # before the first of them is fitted
                    validate_deep(teacher)
                self.teachers_ = [
                    teacher.fit(
                        X, labels, **fit_params(teacher, _taken(teacher, weight), group_numbers)
                    )
                    for teacher in fresh
                ]
                classes = np.unique(np.asarray(labels))
            self._check_classes(classes, labels)
            self.classes_ = classes
            for name in ("n_features_in_", "feature_names_in_"):
                seen = [getattr(t, name) for t in self.teachers_ if hasattr(t, name)]
                if seen:
                    setattr(self, name, seen[0])
            losses = self._meet_rows(X, labels, weight, group_numbers)
            if self.combine == "log_loss":
                self.log_loss_ = np.array(losses)
                self.weights_ = softmax(-self.log_loss_)
            elif self.combine.startswith("mean"):
                self.weights_ = np.full(len(self.teachers_), 1 / len(self.teachers_))
        return self

    def predict(self, X: Any) -> NDArray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of n_rows rows
            Rows.

        Returns
        -------
        y : ndarray of shape (n_rows,)
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X: Any, y: ArrayLike | None = None) -> NDArray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like of n_rows rows
            Rows.
        y : array-like of shape (n_rows,), optional
            Labels, which only ``combine="ca_mkd"`` reads; DistilledClassifier gives them where it
            has them. In their place the most probable class by the mean probability will do.

        Returns
        -------
        proba : ndarray of shape (n_rows, C)
        """
        return self._combined(self._probas(X), y)

    def row_weights(self, X: Any, y: ArrayLike | None = None) -> NDArray:
        """Weight of each teacher in each row.

        Parameters
        ----------
        X : array-like of n_rows rows
            Rows.
        y : array-like of shape (n_rows,), optional
            Labels, as in :meth:`predict_proba`.

        Returns
        -------
        weights : ndarray of shape (n_rows, M)
            Each row sums to 1.
        """
        return self._weights(self._probas(X), y).T

    def transform(self, X: Any) -> NDArray:
        """Embeddings of all teachers that have them, standardised, side by side.

        Parameters
        ----------
        X : array-like of n_rows rows
            Rows.

        Returns
        -------
        embeddings : ndarray of shape (n_rows, D)
        """
        check_is_fitted(self)
        pairs = zip(self.teachers_, self._blocks, strict=True)
        return self._side_by_side([(b, t.transform(X)) for t, b in pairs if b is not None])

    def outputs(self, X: Any, y: ArrayLike | None = None) -> TeacherOutputs:
        """Probabilities and embeddings, each teacher asked once.

        Parameters
        ----------
        X : array-like of n_rows rows
            Rows.
        y : array-like of shape (n_rows,), optional
            Labels, as in :meth:`predict_proba`.

        Returns
        -------
        TeacherOutputs
        """
        check_is_fitted(self)
        answers = [teacher_outputs(teacher, X, self.classes_) for teacher in self.teachers_]
        proba = self._combined(_stack([answer.proba for answer in answers]), y)
        pairs = [(b, a.embeddings) for b, a in zip(self._blocks, answers, strict=True) if b]
        return TeacherOutputs(proba, self._side_by_side(pairs) if pairs else None)

    @property
    def reads_labels(self) -> bool:
        """Whether the answer about a row depends on its label, where that is given."""
        return self.combine == "ca_mkd"

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Names of the columns of transform: ``<teacher>_<column>``.

        Parameters
        ----------
        input_features : array-like of str, optional
            Only checked against the names seen in fit.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features, generate_names=False)
        widths = [0 if block is None else block.width for block in self._blocks]
        pairs = zip(self.teachers, widths, strict=True)
        names = [f"{name}_{i}" for (name, _), width in pairs for i in range(width)]
        return np.array(names, dtype=object)

    def _meet_rows(
        self, X: Any, y: NDArray | None, weight: NDArray | None, groups: NDArray | None
    ) -> list[float]:
        """Learn the blocks of embeddings; returns the held-out log-losses, where wanted."""
        losses: list[float] = []
        self._blocks: list[StandardBlock | None] = []
        for (name, _), teacher in zip(self.teachers, self.teachers_, strict=True):
            answer = teacher_outputs(teacher, X, self.classes_)
            block = None
            if answer.embeddings is not None:
                H = check_array(answer.embeddings, input_name=f"embeddings of teacher {name!r}")
                block = StandardBlock.fit(H, weight, self.n_components)
            self._blocks.append(block)
            if self.combine == "log_loss":
                assert y is not None
                assert answer.proba is not None
                proba = (
                    answer.proba if self.prefit else self._out_of_fold(name, X, y, weight, groups)
                )
                rows = cross_entropy(proba, np.searchsorted(self.classes_, y))
                answered = ~np.isnan(rows)
                kept = None if weight is None else weight[answered]
                losses.append(float(np.average(rows[answered], weights=kept)))
        return losses

    def _out_of_fold(
        self, name: str, X: Any, y: NDArray, weight: NDArray | None, groups: NDArray | None
    ) -> NDArray:
        teacher, (X,) = as_teacher(dict(self.teachers)[name]), indexable(X)
        weight = _taken(teacher, weight)
        return out_of_fold_proba(
            teacher,
            X,
            y,
            self.classes_,
            self.cv,
            weight,
            _ask_fold,
            groups=groups,
            consequence=f"They do not count in the log-loss of the teacher {name!r}.",
        )[0]

    def _probas(self, X: Any) -> NDArray:
        """Probabilities by all teachers, shape (M, n, C); embeddings are not computed."""
        check_is_fitted(self)
        return _stack(
            [
                align_proba(teacher.predict_proba(X), teacher.classes_, self.classes_)
                for teacher in self.teachers_
            ]
        )

    def _combined(self, probas: NDArray, y: ArrayLike | None) -> NDArray:
        if len(probas) == 1:
            return probas[0]
        if self.combine == "mean_proba":
            return probas.mean(axis=0)
        if self.combine == "mean_logits":
            return mean_logits(probas)
        return np.einsum("mn,mnc->nc", self._weights(probas, y), probas)

    def _weights(self, probas: NDArray, y: ArrayLike | None) -> NDArray:
        """Shape (M, n)."""
        if self.combine == "entropy":
            return entropy_weights(probas)
        if self.combine == "ca_mkd":
            if y is None:
                return ca_mkd_weights(probas, probas.mean(axis=0).argmax(axis=1))
            return ca_mkd_weights(probas, class_numbers(y, self.classes_, probas.shape[1]))
        return np.repeat(self.weights_[:, None], probas.shape[1], axis=1)

    def _side_by_side(self, pairs: list[tuple[StandardBlock, Any]]) -> NDArray:
        if not pairs:
            raise ValueError(
                f"none of the teachers {[name for name, _ in self.teachers]} gives embeddings: "
                "give one of them a method transform(X) -> (n, D)."
            )
        return np.hstack([block.transform(np.asarray(H)) for block, H in pairs])


def _taken(teacher: Any, weight: NDArray | None) -> NDArray | None:
    """The weights, if the teacher's fit takes any."""
    return weight if takes_weight(teacher) else None


def _ask_fold(teacher: Any, X: Any, classes: NDArray, y: Any = None) -> TeacherOutputs:
    """Probabilities alone; 0 for a class that is missing from the fold."""
    columns = {label: c for c, label in enumerate(classes.tolist())}
    proba = in_class_order(
        teacher.predict_proba(X), teacher.classes_, "the teacher's probabilities"
    )
    placed = np.zeros((len(proba), len(classes)))
    placed[:, [columns[label] for label in np.asarray(teacher.classes_).tolist()]] = np.asarray(
        proba
    )
    return TeacherOutputs(placed)


def _stack(probas: list[Any]) -> NDArray[np.float64]:
    return np.stack(probas).astype(np.float64, copy=False)
