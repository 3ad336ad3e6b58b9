"""What is kept of models and shown of them: exports, caches and pictures."""

import matplotlib.pyplot as plt
import numpy as np

import lelp_sklearn as lelp
from tests.fuzz.mutations.changes import ODD, renamed
from tests.fuzz.mutations.labels import SHOWN
from tests.fuzz.mutations.rows import ASKED, ASKED_WITH_Y
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.fitted import fitted
from tests.fuzz.subjects.subject import Subject, finite, is_proba, one_a_row


def kept():
    return {
        "to_onnx": Subject(
            _exported, {"sample": v.X}, {"sample": renamed(ASKED, ODD, "objects")}, is_proba
        ),
        "TeacherCache": Subject(_cached, {"X": v.X}, {"X": ASKED}, one_a_row, ("X",)),
        "SubclassDisplay": Subject(
            _drawn,
            {"H": v.H, "y": v.Y},
            {"H": ASKED_WITH_Y, "y": SHOWN},
            finite,
            ("H", "y"),
        ),
    }


def _exported(sample):
    model = lelp.to_onnx(fitted("lelp"), sample)
    return lelp.OnnxStudent(model.SerializeToString()).predict_proba(v.X.astype("f"))


def _cached(X):
    cache = lelp.TeacherCache()
    first, again = (cache.outputs(fitted("lelp"), X).proba for _ in range(2))
    np.testing.assert_array_equal(first, again)
    return first


def _drawn(H, y):
    display = lelp.SubclassDisplay.from_projector(fitted("projector"), H, y)
    plt.close("all")
    return np.concatenate(display.points)
