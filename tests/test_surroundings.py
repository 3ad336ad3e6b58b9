"""What the surrounding program has set changes no result, and is as it was afterwards."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

import lelp_sklearn as lelp
from lelp_sklearn.teachers import SkorchTeacher, TorchTeacher
from tests.fuzz.subjects import values as v
from tests.fuzz.surroundings import SURROUNDINGS

QUICK = {**v.QUICK, "max_epochs": 2}


def student(body=None, **params):
    projector = lelp.LELPProjector(n_subclasses=2, null_space=False, random_state=0)
    return lelp.LELPStudentClassifier(body, projector=projector, **QUICK, **params)


def columns():
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["a", "b", "c"]),
            ("words", OneHotEncoder(sparse_output=False), ["d"]),
        ]
    )


def forest():
    forest = RandomForestClassifier(3, random_state=0)
    return lelp.SklearnTeacher(forest, n_components=3, random_state=0)


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


NET = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0)


def torch_teacher():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TorchTeacher(Net())


def texts(teacher):
    vectorized = make_pipeline(TfidfVectorizer(), LogisticRegression())
    return teacher(vectorized, n_components=3, random_state=0)


DISTILLED = {
    "forest": (forest(), student(), v.X),
    "forest of a table": (
        make_pipeline(columns(), RandomForestClassifier(3, random_state=0)),
        lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **QUICK),
        v.TABLE,
    ),
    "steps before both": (
        make_pipeline(columns(), LogisticRegression()),
        make_pipeline(columns(), student(lelp.MLP, module__hidden=5)),
        v.TABLE,
    ),
    "transformer": (LinearDiscriminantAnalysis(), student(), v.X),
    "names": (
        make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
        student(),
        pd.DataFrame(v.X, columns=list("abcd")),
    ),
    "texts": (
        lelp.SklearnTeacher(
            make_pipeline(TfidfVectorizer(), LogisticRegression()), n_components=3, random_state=0
        ),
        student(lelp.StaticText, module__dim=4),
        v.TEXTS,
    ),
    "ensemble": (
        lelp.TeacherEnsemble([("forest", forest()), ("lda", LinearDiscriminantAnalysis())]),
        student(),
        v.X,
    ),
    "search": (LinearDiscriminantAnalysis(), GridSearchCV(student(), {"lr": [0.1]}, cv=2), v.X),
    "student": (
        lelp.StudentClassifier(lelp.MLP, objective=lelp.CrossEntropy(), **QUICK),
        student(),
        v.X,
    ),
    "clusters of reduced rows": (
        forest(),
        lelp.StudentClassifier(
            lelp.MLP,
            objective=lelp.LELP(
                projector=lelp.ClusterSplitter(reduce=PCA(2), n_subclasses=2, null_space=False)
            )
            + lelp.EmbeddingApproximation(n_components=2),
            **QUICK,
        ),
        v.X,
    ),
}
OF_SKLEARN = ("pandas", "polars", "routing", "assume_finite", "skip_validation")
OF_TORCH = ("float64", "autocast", "inference", "meta")


@pytest.mark.parametrize("name", DISTILLED)
def test_distilled_classifiers(name):
    teacher, student, X = DISTILLED[name]

    def proba():
        distilled = lelp.DistilledClassifier(teacher, student, cv=2).fit(X, v.Y)
        return distilled.predict_proba(X)

    plain = proba()
    for surrounding in ("pandas", "polars"):
        with SURROUNDINGS[surrounding]():
            np.testing.assert_array_equal(proba(), plain, surrounding)


def _of_skorch():
    torch.manual_seed(0)
    rows = v.X.astype(np.float32)
    return SkorchTeacher(NET).fit(rows, v.Y).predict_proba(rows)


def _loaded(tmp_path):
    fitted = make_pipeline(columns(), student(lelp.MLP)).fit(
        v.TABLE, v.Y, **{f"lelpstudentclassifier__{n}": a for n, a in _ANSWERS.items()}
    )
    lelp.save(fitted, tmp_path / "file.lelp")
    return lelp.load(tmp_path / "file.lelp").predict_proba(v.TABLE)


_ANSWERS = {"teacher_proba": v.PROBA, "teacher_embeddings": v.H}
