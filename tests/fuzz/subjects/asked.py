"""Methods of fitted models."""

import numpy as np
from scipy import sparse

from tests.fuzz.mutations.counts import COUNTS
from tests.fuzz.mutations.labels import SHOWN
from tests.fuzz.mutations.rows import ASKED, ASKED_WITH_Y, SERVED
from tests.fuzz.mutations.tables import ASKED_TABLES
from tests.fuzz.mutations.teacher import JOINED, PROBA
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.fitted import fitted
from tests.fuzz.subjects.subject import Subject, finite, is_proba, splits


def _method(kind, name):
    def call(**arguments):
        return getattr(fitted(kind), name)(*arguments.values())

    return call


def asked():
    """Methods of fitted models."""
    of_rows = {"X": ASKED}
    found = {}
    for name in (
        "predict_proba",
        "predict",
        "predict_log_proba",
        "decision_function",
        "predict_subclass_proba",
        "transform",
    ):
        check = is_proba if name.endswith("proba") and "log" not in name else finite
        found[name] = Subject(_method("lelp", name), {"X": v.X}, of_rows, check)
    found |= {
        "predict of a frame": Subject(
            _method("frame", "predict_proba"), {"X": v.X}, of_rows, is_proba
        ),
        "predict of sparse rows": Subject(
            _method("sparse", "predict_proba"),
            {"X": sparse.csr_array(v.X)},
            {"X": ASKED},
            is_proba,
        ),
        "predict of a table": Subject(
            _method("table", "predict_proba"), {"X": v.TABLE}, {"X": ASKED_TABLES}, is_proba
        ),
        "predict with retrieval": Subject(
            _method("retrieval", "predict_proba"), {"X": v.X}, of_rows, is_proba
        ),
        "predict by onnx": Subject(
            _method("onnx", "predict_proba"), {"X": v.X}, {"X": SERVED}, is_proba
        ),
        "split": Subject(
            _method("projector", "transform"),
            {"H": v.H},
            {"H": ASKED},
            splits,
        ),
        "representatives": Subject(
            lambda H, k, y: fitted("projector").representatives(H, k, y=y),
            {"H": v.H, "k": 3, "y": v.Y},
            {"H": ASKED_WITH_Y, "k": COUNTS, "y": SHOWN},
            finite,
            ("H", "y"),
        ),
        "joint": Subject(
            lambda split, proba: fitted("projector").joint(split, proba),
            {"split": np.tile([0.25, 0.75], (v.N, v.C)), "proba": v.PROBA},
            {"split": JOINED, "proba": PROBA},
            finite,
            ("split", "proba"),
        ),
    }
    return found
