"""Several teachers as one: their probabilities combined, their embeddings side by side."""

from __future__ import annotations

from copy import copy
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import assert_all_finite, get_tags

# Private, but the one way to parameters by name that scikit-learn has.
from sklearn.utils.metaestimators import _BaseComposition, available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
)

from lelp_sklearn._compat import (
    Interval,
    StrOptions,
    check_feature_names_in,
    check_sample_weight,
    clone_parameters,
    fit_context,
)
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._combining import (
    StandardBlock,
    ca_mkd_weights,
    cross_entropy,
    entropy_weights,
    mean_logits,
)
from lelp_sklearn.teachers._out_of_fold import given, out_of_fold_proba
from lelp_sklearn.teachers._outputs import align_proba, teacher_outputs
from lelp_sklearn.teachers._sklearn import is_fitted


class TeacherEnsemble(TransformerMixin, ClassifierMixin, MetaEstimatorMixin, _BaseComposition):
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
        Folds for the held-out log-loss of teachers that are fitted here; the log-loss of prefit
        ones is that on the rows of fit.
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
    Zhang, Chen and Wang (2022), Confidence-Aware Multi-Teacher Knowledge Distillation, ICASSP,
    equations 3 and 4.

    Kwon, Na, Lee and Kim (2020), Adaptive Knowledge Distillation Based on Entropy, ICASSP.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lelp_sklearn.teachers import as_teacher
    >>> from lelp_sklearn.teachers._ensemble import TeacherEnsemble
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

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, with ``deep`` also the teachers by name and theirs as ``name__parameter``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the teachers.

        Returns
        -------
        params : dict
        """
        return self._get_params("teachers", deep=deep)

    def set_params(self, **params: Any) -> TeacherEnsemble:
        """Set parameters, teachers by name, or theirs as ``name__parameter``.

        Parameters
        ----------
        **params : dict
            As in :meth:`get_params`.

        Returns
        -------
        self
        """
        return self._set_params("teachers", **params)

    # Teachers are validated when they are fitted, prefit ones not at all.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> TeacherEnsemble:
        """Fit the teachers (unless prefit), their weights, and the scale of their embeddings.

        Parameters
        ----------
        X : array-like of n_rows rows
            Rows, as the teachers take them.
        y : array-like of shape (n_rows,)
            Labels. Prefit teachers need them for ``combine="log_loss"`` only.
        sample_weight : array-like of shape (n_rows,), optional
            Weights, for log-losses, embeddings, and teachers whose fit takes ``sample_weight``
            (a Pipeline does within :func:`as_teacher`); other teachers are fitted without.

        Returns
        -------
        self
        """
        self._check_teachers()
        labels = self._check_labels(X, y)
        weight = sample_weight
        if weight is not None:
            weight = check_sample_weight(weight, X, ensure_non_negative=True)
        if self.prefit:
            self.teachers_ = [teacher for _, teacher in self.teachers]
            classes = np.unique(np.asarray(self.teachers_[0].classes_))
        else:
            self.teachers_ = [_fit(teacher, X, labels, weight) for _, teacher in self.teachers]
            classes = np.unique(labels)
        self._check_classes(classes, labels)
        self.classes_ = classes
        for name in ("n_features_in_", "feature_names_in_"):
            _copy_first(self.teachers_, self, name)
        self._fit_weights_and_blocks(X, labels, weight)
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
            Labels, which only ``combine="ca_mkd"`` reads. Where they are not given, as by anything
            that takes the ensemble for a classifier, DistilledClassifier included, it takes the
            most probable class by the mean probability for the label. For the published method
            call this with y and pass the result to a student's fit as ``teacher_proba``.

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
        return np.hstack([block.transform(_embed(t, X)) for t, block in pairs if block is not None])

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
        if self._lacks_embeddings():
            return TeacherOutputs(proba)
        embeddings = [answer.embeddings for answer in answers]
        pairs = zip(self._blocks, embeddings, strict=True)
        return TeacherOutputs(
            proba, np.hstack([block.transform(H) for block, H in pairs if block is not None])
        )

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

    def _check_teachers(self) -> None:
        pairs = [isinstance(item, tuple) and len(item) == 2 for item in self.teachers]
        if not pairs or not all(pairs):
            raise ValueError(
                f"teachers is {self.teachers!r}; expected at least one pair of name and teacher: "
                "[('forest', RandomForestClassifier()), ...]."
            )
        self._validate_names([name for name, _ in self.teachers])
        for name, teacher in self.teachers:
            if not hasattr(teacher, "predict_proba"):
                raise TypeError(
                    f"teacher {name!r}, a {type(teacher).__name__}, has no predict_proba: wrap it "
                    "in as_teacher, or in scikit-learn's CalibratedClassifierCV."
                )
            if self.prefit and not is_fitted(teacher):
                raise NotFittedError(
                    f"teacher {name!r} is not fitted and prefit=True: fit it first, or set "
                    "prefit=False to have a clone of it fitted here."
                )
            if self.prefit and not hasattr(teacher, "classes_"):
                raise TypeError(
                    f"teacher {name!r}, a {type(teacher).__name__}, has no classes_, which names "
                    "the columns of predict_proba: set it to their labels."
                )

    def _check_labels(self, X: Any, y: ArrayLike | None) -> NDArray | None:
        if y is None:
            if self.prefit and self.combine != "log_loss":
                return None
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Only "
                "prefit teachers do without, and not with combine='log_loss'."
            )
        check_consistent_length(X, y)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        return labels

    def _check_classes(self, classes: NDArray, labels: NDArray | None) -> None:
        """Teachers agree on the classes, and y holds no others."""
        who = f"teacher {self.teachers[0][0]!r}" if self.prefit else "y"
        for (name, _), teacher in zip(self.teachers, self.teachers_, strict=True):
            known = np.asarray(teacher.classes_).tolist()
            if set(known) != set(classes.tolist()):
                raise ValueError(
                    f"teacher {name!r} knows the classes {known} and {who} "
                    f"{classes.tolist()}: all must have the same labels, in any order."
                )
        if labels is not None:
            _numbers(labels, classes, len(labels))

    def _fit_weights_and_blocks(self, X: Any, y: NDArray | None, weight: NDArray | None) -> None:
        n_teachers = len(self.teachers_)
        self.weights_ = np.full(n_teachers, 1 / n_teachers)
        losses, self._blocks = [], []
        self._sparse = []
        pairs = zip(self.teachers, self.teachers_, strict=True)
        for (name, unfitted), teacher in pairs:
            outputs = teacher_outputs(teacher, X, self.classes_)
            block = None
            if outputs.embeddings is not None and outputs.embeddings.ndim != 2:
                self._sparse.append(name)  # what numpy makes of a sparse matrix
            elif outputs.embeddings is not None:
                H = check_array(outputs.embeddings, input_name=f"embeddings of teacher {name!r}")
                block = StandardBlock.fit(H, weight, self.n_components)
            self._blocks.append(block)
            if self.combine == "log_loss":
                assert y is not None
                held_out = outputs.proba
                if not self.prefit:
                    held_out = self._out_of_fold(unfitted, X, y, weight)
                rows = cross_entropy(held_out, np.searchsorted(self.classes_, y))
                losses.append(np.average(rows, weights=weight))
        if self.combine == "log_loss":
            self.log_loss_ = np.array(losses)
            self.weights_ = softmax(-self.log_loss_)
        elif self.combine in ("entropy", "ca_mkd"):
            del self.weights_

    def _out_of_fold(self, teacher: Any, X: Any, y: NDArray, weight: NDArray | None) -> NDArray:
        if not has_fit_parameter(teacher, "sample_weight"):
            weight = None
        return out_of_fold_proba(teacher, X, y, self.classes_, self.cv, weight, _ask_fold)[0]

    def _probas(self, X: Any) -> NDArray:
        """Probabilities by all teachers, shape (M, n, C); embeddings are not computed."""
        check_is_fitted(self)
        return _stack(
            [
                align_proba(np.asarray(teacher.predict_proba(X)), teacher.classes_, self.classes_)
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
            return ca_mkd_weights(probas, _numbers(y, self.classes_, probas.shape[1]))
        return np.repeat(self.weights_[:, None], probas.shape[1], axis=1)

    def _lacks_embeddings(self) -> str:
        """Why there are no embeddings; nothing if there are."""
        if hasattr(self, "_blocks"):
            found = [block is not None for block in self._blocks]
        else:
            found = [hasattr(t, "transform") or hasattr(t, "outputs") for _, t in self.teachers]
        if getattr(self, "_sparse", None):
            return (
                f"teachers {self._sparse} give sparse embeddings, which cannot be standardised: "
                "wrap them in as_teacher, which reduces them."
            )
        if not any(found):
            return (
                f"none of the teachers {[name for name, _ in self.teachers]} gives embeddings, as "
                "none has transform: wrap those that should in as_teacher."
            )
        return ""

    def __sklearn_clone__(self) -> TeacherEnsemble:
        if not self.prefit:
            return clone_parameters(self)
        # A clone of a fitted teacher would be an unfitted one, and a deep copy may be large.
        shell = copy(self)
        shell.teachers = []
        clone_ = clone_parameters(shell)
        clone_.teachers = self.teachers
        return clone_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if not isinstance(self.teachers, list) or not all(
            isinstance(item, tuple) and hasattr(item[-1], "__sklearn_tags__")
            for item in self.teachers
        ):
            return tags
        inner = [get_tags(teacher) for _, teacher in self.teachers]
        for name in ("sparse", "allow_nan", "string", "two_d_array", "positive_only"):
            take = any if name == "positive_only" else all
            setattr(tags.input_tags, name, take(getattr(t.input_tags, name) for t in inner))
        return tags


def _transforms(ensemble: TeacherEnsemble) -> bool:
    if problem := ensemble._lacks_embeddings():
        raise AttributeError(problem)
    return True


# Not as a decorator: scikit-learn wraps transform for set_output when the class is made, and
# would lose the condition, by which a student sees that there are no embeddings.
TeacherEnsemble.transform = available_if(_transforms)(TeacherEnsemble.transform)  # type: ignore[method-assign]


def _fit(teacher: Any, X: Any, y: Any, weight: NDArray | None) -> Any:
    if not has_fit_parameter(teacher, "sample_weight"):
        weight = None
    return clone(teacher).fit(X, y, **given(sample_weight=weight))


def _ask_fold(teacher: Any, X: Any, classes: NDArray) -> TeacherOutputs:
    """Probabilities alone; 0 for a class that is missing from the fold."""
    columns = {label: c for c, label in enumerate(classes.tolist())}
    proba = np.asarray(teacher.predict_proba(X))
    placed = np.zeros((len(proba), len(classes)))
    placed[:, [columns[label] for label in np.asarray(teacher.classes_).tolist()]] = proba
    return TeacherOutputs(placed)


def _embed(teacher: Any, X: Any) -> NDArray:
    if hasattr(teacher, "transform"):
        return np.asarray(teacher.transform(X))
    embeddings = teacher_outputs(teacher, X).embeddings
    assert embeddings is not None
    return embeddings


def _stack(probas: list[Any]) -> NDArray[np.float64]:
    return np.stack(probas).astype(np.float64, copy=False)


def _numbers(y: ArrayLike, classes: NDArray, n_rows: int) -> NDArray:
    """Class numbers of labels."""
    labels = column_or_1d(y)
    if len(labels) != n_rows:
        raise ValueError(f"y has {len(labels)} labels and X has {n_rows} rows: give one a row.")
    strange = np.setdiff1d(labels, classes)
    if len(strange):
        raise ValueError(
            f"y holds the labels {strange.tolist()}, which the teachers do not know; they know "
            f"{classes.tolist()}."
        )
    return np.searchsorted(classes, labels)


def _copy_first(teachers: list[Any], ensemble: TeacherEnsemble, name: str) -> None:
    for teacher in teachers:
        if hasattr(teacher, name):
            setattr(ensemble, name, getattr(teacher, name))
            return
