"""ReAugKD: a student that looks up what the teacher said of training rows like a new one."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state, indexable

from lelp_sklearn._compat import Interval, StrOptions, fit_context
from lelp_sklearn._defaults import DefaultObjects
from lelp_sklearn._rows import n_rows
from lelp_sklearn.networks import MLP
from lelp_sklearn.students._aligning import aligned_student, choose_weight, plain_student
from lelp_sklearn.students._all_or_nothing import all_or_nothing
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._checking import Ahead, check_parameters, probe
from lelp_sklearn.students._classifier import StudentClassifier
from lelp_sklearn.students._inputs import check_training_rows
from lelp_sklearn.students._knowledge_base import KnowledgeBase, hnsw_library
from lelp_sklearn.students._retrieval_prediction import RetrievalPrediction
from lelp_sklearn.students._tuning import ChoiceInterruptedError


class RetrievalAugmentedClassifier(
    DefaultObjects, RetrievalPrediction, MetaEstimatorMixin, ClassifierMixin, BaseEstimator
):
    r"""A student, mixed with the teacher's word on the training rows most like a new one (ReAugKD).

    .. math::
        p = (1 - w) \, p^S(x) + w \sum_{j \in N(x)} softmax_j(s(x) \cdot z_j / \tau) \, p^T_j

    The student's embedding s of a row looks up the n nearest teacher embeddings z of training rows
    in a space that training aligned. It can help where classes have many small groups that a small
    student has no room for, and adds rows without training. It costs one linear layer and a search
    a row, and the training rows' embeddings and soft labels have to be shipped.

    Parameters
    ----------
    student : StudentClassifier or LELPStudentClassifier, default=None
        Is cloned, and trained on its objective plus the alignment. None is
        ``StudentClassifier(MLP)``.
    n_neighbors : int, default=16
        Entries that vote; all, where there are fewer.
    temperature : float, default=0.1
        tau above 0, of the votes and of the alignment.
    retrieval_weight : float from 0 to 1 or "auto", default="auto"
        w, the share of the votes; 0 is the student alone. "auto" chooses from 0, 0.1, ..., 1; see
        the notes.
    projection : {"pca", "supcon"} or None, default="pca"
        How teacher embeddings come to the shared space; see :class:`RelationalAlignment`.
    n_components : int, default=64
        Width of the shared space, at most the teacher's.
    alignment_weight : float, default=1.0
        Weight of the alignment beside the student's objective, at least 0.
    max_entries : int or None, default=None
        Largest number of entries. Of more rows, those are kept that k-means++ draws, far from one
        another: O(rows max_entries n_components). None keeps all.
    index : {"auto", "exact", "hnsw"}, default="auto"
        "exact" compares with all entries, by scikit-learn. "hnsw" is an approximate graph, by
        hnswlib or faiss. "auto" is "hnsw" above 50,000 entries where one of them is installed.
    random_state : int, RandomState or None, default=None
        Seed of the rows held out and the entries kept, and of a student that has none.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    student_ : StudentClassifier or LELPStudentClassifier
        The fitted student: a StudentClassifier that is aligned, or as given where w is 0.
    knowledge_base_ : KnowledgeBase
        What it looks up, empty where w is 0: ``embeddings``, ``proba``, ``labels`` (class numbers,
        -1 unknown), ``rows`` (numbers of the rows in fit's X, -1 for added ones), ``n_entries`` and
        ``nbytes``.
    retrieval_weight_ : float
        w: what "auto" chose, else ``retrieval_weight``.
    retrieval_weight_scores_ : dict of float to float
        Held-out log-loss of each weight; only with "auto".
    n_features_in_ : int
        Columns of X, where it has columns.

    Warns
    -----
    UserWarning
        If fit gets no teacher arrays. The student is then trained on the labels alone, and the
        entries are its own embeddings of the labelled rows, with their labels. If Ctrl-C ends fit
        while "auto" chooses: the student is then the plain one by then, and w is 0.

    See Also
    --------
    RelationalAlignment : The objective that aligns the spaces.
    DistilledClassifier : Asks the teacher itself; takes this as its student.

    Notes
    -----
    A training row never retrieves itself: an entry from training is not found by a row of the same
    content. Of equal training rows, the first kept is not found. Rows that were added are.

    The alignment may cost a small student accuracy, so weight 0 is the student trained without it,
    as if by itself; nothing is looked up then, and no training row is kept.

    ``retrieval_weight="auto"`` holds out a fifth of each class's labelled rows and trains two
    students on all others, which alone are the entries: a plain one for weight 0, an aligned one
    for the rest. Where fewer than 500 rows are held out, the next fifths are too, each in its turn.
    Of the held-out log-losses it takes the smallest weight within one standard error of the best,
    row by row; then all rows are trained on. That is 3 fits, and 11 of less than 500 labelled rows.
    Teacher probabilities of rows that the teacher was trained on are over-confident: with
    ``DistilledClassifier(cv=5)`` they are out of fold.

    ``n_neighbors`` and ``temperature`` may be set after fit, for the votes. A mixture is calibrated
    unlike its parts: check it. Who has the model has derivatives of the training rows: see the
    user guide on size and privacy.

    But for ``retrieval_weight=0``, the student's objective may not be :class:`Stages`, nor a sum
    with learned weights, nor ``subclass_weight="auto"``. Row weights count in training and the
    choice of w, not in votes; rows of weight 0 are no entries.

    References
    ----------
    Zhang et al. (2023), ReAugKD: Retrieval-Augmented Knowledge Distillation for Pre-trained
    Language Models, ACL (short papers), section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import MLP, RetrievalAugmentedClassifier, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, digit)
    >>> odd = teacher.predict_proba(X)[:, 1::2].sum(axis=1)
    >>> student = StudentClassifier(MLP, module__hidden=16, lr=0.02, max_epochs=8)
    >>> model = RetrievalAugmentedClassifier(student, retrieval_weight=0.5, random_state=0)
    >>> model = model.fit(
    ...     X / 16,
    ...     digit % 2,
    ...     teacher_proba=[[1 - p, p] for p in odd],
    ...     teacher_embeddings=teacher.transform(X),
    ... )
    >>> model.knowledge_base_.n_entries, model.score(X / 16, digit % 2) > 0.9
    (1797, True)
    """

    knowledge_base_: KnowledgeBase

    _parameter_constraints: dict = {  # noqa: RUF012
        "student": [BaseStudentClassifier, None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "retrieval_weight": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "projection": [StrOptions({"pca", "supcon"}), None],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alignment_weight": [Interval(Real, 0, None, closed="left")],
        "max_entries": [Interval(Integral, 1, None, closed="left"), None],
        "index": [StrOptions({"auto", "exact", "hnsw"})],
        "random_state": ["random_state"],
    }
    __metadata_request__fit = {  # noqa: RUF012
        "labeled": True,
        "groups": True,
        "teacher_proba": True,
        "teacher_embeddings": True,
        "teacher_coef": True,
        "teacher_hidden": True,
        "teacher_attention": True,
    }

    def __init__(
        self,
        student: BaseStudentClassifier | None = None,
        *,
        n_neighbors: int = 16,
        temperature: float = 0.1,
        retrieval_weight: float | str = "auto",
        projection: str | None = "pca",
        n_components: int = 64,
        alignment_weight: float = 1.0,
        max_entries: int | None = None,
        index: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.student = student
        self.n_neighbors = n_neighbors
        self.temperature = temperature
        self.retrieval_weight = retrieval_weight
        self.projection = projection
        self.n_components = n_components
        self.alignment_weight = alignment_weight
        self.max_entries = max_entries
        self.index = index
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        labeled: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        teacher_proba: ArrayLike | None = None,
        teacher_embeddings: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
        teacher_hidden: ArrayLike | None = None,
        teacher_attention: ArrayLike | None = None,
    ) -> RetrievalAugmentedClassifier:
        """Choose the weight, train the student, and keep what it will look up.

        Parameters
        ----------
        X, y, sample_weight, labeled, groups, teacher_proba, teacher_embeddings
            As in a student's fit, :meth:`StudentClassifier.fit`. An unlabelled row is an entry if
            the teacher's probabilities are given.
        teacher_coef, teacher_hidden, teacher_attention
            As there; only for objectives that need them.

        Returns
        -------
        self
            After an error it is what it was before the call.
        """
        given: dict[str, Any] = {
            "labeled": labeled,
            "groups": groups,
            "teacher_proba": teacher_proba,
            "teacher_embeddings": teacher_embeddings,
            "teacher_coef": teacher_coef,
            "teacher_hidden": teacher_hidden,
            "teacher_attention": teacher_attention,
        }
        self._check_models()
        with all_or_nothing(self):
            return self._fit(X, y, sample_weight, given)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, given: dict[str, Any]
    ) -> RetrievalAugmentedClassifier:
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        student = plain_student(self, seed)
        aligned = student if self.retrieval_weight == 0 else aligned_student(self, seed)
        rows, classes = check_training_rows(
            self,
            clone(student._named_inputs()),
            X,
            y,
            class_weight=student.class_weight,
            sample_weight=sample_weight,
            **given,
        )
        try:
            if isinstance(self.retrieval_weight, str):
                self.retrieval_weight_, self.retrieval_weight_scores_ = choose_weight(
                    self, rows, classes, seed
                )
            else:
                self.retrieval_weight_ = float(self.retrieval_weight)
            chosen = aligned if self.retrieval_weight_ else student
            self.student_ = chosen.fit(X, y, sample_weight, **given)
        except ChoiceInterruptedError as stop:
            stop.end(self)
        self.classes_ = classes
        X = indexable(X)[0]
        weight = np.asarray(1 if sample_weight is None else sample_weight)
        numbers = np.flatnonzero(np.broadcast_to(weight > 0, n_rows(X)))
        self._remember(X, rows, numbers, seed)
        return self

    def _check_models(self, ahead: Ahead | None = None) -> None:
        """Check the parameters, and those of the students that will be trained, before any is."""
        if self.index == "hnsw":
            hnsw_library(required=True)
        check_parameters(plain_student(self, 0), ahead)
        if self.retrieval_weight != 0:
            check_parameters(aligned_student(self, 0), ahead)

    def _check_ahead(self, ahead: Ahead) -> None:
        """Raise what fit would raise, as far as that is known; see ``check_student``."""
        self._validate_params()
        self._check_models(ahead)
        if ahead.X is not None:
            plain = self.retrieval_weight == 0
            probe(plain_student(self, 0) if plain else aligned_student(self, 0), ahead)

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {"student": lambda: StudentClassifier(MLP)}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = self._or_default("student")._named_inputs().input_tags()
        return tags
