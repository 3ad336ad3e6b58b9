"""The student is checked before the teacher is asked, and nothing is refused that would train."""

import random
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    DIST,
    KD,
    MLP,
    BagOfNgrams,
    CrossEntropy,
    DistilledClassifier,
    HiddenLayers,
    LELPProjector,
    LELPStudentClassifier,
    Mixup,
    RandomSplitter,
    RetrievalAugmentedClassifier,
    Stage,
    Stages,
    StaticText,
    StudentClassifier,
    TableInputs,
    TabularMLP,
    TeacherEnsemble,
    TeacherOutputs,
    compare_splitters,
)
from tests.data import digits

ROWS = digits(120)
TEXTS = [f"a {'fine' if odd else 'dull'} film no {i}" for i, odd in enumerate(ROWS.y)]


class AskedError(Exception):
    """The teacher was fitted or asked."""


class Teacher(ClassifierMixin, BaseEstimator):
    """One that must not be asked."""

    def fit(self, X, y):
        raise AskedError

    def predict_proba(self, X):
        raise AskedError

    def transform(self, X):
        raise AskedError


def kd(module=None, **params):
    return StudentClassifier(module, **{"max_epochs": 1, "device": "cpu", **params})


def lelp(**params):
    return LELPStudentClassifier(max_epochs=1, device="cpu", **params)


def scaled(student):
    return make_pipeline(StandardScaler(), student)


class NeedsWidth(torch.nn.Module):
    def __init__(self, n_features, width):
        super().__init__()
        self.layer = torch.nn.Linear(n_features, width)

    def forward(self, X):
        return self.layer(X)


WRONG_STUDENTS = {
    "kind": (LogisticRegression(), "LogisticRegression does not learn from a teacher"),
    "kind in a Pipeline": (scaled(LogisticRegression()), "LogisticRegression does not learn"),
    "kind in a search": (GridSearchCV(LogisticRegression(), {"C": [1]}), "does not learn"),
    "lr": (kd(lr=-1), "'lr' parameter of StudentClassifier"),
    "patience": (kd(patience=3), "patience=3 needs held-out rows"),
    "device": (kd(device="cuda:99"), "device='cuda:99' cannot be used here"),
    "a name": (kd(modul__hidden=3), r"unexpected parameters \['modul__hidden'\]"),
    "a nested name": (
        kd(objective__alpha=0.1),
        r"objective__alpha is set by set_params\(objective__alpha=\.\.\.\)",
    ),
    "a misspelt name": (
        kd(MLP, module__hiden=3),
        "MLP takes no module__hiden. It takes module__hidden, module__dropout. Was module__hidden",
    ),
    "a name on a linear student": (kd(module__hidden=3), r"module=None\) takes no parameters"),
    "a name for an instance": (kd(torch.nn.Linear(64, 4), module__a=3), "module is an instance"),
    "a bad width": (kd(MLP, module__hidden=-1), "MLP cannot be built with module__hidden=-1"),
    "a width that is missing": (kd(NeedsWidth), "It needs module__width"),
    "a body for other columns": (kd(torch.nn.Linear(63, 4)), "failed on two rows"),
    "an optimizer's name": (kd(optimizer__momentun=1), "AdamW takes no optimizer__momentun"),
    "an optimizer's value": (kd(optimizer__betas=(3, 4)), "beta"),
    "an iterator's name": (kd(iterator_train__shufle=1), "Was iterator_train__shuffle meant"),
    "a callback": (kd(callbacks=[3]), "callbacks holds 3: expected skorch callbacks"),
    "a callback's name": (kd(callbacks__none__a=3), "takes no callbacks__none"),
    "class_weight": (kd(class_weight={5: 1}), "class_weight"),
    "inputs": (kd(TabularMLP, inputs=TableInputs(numeric="cube")), "numeric='cube'"),
    "inputs of another kind": (kd(StaticText), "one text a row"),
    "objective": (kd(objective=KD(temperature=-1)), "'temperature' parameter of KD"),
    "objective in a sum": (kd(objective=KD() + KD(alpha=7)), "'alpha' parameter of KD"),
    "objective in a stage": (kd(objective=Stages([("a", Stage(KD(), lr=-1))])), "of Stage"),
    "objective for more classes": (kd(objective=DIST(gamma=0)), "two classes has no gradient"),
    "projector": (lelp(projector=LELPProjector(n_subclasses=0)), "of LELPProjector"),
    "projector's classes": (lelp(projector=LELPProjector(n_subclasses={0: 1})), r"missing \[1\]"),
    "what the teacher lacks": (
        kd(MLP, objective=KD() + HiddenLayers()),
        "needs teacher_hidden; got teacher_proba and teacher_embeddings",
    ),
    "retrieval": (
        RetrievalAugmentedClassifier(kd(objective=Stages([("a", Stage(KD()))]))),
        "the student's objective is Stages",
    ),
    "retrieval's student": (RetrievalAugmentedClassifier(kd(MLP, module__hiden=1)), "hiden"),
    "a search's name": (GridSearchCV(kd(), [{"lr": [0.1]}, {"lrr": [1]}]), "parameter 'lrr'"),
    "a search's values": (GridSearchCV(scaled(kd()), {"studentclassifier__lr": [-1, -2]}), "'lr'"),
    "a strict search's value": (
        GridSearchCV(kd(), {"lr": [0.1, -1]}, error_score="raise"),
        "'lr' parameter",
    ),
    "a random search's name": (RandomizedSearchCV(kd(MLP), {"module__hiden": [1, 2]}), "hiden"),
}


