"""Calls on one estimator in any order: it answers as a fresh one that did only what still counts.

What counts is the last fit that went well and each partial_fit after it. Calls that fail count for
nothing, and copies are as good as what they are copies of.
"""

import copy
import pickle
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import lelp_sklearn as lelp
from tests.fuzz.judging import own_words
from tests.fuzz.mutations.labels import WORDS
from tests.fuzz.subjects import values as v
from tests.profile import NIGHTLY

pytestmark = pytest.mark.filterwarnings("ignore:X .* feature names")
BROKEN = v.X.copy()
BROKEN[5, 1] = np.nan
FEW = v.Y < 2
# Rows, labels and what a teacher says of them.
DATA = {
    "plain": (v.X, v.Y, v.PROBA, v.H),
    "words": (v.X, WORDS[v.Y], v.PROBA, v.H),
    "two classes": (v.X[FEW], v.Y[FEW], np.tile([0.75, 0.25], (FEW.sum(), 1)), v.H[FEW]),
    "three columns": (v.X[:, :3], v.Y, v.PROBA, v.H[:, :4]),
    "named columns": (pd.DataFrame(v.X, columns=list("abcd")), v.Y, v.PROBA, v.H),
    "missing value": (BROKEN, v.Y, v.PROBA, np.where(np.isnan(BROKEN[:, :1]), BROKEN[:, :1], v.H)),
    "one row less": (v.X, v.Y[:-1], v.PROBA[1:], v.H[2:]),
    "one class": (v.X, np.zeros(v.N, int), v.PROBA, v.H),
}
_PROJECTOR = lelp.LELPProjector(n_subclasses=2, null_space=False, random_state=0)
_STUDENT = lelp.StudentClassifier(lelp.MLP, objective=lelp.KD(), module__hidden=5, **v.QUICK)
_LELP = lelp.LELPStudentClassifier(lelp.MLP, projector=_PROJECTOR, module__hidden=5, **v.QUICK)
# The estimator, what its fit takes, what it answers, and values of parameters that fit alone reads.
KINDS = {
    "student": (_STUDENT, "X y proba", "predict_proba", {"lr": [0.05, -1.0], "max_epochs": [2]}),
    "LELP student": (_LELP, "X y proba H", "predict_proba", {"lr": [0.05], "batch_size": [8, 0]}),
    "student of tables": (
        lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **v.QUICK),
        "X y proba",
        "predict_proba",
        {"batch_size": [8, "many"]},
    ),
    "subclass teacher": (
        lelp.SubclassTeacher(n_subclasses=2, **v.QUICK),
        "X y",
        "transform",
        {"n_subclasses": [3, 0]},
    ),
    "distilled": (
        lelp.DistilledClassifier(LogisticRegression(), _STUDENT, cv=2),
        "X y",
        "predict_proba",
        {"student__lr": [0.05, -1.0], "refit_teacher": [False]},
    ),
    "retrieval": (
        lelp.RetrievalAugmentedClassifier(_STUDENT, retrieval_weight=0.5, random_state=0),
        "X y proba H",
        "predict_proba",
        {"max_entries": [9, 0]},
    ),
    "ensemble": (
        lelp.TeacherEnsemble([("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]),
        "X y",
        "predict_proba",
        {"cv": [2, 1]},
    ),
    "projector": (_PROJECTOR, "H y", "transform", {"n_subclasses": [3, 9]}),
    "clusters": (
        lelp.ClusterSplitter(n_subclasses=2, null_space=False, random_state=0),
        "H y",
        "transform",
        {"reduce": [2, 30]},
    ),
}
COPIES = {"pickle": lambda e: pickle.loads(pickle.dumps(e)), "deepcopy": copy.deepcopy}
_NAMES = {"proba": "teacher_proba", "H": "teacher_embeddings"}


def run(estimator, kind, call):
    """Make a call; None, or the error in our own words that it ends in."""
    method, data = call
    _, takes, _, _ = KINDS[kind]
    X, y, proba, H = DATA[data]
    first, *more = takes.split()
    arrays = {"X": X, "y": y, "proba": proba, "H": H}
    fit_params = {_NAMES[name]: arrays[name] for name in more if name != "y"}
    try:
        with own_words(("sklearn",)):
            getattr(estimator, method)(arrays[first], y, **fit_params)
    except (ValueError, TypeError) as error:
        return error
    return None


def answer(estimator, kind, data):
    X, _, _, H = DATA[data]
    _, takes, method, _ = KINDS[kind]
    try:
        return getattr(estimator, method)(H if takes.startswith("H") else X)
    except ValueError as error:  # of a projector that has seen too few rows so far
        return str(error)


@cache
def fresh(kind, counts):
    """A new estimator that makes the calls that count: parameters set, then a fit, one a tuple."""
    estimator = clone(KINDS[kind][0])
    for params, call in counts:
        estimator.set_params(**dict(params))
        error = run(estimator, kind, call)
        if error is not None:
            return estimator, error
    return estimator, None


@st.composite
def steps(draw, kind):
    estimator, _, _, params = KINDS[kind]
    methods = [m for m in ("fit", "fit", "partial_fit") if hasattr(estimator, m)]
    fits = st.tuples(st.sampled_from(methods), st.sampled_from(list(DATA)))
    values = [("set_params", (name, value)) for name, some in params.items() for value in some]
    others = st.sampled_from([*values, *((name, None) for name in ("clone", *COPIES))])
    return draw(st.lists(st.one_of(fits, fits, others), min_size=3, max_size=8))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=250 if NIGHTLY else 2, derandomize=not NIGHTLY)
@given(data=st.data())
def test_only_the_last_good_fit_counts(kind, data):
    follow(kind, data.draw(steps(kind)))


def follow(kind, calls):
    estimator, params, counts = clone(KINDS[kind][0]), {}, ()
    for name, argument in calls:
        if name == "set_params":
            params[argument[0]] = argument[1]
            estimator.set_params(**params)
        elif name == "clone":
            estimator, counts = clone(estimator), ()
        elif name in COPIES:
            estimator = COPIES[name](estimator)
        else:
            kept = counts if name == "partial_fit" else ()
            wanted = (*kept, (tuple(sorted(params.items())), (name, argument)))
            error, expected = run(estimator, kind, wanted[-1][1]), fresh(kind, wanted)[1]
            assert str(error) == str(expected)
            if error is None:
                counts = wanted
        if counts:
            seen = counts[-1][1][1]
            expected = answer(fresh(kind, counts)[0], kind, seen)
            np.testing.assert_array_equal(answer(estimator, kind, seen), expected)
