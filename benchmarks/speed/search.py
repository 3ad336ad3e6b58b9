"""A grid search over a student: against the same fits by hand, on two workers, under load.

Also what a search over numbers of subclasses saves where the projector has a ``memory``: the
moments of a fold do not depend on them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from multiprocessing import get_context

import numpy as np
from _pairs import paired
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from training import Work

from lelp_sklearn import MLP, LELPProjector, LELPStudentClassifier

GRID = {"lr": [0.003, 0.01, 0.03], "batch_size": [256, 512], "alpha": [0.3, 0.6]}
SPIN = "while True: pass"


class Search:
    """20,000 rows, 12 candidates, 5 folds."""

    def __init__(self, width=64):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((20_000, 30), dtype=np.float32)
        self.H = np.tanh(self.X @ rng.standard_normal((30, width), dtype=np.float32))
        odds = self.H[:, :8].sum(axis=1)
        self.y = (odds > 0).astype(int)
        self.teacher = {
            "teacher_proba": np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))]),
            "teacher_embeddings": self.H,
        }
        self.folds = list(StratifiedKFold(5).split(self.X, self.y))

    def student(self, **projector):
        return LELPStudentClassifier(
            MLP,
            projector=LELPProjector(**projector),
            max_epochs=3,
            device="cpu",
            random_state=0,
        )

    def searched(self, n_jobs):
        search = GridSearchCV(self.student(), GRID, cv=self.folds, n_jobs=n_jobs, refit=False)
        search.fit(self.X, self.y, **self.teacher)

    def by_hand(self):
        for params in ParameterGrid(GRID):
            for train, test in self.folds:
                teacher = {name: values[train] for name, values in self.teacher.items()}
                student = clone(self.student()).set_params(**params)
                student.fit(self.X[train], self.y[train], **teacher)
                student.score(self.X[test], self.y[test])

    def counts(self, memory):
        """Search over six numbers of subclasses."""
        search = GridSearchCV(
            self.student(memory=memory).set_params(max_epochs=1, batch_size=2048),
            {"projector__n_subclasses": [2, 4, 6, 8, 12, 16]},
            cv=self.folds,
            refit=False,
        )
        search.fit(self.X, self.y, **self.teacher)


def in_processes(n_processes):
    """Eight loops in plain torch: what two processes can gain on this machine at all."""
    with get_context("fork").Pool(n_processes) as pool:
        pool.map(by_hand, range(8), chunksize=1)


def by_hand(_):
    Work(20_000, 30, 64, 128, epochs=3).by_hand()


def rows(args):
    """Name, bar and measured ratio of each comparison."""
    search, pairs = Search(), max(3, args.pairs // 2)
    searched = {n: lambda n=n: search.searched(n) for n in (1, 2)}
    yield (
        "GridSearchCV 12 x 5: by hand",
        "<= 1.15",
        paired(searched[1], search.by_hand, pairs, warm=0),
    )
    yield (
        "plain torch in 2 processes: in 1",
        "",
        paired(lambda: in_processes(2), lambda: in_processes(1), pairs),
    )
    yield "n_jobs=2: n_jobs=1", "<= 0.625", paired(searched[2], searched[1], pairs)
    other = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield (
            "n_jobs=2: n_jobs=1, another process busy",
            "<= 1.10",
            paired(searched[2], searched[1], pairs, warm=0),
        )
    finally:
        other.kill()
        other.wait()
    wide = Search(width=768)

    def remembered():
        with tempfile.TemporaryDirectory() as folder:
            wide.counts(folder)

    yield (
        "six n_subclasses, memory=: without (embeddings of 768)",
        "<= 1.0",
        paired(remembered, lambda: wide.counts(None), pairs, warm=0),
    )