@pytest.mark.parametrize("cv", [3, "prefit"])
@pytest.mark.parametrize("case", WRONG_STUDENTS)
def test_a_wrong_student_is_named(case, cv):
    student, message = WRONG_STUDENTS[case]
    teacher = Teacher()
    teacher.classes_ = np.array([0, 1])
    before = repr(student), dict(vars(student))
    model = DistilledClassifier(teacher, student, cv=cv)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(ROWS.X, ROWS.y)
    assert (repr(student), dict(vars(student))) == before
    assert not hasattr(model, "teacher_")


RAGGED = np.where(np.arange(64) == 3, np.nan, ROWS.X)
WRONG_FITS = {
    "texts": (TEXTS, {}, "module=StaticText or TextCNN"),
    "texts as an array": (np.array(TEXTS), {}, "TfidfVectorizer"),
    "texts as a column": (pd.Series(TEXTS), {}, "TfidfVectorizer"),
    "columns of words": (pd.DataFrame({"a": TEXTS, "b": 1.0}), {}, "hold none.*'a'"),
    "a missing value": (RAGGED, {}, "NaN"),
    "weights": (ROWS.X, {"sample_weight": -np.ones(120)}, "[Nn]egative"),
    "no weights": (ROWS.X, {"sample_weight": np.zeros(120)}, "non-zero"),
    "a class without weight": (
        ROWS.X,
        {"sample_weight": (ROWS.y == 1) * 1.0},
        r"hold only one class, \[1\]",
    ),
    "a pool of other columns": (ROWS.X, {"X_unlabeled": ROWS.X[:, :5]}, "same columns in both"),
    "a pool of another kind": (ROWS.X, {"X_unlabeled": TEXTS}, "do not fit together"),
    "a pool with NaN": (ROWS.X, {"X_unlabeled": RAGGED}, "NaN"),
    "no folder": (ROWS.X, {"checkpoint": "/not/there/run"}, "there is no folder"),
    "a folder": (ROWS.X, {"checkpoint": "."}, "is a folder"),
    "too often": (ROWS.X, {"checkpoint": "run", "checkpoint_every": 0}, "checkpoint_every=0"),
}


