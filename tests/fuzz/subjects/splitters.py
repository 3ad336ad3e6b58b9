"""Fits of splitters."""

from functools import partial

import numpy as np

import lelp_sklearn as lelp
from tests.fuzz.mutations.arrays import EMBEDDINGS
from tests.fuzz.mutations.changes import ABSENT
from tests.fuzz.mutations.labels import LABELS, LATER_LABELS
from tests.fuzz.mutations.teacher import SPLIT_COEF
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.students import PROBA_OF
from tests.fuzz.subjects.subject import Subject, fitting, splits


def splitters():
    quick = {"n_subclasses": 2, "random_state": 0}
    by_proba = {"H": EMBEDDINGS + ABSENT, "y": LABELS, **PROBA_OF}
    in_parts = {**by_proba, "y": LATER_LABELS}

    def answer(splitter, H, **_):
        return splitter.transform(H)

    split = partial(fitting, answer=answer, check=splits)
    projector = lelp.LELPProjector(**quick)
    with_coef = {**by_proba, "teacher_coef": SPLIT_COEF}
    found = {
        f"{name} fit": split(splitter, with_coef)
        for name, splitter in {
            "LELPProjector": projector,
            "LELPProjector, varimax": lelp.LELPProjector(directions="varimax", **quick),
            "LELPProjector, auto": lelp.LELPProjector(n_subclasses="auto", random_state=0),
            "ClusterSplitter": lelp.ClusterSplitter(**quick),
            "ICASplitter": lelp.ICASplitter(max_iter=20, **quick),
            "GraphSplitter": lelp.GraphSplitter(**quick),
            "AutoencoderSplitter": lelp.AutoencoderSplitter(
                pretrain_epochs=1, max_epochs=1, **quick
            ),
            "EnsembleSplitter": lelp.EnsembleSplitter([("a", projector)]),
        }.items()
    }
    found["CCASplitter fit"] = split(
        lelp.CCASplitter(**quick),
        {**by_proba, "student_inputs": EMBEDDINGS},
        values={"student_inputs": v.X},
    )
    for name, control in {
        "UniformSplitter": lelp.UniformSplitter(n_subclasses=2),
        "RandomSplitter": lelp.RandomSplitter(**quick),
    }.items():
        found[f"{name} fit"] = split(control, {"H": EMBEDDINGS + ABSENT, "y": LABELS})
    found["LELPProjector partial_fit"] = split(projector, in_parts, method="partial_fit")

    def merge(H, y, teacher_proba):
        one, other = (lelp.LELPProjector(**quick) for _ in range(2))
        one.fit(v.VALUES["H"], v.Y, teacher_proba=v.PROBA)
        before = one.transform(v.VALUES["H"])
        other.partial_fit(H, y, teacher_proba=teacher_proba)
        try:
            one.merge(other)
        except Exception:
            np.testing.assert_array_equal(one.transform(v.VALUES["H"]), before)
            raise
        return one.transform(H)

    aligned = ("H", "y", "teacher_proba")
    found["merge"] = Subject(
        merge, {n: v.VALUES[n] for n in aligned}, in_parts, splits, aligned, atol=1e-3
    )
    return found
