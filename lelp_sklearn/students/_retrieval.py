"""ReAugKD: a student that looks up what the teacher said of training rows like a new one."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state, column_or_1d, indexable
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from lelp_sklearn._compat import Interval, StrOptions, fit_context, safe_indexing
from lelp_sklearn._rows import n_rows
from lelp_sklearn.networks import MLP
from lelp_sklearn.objectives import RelationalAlignment, WeightedSum
from lelp_sklearn.outputs import TeacherOutputs, check_teacher_outputs
from lelp_sklearn.students._aligning import aligned_student, mixed, weight_scores
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._classifier import StudentClassifier
from lelp_sklearn.students._inputs import TrainingRows, check_training_rows
from lelp_sklearn.students._knowledge_base import KnowledgeBase, hnsw_library
from lelp_sklearn.teachers._keys import row_keys


class RetrievalAugmentedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
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
        w, the share of the votes. "auto" chooses from 0, 0.1, ..., 1; see the notes.
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
    student_ : StudentClassifier
        The fitted student.
    knowledge_base_ : KnowledgeBase
        Its ``embeddings``, ``proba``, ``labels`` (class numbers, -1 unknown), ``rows`` (numbers of
        the rows in fit's X, -1 for added ones), ``n_entries`` and ``nbytes``.
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
        entries are its own embeddings of the labelled rows, with their labels.

    See Also
    --------
    RelationalAlignment : The objective that aligns the spaces.
    DistilledClassifier : Asks the teacher itself; takes this as its student.

    Notes
    -----
    A training row never retrieves itself: an entry from training is not found by a row of the same
    content. Of equal training rows, the first kept is not found. Rows that were added are.

    ``retrieval_weight="auto"`` holds out a fifth of each class's labelled rows, trains on all
    others, which alone are the entries, and takes the weight of the lowest held-out log-loss of the
    labels, the smallest in a tie; then all rows are trained on. That is two fits. The weight 0 is
    ``student_`` alone, and then nothing is searched; the alignment it was trained with may cost a
    very small student some accuracy. Teacher probabilities of rows that the teacher
    was trained on are over-confident: with ``DistilledClassifier(cv=5)`` they are out of fold.

    ``n_neighbors`` and ``temperature`` may be set after fit, for the votes. A mixture is calibrated
    unlike its parts: check it. Who has the model has derivatives of the training rows: see the
    user guide on size and privacy.

    The student's objective may not be :class:`Stages`, nor a sum with learned weights, nor
    ``subclass_weight="auto"``. Row weights count in training and the choice of w, not in votes;
    rows of weight 0 are no entries.

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
        teacher_proba: ArrayLike | None = None,
        teacher_embeddings: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
        teacher_hidden: ArrayLike | None = None,
        teacher_attention: ArrayLike | None = None,
    ) -> RetrievalAugmentedClassifier:
        """Choose the weight, train the student, and keep what it will look up.

        Parameters
        ----------
        X, y, sample_weight, labeled, teacher_proba, teacher_embeddings
            As in a student's fit, :meth:`StudentClassifier.fit`. An unlabelled row is an entry if
            the teacher's probabilities are given.
        teacher_coef, teacher_hidden, teacher_attention
            As there; only for objectives that need them.

        Returns
        -------
        self
        """
        if self.index == "hnsw":
            hnsw_library(required=True)
        given: dict[str, Any] = {
            "labeled": labeled,
            "teacher_proba": teacher_proba,
            "teacher_embeddings": teacher_embeddings,
            "teacher_coef": teacher_coef,
            "teacher_hidden": teacher_hidden,
            "teacher_attention": teacher_attention,
        }
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        student = aligned_student(self, seed)
        rows, classes = check_training_rows(
            self,
            clone(student._named_inputs()),
            X,
            y,
            class_weight=student.class_weight,
            sample_weight=sample_weight,
            **given,
        )
        self.__dict__.pop("retrieval_weight_scores_", None)  # of an earlier fit
        if isinstance(self.retrieval_weight, str):
            scores = weight_scores(self, rows, classes, seed)
            self.retrieval_weight_scores_ = scores
            self.retrieval_weight_ = min(scores, key=scores.__getitem__)
        else:
            self.retrieval_weight_ = float(self.retrieval_weight)
        self.student_ = student.fit(X, y, sample_weight, **given)
        self.classes_ = classes
        X = indexable(X)[0]
        weight = np.asarray(1 if sample_weight is None else sample_weight)
        numbers = np.flatnonzero(np.broadcast_to(weight > 0, n_rows(X)))
        self._remember(X, rows, numbers, seed)
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Labels, of the type seen in fit.
        """
        winner = self.predict_proba(X).argmax(axis=1)
        return self.classes_[winner]

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each class, the student's and the entries' mixed.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes), float32
            Columns in the order of ``classes_``.
        """
        check_is_fitted(self, "knowledge_base_")
        student = self.student_.predict_proba(X)
        if self.retrieval_weight_ == 0:
            return student
        votes, found = self._votes(X)
        return mixed(student, votes, found, self.retrieval_weight_)

    def kneighbors(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None
    ) -> tuple[NDArray, NDArray]:
        """The entries that speak about each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features) or None, default=None
            Inputs. None asks for the neighbours of each entry, itself left out.
        n_neighbors : int or None, default=None
            How many; None is ``n_neighbors`` of the estimator.

        Returns
        -------
        distances : ndarray of shape (n_rows, k)
            Cosine distances, from 0 to 2, nearest first; infinite for a row's own entry where there
            are too few others.
        entries : ndarray of shape (n_rows, k)
            Their positions in ``knowledge_base_``, whose ``rows`` tells the training rows.
        """
        check_is_fitted(self, "knowledge_base_")
        base = self.knowledge_base_
        if X is None:
            queries, own = base.embeddings, np.arange(base.n_entries)
        else:
            queries, own = self._asked(X)
        cosine, entries = base.search(queries, n_neighbors or self.n_neighbors, own)
        return 1 - cosine, entries

    def add(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        teacher_proba: ArrayLike | None = None,
        teacher_embeddings: ArrayLike | None = None,
    ) -> RetrievalAugmentedClassifier:
        """Add entries without training; older ones are thinned where ``max_entries`` is reached.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.
        y : array-like of shape (n_rows,)
            Labels, all of them among ``classes_``.
        teacher_proba : array-like of shape (n_rows, n_classes), optional
            The teacher's probabilities; without them the label itself is the vote.
        teacher_embeddings : array-like of shape (n_rows, D), optional
            The teacher's embeddings; without them the student's own query stands in, which is
            where the row will be looked up.

        Returns
        -------
        self

        Warns
        -----
        UserWarning
            If ``retrieval_weight_`` is 0, so that no entry has a vote.
        """
        check_is_fitted(self, "knowledge_base_")
        labels = column_or_1d(y, warn=True)
        check_consistent_length(X, labels)
        codes = np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1)
        strange = np.unique(labels[self.classes_[codes] != labels])
        if len(strange):
            raise ValueError(
                f"y holds {strange.tolist()}, and the classes are {self.classes_.tolist()}: a new "
                "class needs a new fit."
            )
        teacher = check_teacher_outputs(
            teacher_proba, teacher_embeddings, len(labels), self.classes_
        )
        if teacher.embeddings is not None and self._alignment is None:
            raise ValueError(
                "teacher_embeddings do not fit the entries, which are the student's own "
                "embeddings: fit got no teacher arrays."
            )
        if self.retrieval_weight_ == 0:
            warnings.warn(
                "retrieval_weight_ is 0: the entries are kept, and have no vote.",
                UserWarning,
                stacklevel=2,
            )
        new = self._entries(X, codes, np.full(len(codes), True), teacher, np.full(len(codes), -1))
        base = self.knowledge_base_
        if self.max_entries is not None:
            new = new.thinned(self.max_entries)
            base = base.thinned(self.max_entries - new.n_entries)
        self.knowledge_base_ = base.then(new)
        return self

    def set_params(self, **params: Any) -> RetrievalAugmentedClassifier:
        """Set parameters; ``student__`` ones reach the default student too.

        Parameters
        ----------
        **params : dict
            Own parameters, and the student's.

        Returns
        -------
        self
        """
        nested = any(name.startswith("student__") for name in params)
        if nested and params.get("student", self.student) is None:
            params["student"] = StudentClassifier(MLP)
        return super().set_params(**params)

    @property
    def _alignment(self) -> RelationalAlignment | None:
        """The fitted alignment; None where the student was trained on labels alone."""
        objective = self.student_.objective_
        last = objective.objectives_[-1][1] if isinstance(objective, WeightedSum) else None
        return last if isinstance(last, RelationalAlignment) else None

    def _remember(self, X: Any, rows: TrainingRows, numbers: NDArray, seed: int) -> None:
        """Make the knowledge base of training rows, of which ``numbers`` are those in X."""
        known = rows.labeled | (rows.teacher.proba is not None)
        if self._alignment is None:
            known = rows.labeled  # the others were not trained on
        rows, numbers = rows.take(known), numbers[known]
        X = safe_indexing(X, numbers)  # with the names of its columns
        self._seed = seed
        self._centre = self.student_.transform(X).mean(axis=0)
        entries = self._entries(X, rows.y, rows.labeled, rows.teacher, numbers)
        self.knowledge_base_ = entries.thinned(self.max_entries or entries.n_entries)

    def _entries(
        self, X: Any, y: NDArray, labeled: NDArray, teacher: TeacherOutputs, rows: NDArray
    ) -> KnowledgeBase:
        alignment = self._alignment
        if alignment is None or teacher.embeddings is None:
            embeddings = self._queries(X)
        else:
            embeddings = alignment.project(teacher.embeddings)
        proba = np.eye(len(self.classes_))[y] if teacher.proba is None else teacher.proba
        return KnowledgeBase(
            np.ascontiguousarray(embeddings, np.float32),
            np.asarray(proba, np.float32),
            np.where(labeled, y, -1).astype(np.int32),
            rows.astype(np.int64),
            self._keys(X),
            index=self.index,
            seed=self._seed,
        )

    def _keys(self, X: Any) -> NDArray[np.int64]:
        """Keys of rows as the student reads them, so that no container matters; 64 bits will do."""
        checked = self.student_.inputs_.check(self.student_, X, reset=False)
        return np.ascontiguousarray(row_keys(checked)[:, 0]).view(np.int64)

    def _queries(self, X: Any) -> NDArray:
        """The student's embeddings in the shared space, of length 1."""
        alignment = self._alignment
        if alignment is not None:
            return self.student_._forward(X, lambda outputs: alignment.query(outputs.embedding))
        own = self.student_.transform(X) - self._centre  # cosines of what is no mere offset
        return own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)

    def _asked(self, X: Any) -> tuple[NDArray, NDArray]:
        """Queries, and the entries that the rows have from training."""
        return self._queries(X), self.knowledge_base_.own(self._keys(X))

    def _votes(self, X: Any) -> tuple[NDArray, NDArray]:
        queries, own = self._asked(X)
        return self.knowledge_base_.vote(queries, self.n_neighbors, self.temperature, own)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        student = StudentClassifier(MLP) if self.student is None else self.student
        tags.input_tags = student._named_inputs().input_tags()
        return tags