@pytest.mark.parametrize("case", WRONG_FITS)
def test_wrong_rows_are_named(case):
    X, params, message = WRONG_FITS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        DistilledClassifier(Teacher(), kd(), cv=3).fit(X, ROWS.y, **params)


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (scaled(kd()), "step 'standardscaler', StandardScaler, does not take them"),
        (kd(BagOfNgrams), "TfidfVectorizer"),
        (kd(TabularMLP), "TfidfVectorizer"),
        (make_pipeline(TfidfVectorizer(), kd()), "X is sparse"),
        (
            make_pipeline(HashingVectorizer(), kd(BagOfNgrams, module__mode="max")),
            "mode='max': expected",
        ),
        (GridSearchCV(scaled(kd()), {"studentclassifier__lr": [0.1]}), "standardscaler"),
    ],
)
def test_texts_for_a_student_of_numbers(student, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DistilledClassifier(Teacher(), student, cv=3).fit(TEXTS, ROWS.y)


def test_what_the_body_lacks():
    class Speaks(Teacher):
        def outputs(self, X):  # which may give anything
            raise AskedError

    student = kd(objective=KD() + HiddenLayers())
    with pytest.raises(TypeError, match="looks at the student's hidden, which the body Linear"):
        DistilledClassifier(Speaks(), student, cv=3).fit(ROWS.X, ROWS.y)
    with pytest.raises(AskedError):
        DistilledClassifier(Speaks(), student.set_params(module=MLP), cv=3).fit(ROWS.X, ROWS.y)


def test_what_a_teacher_that_is_not_refitted_lacks():
    with pytest.raises(ValueError, match="LELP needs teacher_embeddings; got teacher_proba"):
        DistilledClassifier(Teacher(), lelp(), cv=3, refit_teacher=False).fit(ROWS.X, ROWS.y)


def test_made_rows_and_a_search():
    search = GridSearchCV(kd(), {"lr": [0.1]})
    with pytest.raises(ValueError, match="would score unlabelled rows"):
        DistilledClassifier(Teacher(), search, cv=3, augment=Mixup()).fit(ROWS.X, ROWS.y)


def test_classes_of_a_prefit_teacher():
    teacher = Teacher()
    teacher.classes_ = np.array([1, 2])
    with pytest.raises(ValueError, match=r"teacher knows the classes \[1, 2\]"):
        DistilledClassifier(teacher, kd()).fit(ROWS.X, ROWS.y)


def test_a_checkpoint_of_other_parameters(tmp_path, monkeypatch):
    from tests.students.test_checkpoint import Killed, kill_at_step

    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_at_step(patch, 2)
        with pytest.raises(Killed):
            kd(objective=CrossEntropy(), max_epochs=3).fit(ROWS.X, ROWS.y, checkpoint=path)
    model = DistilledClassifier(Teacher(), kd(lr=0.5), cv=3)
    with pytest.raises(ValueError, match=r"is of another fit, which differs in .*lr \(0.01 there"):
        model.fit(ROWS.X, ROWS.y, checkpoint=path)


SOUND = {
    "too few rows for min_df": (
        make_pipeline(TfidfVectorizer(min_df=50), kd(BagOfNgrams)),
        TEXTS,
    ),
    "too few rows for a body of so many columns": (
        make_pipeline(
            TfidfVectorizer(), kd(BagOfNgrams(len(TfidfVectorizer().fit(TEXTS).vocabulary_)))
        ),
        TEXTS,
    ),
    "columns chosen": (make_pipeline(SelectKBest(k=40), kd()), ROWS.X),
    "wide": (make_pipeline(HashingVectorizer(), kd(BagOfNgrams, module__dim=1)), TEXTS),
    "texts": (kd(StaticText), TEXTS),
    "a search with one good candidate": (GridSearchCV(kd(), {"lr": [-1, 0.1]}), ROWS.X),
    "a grid that names the body": (
        GridSearchCV(kd(lr=-1), {"lr": [0.1], "module": [MLP], "module__hidden": [3]}),
        ROWS.X,
    ),
    "auto": (lelp(subclass_weight="auto"), ROWS.X),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_student_comes_to_the_teacher(case):
    student, X = SOUND[case]
    with pytest.raises(AskedError):
        DistilledClassifier(Teacher(), student, cv=3).fit(X, ROWS.y)


def test_nothing_is_drawn_or_said():
    student = make_pipeline(SelectKBest(k=40), kd(MLP))
    X = np.c_[ROWS.X, np.ones(120)]  # a constant column, of which SelectKBest warns

    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AskedError):
            DistilledClassifier(Teacher(), student, cv=3).fit(X, ROWS.y)
    assert states() == before


def test_an_ensemble_checks_all_teachers_before_it_fits_the_first():
    ensemble = TeacherEnsemble([("first", Teacher()), ("second", LogisticRegression(C=-1.0))])
    with pytest.raises(ValueError, match="'C' parameter of LogisticRegression"):
        ensemble.fit(ROWS.X, ROWS.y)


def test_a_comparison_checks_the_student_and_the_splitters_first(monkeypatch):
    def never(*args, **kwargs):
        raise AskedError

    monkeypatch.setattr(RandomSplitter, "fit", never)
    outputs = TeacherOutputs(ROWS.proba, ROWS.embeddings)

    def compare(student, splitter, **params):
        return compare_splitters(outputs, ROWS.X, ROWS.y, student, {"a": splitter}, 2, **params)

    with pytest.raises(TypeError, match="hiden"):
        compare(LELPStudentClassifier(MLP, module__hiden=2), RandomSplitter())
    with pytest.raises(ValueError, match="of RandomSplitter"):
        compare(lelp(), RandomSplitter(n_subclasses=-1))
    with pytest.raises(ValueError, match="accurracy"):
        compare(lelp(), RandomSplitter(), scoring=["accurracy"])
    with pytest.raises(AskedError):
        compare(clone(lelp()), RandomSplitter())
