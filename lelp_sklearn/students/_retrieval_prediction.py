"""What a retrieval-augmented student answers, and the entries that it looks up to do so."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn._rows import plain_rows
from lelp_sklearn._tables import check_same_series
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.objectives import RelationalAlignment, WeightedSum
from lelp_sklearn.outputs import TeacherOutputs, check_teacher_outputs
from lelp_sklearn.students._aligning import mixed
from lelp_sklearn.students._inputs import TrainingRows
from lelp_sklearn.students._knowledge_base import KnowledgeBase
from lelp_sklearn.teachers._keys import row_keys


class RetrievalPrediction:
    """Predictions, neighbours and new entries of a fitted model."""

    classes_: NDArray
    student_: Any
    knowledge_base_: KnowledgeBase
    retrieval_weight_: float
    n_neighbors: int
    temperature: float
    max_entries: int | None
    index: str

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

        Raises
        ------
        ValueError
            If there are no entries, as ``retrieval_weight_`` is 0.
        """
        check_is_fitted(self, "knowledge_base_")
        base = self.knowledge_base_
        if not base.n_entries:
            raise ValueError(
                "there are no entries, as retrieval_weight_ is 0: fit with a retrieval_weight "
                "above 0, such as 0.3."
            )
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
    ) -> Any:
        """Add entries without training; older ones are thinned where ``max_entries`` is reached.

        Where ``retrieval_weight_`` is 0, nothing is looked up and nothing is added.

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
            If ``retrieval_weight_`` is 0.
        """
        check_is_fitted(self, "knowledge_base_")
        check_same_series(y, X, "y")
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
            teacher_proba, teacher_embeddings, len(labels), self.classes_, X=X, y=y
        )
        if self.retrieval_weight_ == 0:
            warnings.warn(
                "retrieval_weight_ is 0: nothing is looked up, and the rows are not added.",
                UserWarning,
                stacklevel=2,
            )
            return self
        if teacher.embeddings is not None and self._alignment is None:
            raise ValueError(
                "teacher_embeddings do not fit the entries, which are the student's own "
                "embeddings: fit got no teacher arrays."
            )
        new = self._entries(X, codes, np.full(len(codes), True), teacher, np.full(len(codes), -1))
        base = self.knowledge_base_
        if self.max_entries is not None:
            new = new.thinned(self.max_entries)
            base = base.thinned(self.max_entries - new.n_entries)
        self.knowledge_base_ = base.then(new)
        return self

    @property
    def _alignment(self) -> RelationalAlignment | None:
        """The fitted alignment; None where the student was trained without."""
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
        self._centre = plain_rows(self.student_.transform(X)).mean(axis=0, dtype=np.float64)
        entries = self._entries(X, rows.y, rows.labeled, rows.teacher, numbers)
        most = self.max_entries or entries.n_entries
        self.knowledge_base_ = entries.thinned(most if self.retrieval_weight_ else 0)

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
        inputs = self.student_.inputs_
        rows = inputs.check(self.student_, X, reset=False)
        if isinstance(inputs, ArrayInputs):
            rows = inputs.matrix(rows)  # of one type, float32, whatever the array is of
        return np.ascontiguousarray(row_keys(rows)[:, 0]).view(np.int64)

    def _queries(self, X: Any) -> NDArray:
        """The student's embeddings in the shared space, of length 1, each row by itself."""
        alignment = self._alignment
        if alignment is None:
            embeddings = plain_rows(self.student_.transform(X))
            own = embeddings - self._centre  # cosines of what is no mere offset
        else:
            layer: Any = alignment.module_
            own = self.student_._forward(X, lambda outputs: layer(outputs.embedding))
        own = np.nan_to_num(own).astype(np.float64)  # where squares of large numbers fit in
        return (own / np.linalg.norm(own, axis=1, keepdims=True).clip(1e-12)).astype(np.float32)

    def _asked(self, X: Any) -> tuple[NDArray, NDArray]:
        """Queries, and the entries that the rows have from training."""
        return self._queries(X), self.knowledge_base_.own(self._keys(X))

    def _votes(self, X: Any) -> tuple[NDArray, NDArray]:
        queries, own = self._asked(X)
        return self.knowledge_base_.vote(queries, self.n_neighbors, self.temperature, own)
