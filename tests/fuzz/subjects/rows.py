"""Rows chosen, made up, or smoothed."""

import numpy as np
from sklearn.base import clone

import lelp_sklearn as lelp
from tests.fuzz.mutations.arrays import EMBEDDINGS
from tests.fuzz.mutations.changes import ABSENT, OPTIONAL
from tests.fuzz.mutations.counts import COUNTS
from tests.fuzz.mutations.labels import UNREAD
from tests.fuzz.mutations.rows import ANY_ROWS, CHOSEN, DRAWN_FROM, MADE_FROM
from tests.fuzz.mutations.teacher import PROBA, SMOOTHED
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.subject import Subject, finite


def of_rows():
    def select(strategy):
        def call(X, n, proba):
            rows = lelp.select_rows(X, n, strategy=strategy, proba=proba, random_state=0)
            assert len(np.unique(rows)) == n
            return rows

        return call

    def make(augmenter):
        def call(X, y, n_samples):
            return lelp.inputs._columns.as_numbers(clone(augmenter).fit(X, y).sample(n_samples))

        return call

    def made(result, arguments):
        assert not np.isinf(result).any()
        assert result.shape == (arguments["n_samples"], _n_columns(arguments["X"]))

    found = {}
    for strategy in ("random", "entropy", "margin", "informed", "k-means++", "k-center", "k-dpp"):
        reads_proba = strategy in ("entropy", "margin", "informed")
        found[f"select_rows {strategy}"] = Subject(
            select(strategy),
            {"X": v.X, "n": 3, "proba": v.PROBA},
            {
                "X": ANY_ROWS if strategy == "random" or reads_proba else CHOSEN,
                "n": COUNTS,
                "proba": PROBA + (ABSENT if reads_proba else OPTIONAL),
            },
            finite,
            ("X", "proba"),
        )
    for name, augmenter in {
        "Mixup": lelp.Mixup(random_state=0),
        "Munge": lelp.Munge(random_state=0),
        "Resample": lelp.Resample(random_state=0),
        "Smote": lelp.Smote(random_state=0),
        "VAEAugmenter": lelp.VAEAugmenter(max_epochs=1, random_state=0),
        "GANAugmenter": lelp.GANAugmenter(max_epochs=1, random_state=0),
    }.items():
        rows = DRAWN_FROM if name in ("Munge", "Resample") else MADE_FROM
        found[name] = Subject(
            make(augmenter),
            {"X": v.X, "y": v.Y, "n_samples": 7},
            {"X": rows, "y": UNREAD, "n_samples": COUNTS},
            made,
            ("X", "y"),
            atol=0.1,
        )
    found["propagate_labels"] = Subject(
        lambda proba, H: lelp.propagate_labels(proba, H, n_neighbors=3, n_iter=5),
        {"proba": v.PROBA, "H": v.H},
        {"proba": SMOOTHED, "H": EMBEDDINGS + ABSENT},
        finite,
        ("proba", "H"),
        atol=1e-2,
    )
    return found


def _n_columns(rows):
    return rows.shape[1] if hasattr(rows, "shape") else len(rows[0])
