"""One fold of a comparison: every splitter and control, trained and measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer, log_loss
from sklearn.pipeline import Pipeline

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn._rows import plain_rows
from lelp_sklearn.inspection._measures import (
    fine_agreement,
    linear_features,
    own_subclasses,
    predictability,
    subclass_shares,
)
from lelp_sklearn.objectives import LELP
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.students._pipelines import fit_student
from lelp_sklearn.subclasses import OracleSplitter, SubclassSplitter, UniformSplitter

CONTROLS = ("KD", "wide head")


@dataclass(frozen=True)
class Fold:
    """A split of the rows in two, and everything that is trained and measured on it."""

    outputs: TeacherOutputs
    X: Any
    classes: NDArray
    codes: NDArray
    fine: NDArray | None
    student: Any
    rows: tuple[NDArray, NDArray]
    seed: int
    scoring: tuple[str, ...]

    def compare(self, splitters: Mapping[str, SubclassSplitter]) -> list[dict[str, Any]]:
        """One record a splitter and control."""
        fitted = {name: self._split(splitter) for name, splitter in splitters.items()}
        widest = np.max([projector.n_subclasses_ for projector, _ in fitted.values()], axis=0)
        widths: list[Any] = [1, dict(zip(self.classes.tolist(), widest.tolist(), strict=True))]
        records = [
            self._measure(name, *self._split(UniformSplitter(n_subclasses=width)), weight=0.0)
            for name, width in zip(CONTROLS, widths, strict=True)
        ]
        return records + [self._measure(name, *found) for name, found in fitted.items()]

    def _split(self, splitter: SubclassSplitter) -> tuple[SubclassSplitter, float]:
        """A splitter as a student fits it, and the seconds that took."""
        train = self.rows[0]
        objective = LELP(projector=splitter)
        inputs = self._student_inputs() if objective.reads_inputs else None
        start = time.perf_counter()
        objective.fit(
            self._told(splitter).take(train), self.codes[train], self.classes, self.seed, inputs
        )
        return objective.projector_, time.perf_counter() - start

    def _told(self, splitter: SubclassSplitter) -> TeacherOutputs:
        """What a splitter is told: the fine labels instead of embeddings, if it is the oracle."""
        if not isinstance(splitter, OracleSplitter) or self.fine is None:
            return self.outputs
        fine = np.unique(self.fine, return_inverse=True)[1]
        return TeacherOutputs(self.outputs.proba, fine[:, None].astype(np.float32))

    def _student_inputs(self) -> Any:
        """Training rows as LELPStudentClassifier gives them, or as they are where it gives none."""
        X, y = safe_indexing(self.X, self.rows[0]), self.classes[self.codes[self.rows[0]]]
        student = self.student
        while isinstance(student, Pipeline):
            X = clone(student[:-1]).fit_transform(X, y) if len(student) > 1 else X
            student = student.steps[-1][1]
        reader = clone(student._named_inputs())
        rows = reader.check(clone(student), X, reset=True)
        matrix = reader.fit(rows).matrix(rows)
        return rows if matrix is None else matrix

    def _measure(
        self,
        name: str,
        projector: SubclassSplitter,
        seconds: float,
        weight: float | None = None,
    ) -> dict[str, Any]:
        (train, test), sizes = self.rows, projector.n_subclasses_
        student = clone(self.student)
        last = last_step(student)
        last.set_params(projector=FrozenEstimator(projector), random_state=self.seed)
        if weight is not None:
            last.set_params(subclass_weight=weight)
        told = self._told(projector)
        taught = told.take(train)
        arrays = {"teacher_proba": taught.proba, "teacher_embeddings": taught.embeddings}
        X, y = [safe_indexing(self.X, rows) for rows in self.rows], self.classes[self.codes]
        start = time.perf_counter()
        fit_student(student, X[0], y[train], arrays)
        student_seconds = time.perf_counter() - start
        proba = student.predict_proba(X[1])
        assert told.embeddings is not None
        splits = [plain_rows(projector.transform(told.embeddings[rows])) for rows in self.rows]
        codes = self.codes[train], self.codes[test]
        subclass = [own_subclasses(s, c, sizes) for s, c in zip(splits, codes, strict=True)]
        shares = subclass_shares(splits[0], codes[0], sizes)
        features = linear_features(*(_inputs_of_last(student, part) for part in X))
        rates = predictability(features, subclass, codes, self.seed) if features else (np.nan,) * 2
        return {
            "splitter": name,
            "accuracy": float(np.mean(proba.argmax(axis=1) == codes[1])),
            "log_loss": log_loss(y[test], proba, labels=self.classes),
            **{s: get_scorer(s)(student, X[1], y[test]) for s in self.scoring},
            "splitter_seconds": seconds,
            "student_seconds": student_seconds,
            "n_subclasses": int(sizes.sum()),
            "smallest_share": shares.min(),
            "largest_share": shares.max(),
            "predictability": rates[0],
            "majority_rate": rates[1],
            **(
                {}
                if self.fine is None
                else {"nmi": fine_agreement(subclass[1], self.fine[test], codes[1])}
            ),
        }


def last_step(student: Any) -> Any:
    """The student at the end of a Pipeline, or itself."""
    while isinstance(student, Pipeline):
        student = student.steps[-1][1]
    return student


def _inputs_of_last(student: Any, X: Any) -> Any:
    while isinstance(student, Pipeline):
        X = student[:-1].transform(X) if len(student) > 1 else X
        student = student.steps[-1][1]
    return X
