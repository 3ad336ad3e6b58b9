"""as_teacher finds the adapter; check_teacher says in one sentence what is missing."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from skorch import NeuralNetClassifier
from torch import nn

from lelp_sklearn import StudentClassifier
from lelp_sklearn.objectives import CrossEntropy
from lelp_sklearn.teachers import (
    SklearnTeacher,
    SkorchTeacher,
    TorchTeacher,
    as_teacher,
    check_teacher,
)

X, Y = load_iris(return_X_y=True)


class Own:
    def __init__(self, classes=(0, 1)):
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)

    def transform(self, X):
        return np.asarray(X)


def without(*names):
    body = {name: getattr(Own, name) for name in ("predict_proba", "transform")}
    body = {name: value for name, value in body.items() if name not in names}
    if "classes_" not in names:
        body["classes_"] = np.array([0, 1])
    return type("Mine", (), body)()


@pytest.mark.parametrize(
    ("model", "adapter"),
    [
        (LogisticRegression(), SklearnTeacher),
        (nn.Linear(4, 3), TorchTeacher),
        (NeuralNetClassifier(nn.Linear), SkorchTeacher),
        (LinearDiscriminantAnalysis(), None),
        (StudentClassifier(), None),
        (Own(), None),
        (SklearnTeacher(LogisticRegression()), None),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_dispatch(model, adapter):
    teacher = as_teacher(model)
    if adapter is None:
        assert teacher is model
    else:
        assert type(teacher) is adapter


@pytest.mark.parametrize(
    "teacher",
    [
        Own(),
        LinearDiscriminantAnalysis().fit(X, Y),
        as_teacher(LogisticRegression(max_iter=1000).fit(X, Y)),
        as_teacher(nn.Linear(4, 3)),
        StudentClassifier(objective=CrossEntropy(), max_epochs=1, random_state=0).fit(X, Y),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_teacher_passes(teacher):
    assert check_teacher(teacher) is None


@pytest.mark.parametrize(
    ("teacher", "error", "words"),
    [
        (without("predict_proba"), TypeError, "no predict_proba"),
        (without("transform"), TypeError, "Mine has no transform, which gives the embeddings"),
        (without("classes_"), TypeError, "Mine has no classes_"),
        (Own([1]), ValueError, r"classes_ is .*two or more"),
        (Own([1, 1]), ValueError, "different labels"),
        (Own, TypeError, "Own is a class"),
        (LogisticRegression(), NotFittedError, "LogisticRegression is not fitted"),
        (as_teacher(LogisticRegression()), NotFittedError, "SklearnTeacher is not fitted"),
        (LinearSVC().fit(X, Y), TypeError, "CalibratedClassifierCV"),
        (SklearnTeacher(LinearSVC().fit(X, Y)), TypeError, "CalibratedClassifierCV"),
        (nn.Linear(2, 2), TypeError, "wrap it by as_teacher"),
        (np.ones((3, 2)), TypeError, "CompositeTeacher"),
    ],
)
def test_one_sentence_says_what_is_missing(teacher, error, words):
    with pytest.raises(error, match=words) as caught:
        check_teacher(teacher)
    message = str(caught.value)
    assert message.endswith(".")
    assert ". " not in message


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (LinearSVC(), "CalibratedClassifierCV"),
        (LogisticRegression, "is a class"),
        (None, "NoneType has no predict_proba"),
        (without("transform"), "no transform"),
        (np.ones((3, 2)), "CompositeTeacher"),
    ],
    ids=["svc", "class", "none", "no transform", "array"],
)
def test_what_has_no_adapter(model, words):
    with pytest.raises(TypeError, match=words):
        as_teacher(model)
