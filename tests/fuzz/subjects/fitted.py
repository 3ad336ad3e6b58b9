"""Models that are fitted once, to be asked."""

import logging
from functools import cache

import pandas as pd
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import lelp_sklearn as lelp
from tests.fuzz.subjects import values as v

_ANSWERS = {"teacher_proba": v.PROBA, "teacher_embeddings": v.H}


@cache
def fitted(kind):
    """The one of a kind."""
    return _MAKERS[kind]()


def _student(body=lelp.MLP):
    return lelp.StudentClassifier(body, objective=lelp.KD(), **v.QUICK)


def _teacher():
    return LogisticRegression().fit(v.X, v.Y)


def _projector():
    return lelp.LELPProjector(n_subclasses=2, null_space=False, random_state=0).fit(v.H, v.Y)


def _lelp():
    projector = lelp.LELPProjector(n_subclasses=2, random_state=0)
    student = lelp.LELPStudentClassifier(projector=projector, **v.QUICK)
    return student.fit(v.X, v.Y, **_ANSWERS)


def _frame():
    rows = pd.DataFrame(v.X, columns=[f"c{i}" for i in range(4)])
    return _student().fit(rows, v.Y, teacher_proba=v.PROBA)


def _sparse():
    rows = sparse.csr_array(v.X)
    return _student(lelp.BagOfNgrams).fit(rows, v.Y, teacher_proba=v.PROBA)


def _table():
    return _student(lelp.TabularMLP).fit(v.TABLE, v.Y, teacher_proba=v.PROBA)


def _text():
    student = lelp.StudentClassifier(lelp.StaticText, objective=lelp.KD(), module__dim=4, **v.QUICK)
    return student.fit(v.TEXTS, v.Y, teacher_proba=v.PROBA)


def _retrieval():
    student = lelp.RetrievalAugmentedClassifier(_student(), retrieval_weight=0.5, random_state=0)
    return student.fit(v.X, v.Y, **_ANSWERS)


def _onnx():
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    return lelp.OnnxStudent(lelp.to_onnx(fitted("lelp"), v.X.astype("f")).SerializeToString())


_MAKERS = {
    "teacher": _teacher,
    "projector": _projector,
    "lelp": _lelp,
    "frame": _frame,
    "sparse": _sparse,
    "table": _table,
    "text": _text,
    "retrieval": _retrieval,
    "onnx": _onnx,
}
