"""DistilledClassifier(augment=...): the teacher is asked about rows that were made."""

import inspect

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils._param_validation import InvalidParameterError

from lelp_sklearn import (
    KD,
    MLP,
    BagOfNgrams,
    DistilledClassifier,
    Mixup,
    Munge,
    Resample,
    StudentClassifier,
    TableInputs,
    TabularMLP,
    TeacherCache,
    WordAugmenter,
)
from tests.data import digits

ROWS = digits(300)
X, Y = ROWS.X[:60], ROWS.y[:60]
MIXUP = Mixup(random_state=0)


class Spy(ClassifierMixin, BaseEstimator):
    """A student that keeps what it is given."""

    def fit(
        self, X, y, teacher_proba=None, teacher_embeddings=None, labeled=None, sample_weight=None,
        teacher_coef=None,
    ):  # fmt: skip
        names = inspect.signature(self.fit).parameters
        self.given_ = {name: value for name, value in locals().items() if name in names}
        self.classes_ = np.unique(y)
        return self


class Asked(ClassifierMixin, BaseEstimator):
    """A teacher that counts the rows it is asked about."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.inner_ = LogisticRegression(C=0.1).fit(X, y)
        return self

    def predict_proba(self, X):
        Asked.rows += len(X)
        return self.inner_.predict_proba(X)

    def predict(self, X):
        return self.inner_.predict(X)


def kd(**params):
    return StudentClassifier(
        **{"objective": KD(), "max_epochs": 5, "device": "cpu", "random_state": 0, **params}
    )


def spied(augment=MIXUP, teacher=None, **params):
    teacher = LogisticRegression() if teacher is None else teacher
    teacher = teacher if "cv" in params else clone(teacher).fit(X, Y)
    weight = params.pop("sample_weight", None)
    pool = params.pop("X_unlabeled", None)
    distilled = DistilledClassifier(teacher, Spy(), augment=augment, **params)
    distilled.fit(X, Y, weight, X_unlabeled=pool)
    return distilled.student_.given_


@pytest.mark.parametrize("params", [{}, {"cv": 3}, {"cv": 3, "refit_teacher": False}])
def test_new_rows_have_no_label_and_the_teachers_answer(params):
    given = spied(augment_factor=1.5, sample_weight=np.full(60, 2.0), **params)
    assert given["X"].shape == (150, 64)
    assert_array_equal(given["X"][:60], X)
    assert_array_equal(given["X"][60:], clone(MIXUP).fit(X, Y).sample(90))
    assert_array_equal(given["labeled"], np.arange(150) < 60)
    assert_array_equal(given["sample_weight"], np.where(np.arange(150) < 60, 2.0, 1.0))
    if "refit_teacher" not in params:
        # That of the teacher of all rows, even where the given rows' are out of fold.
        teacher = LogisticRegression().fit(X, Y, np.full(60, 2.0) if params else None)
        np.testing.assert_allclose(
            given["teacher_proba"][60:], teacher.predict_proba(given["X"][60:]), atol=1e-6
        )
    assert len(given["teacher_proba"]) == 150


def test_labels_of_made_rows_never_count():
    # The student's loss on labels alone does not change with the label put in their place.
    teacher = LogisticRegression().fit(X, Y)
    distilled = DistilledClassifier(teacher, kd(objective=KD(alpha=1.0)), augment=MIXUP).fit(X, Y)
    given = spied()
    for filler in (0, 1):
        by_hand = kd(objective=KD(alpha=1.0)).fit(
            given["X"],
            np.where(given["labeled"], given["y"], filler),
            labeled=given["labeled"],
            teacher_proba=given["teacher_proba"],
        )
        assert_array_equal(by_hand.predict_proba(X), distilled.predict_proba(X))


def test_rows_by_factor():
    for factor, n_new in [(0.5, 30), (1.0, 60), (2.01, 121)]:
        assert len(spied(augment_factor=factor)["X"]) == 60 + n_new
    for nothing in ({"augment_factor": 0.0}, {"augment": None}):
        given = spied(**nothing)
        assert given["labeled"] is None
        assert len(given["X"]) == 60
    with pytest.raises(InvalidParameterError, match="augment_factor"):
        spied(augment_factor=-1.0)
    with pytest.raises(InvalidParameterError, match="augment"):
        spied(augment="mixup")


def test_they_follow_the_unlabelled_rows_given():
    given = spied(X_unlabeled=ROWS.X[60:70])
    assert_array_equal(given["X"][60:70], ROWS.X[60:70])
    assert_array_equal(given["X"][70:], clone(MIXUP).fit(X, Y).sample(60))
    assert given["labeled"].sum() == 60
    assert len(given["teacher_proba"]) == 130


def test_the_cache_is_asked_once_a_row():
    cache, Asked.rows = TeacherCache(), 0
    teacher = Asked().fit(X, Y)
    distilled = DistilledClassifier(teacher, kd(), cache=cache, augment=MIXUP, augment_factor=2)
    search = GridSearchCV(distilled, {"student__lr": [0.01, 0.1]}, cv=2)
    search.fit(X, Y)
    # 60 given rows, and twice 30 in each fold and twice 60 in the last fit that were made.
    assert Asked.rows == cache.info()["misses"] == 60 + 2 * 60 + 120
    clone(distilled).fit(X, Y)
    assert Asked.rows == cache.info()["misses"]


def test_a_forests_embedding_does_not_depend_on_the_rows_made():
    forest = RandomForestClassifier(10, random_state=0)
    with_new, without = spied(teacher=forest), spied(teacher=forest, augment=None)
    np.testing.assert_allclose(
        with_new["teacher_embeddings"][:60], without["teacher_embeddings"], atol=1e-4
    )


def test_the_seed_is_the_augmenters():
    teacher = LogisticRegression().fit(X, Y)
    distilled = DistilledClassifier(teacher, kd(), augment=Mixup())
    probas = [
        clone(distilled).set_params(augment__random_state=seed).fit(X, Y).predict_proba(X)
        for seed in (0, 0, 1)
    ]
    assert_array_equal(probas[0], probas[1])
    assert not np.array_equal(probas[0], probas[2])
    assert not hasattr(distilled.augment, "X_")  # a clone was fitted


def test_a_student_of_few_rows_gets_nearer_to_its_teacher():
    teacher = LogisticRegression(C=10).fit(ROWS.X, ROWS.y)
    few, rest = slice(0, 30), slice(30, 300)
    student = kd(module=MLP, max_epochs=4, batch_size=16, lr=0.01, objective=KD(alpha=0.0))
    augment = Munge(s=1.0, random_state=0)
    more = DistilledClassifier(teacher, student, augment=augment, augment_factor=24)
    alone = clone(more).set_params(augment=None, student__max_epochs=4 * 25)  # for as many steps
    truth = teacher.predict_proba(ROWS.X[rest])
    off = [
        np.abs(d.fit(ROWS.X[few], ROWS.y[few]).predict_proba(ROWS.X[rest]) - truth).mean()
        for d in (alone, more)
    ]
    assert off[1] < 0.6 * off[0]


def test_frames_and_texts():
    frame = pd.DataFrame({"a": np.arange(40.0), "c": pd.Categorical(["u", "v"] * 20)})
    y = (np.arange(40) > 20).astype(int)
    teacher = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    for augment in (Munge(random_state=0), Resample(random_state=0)):
        student = kd(module=TabularMLP, inputs=TableInputs())
        distilled = DistilledClassifier(teacher, student, cv=2, cache=TeacherCache())
        distilled.set_params(augment=augment).fit(frame, y)
        assert distilled.predict(frame).shape == (40,)
    texts = [f"good film number {i}" if i % 2 else f"bad film number {i}" for i in range(40)]
    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, y)
    student = make_pipeline(TfidfVectorizer(), kd(module=BagOfNgrams, batch_size=16))
    distilled = DistilledClassifier(
        teacher, student, cache=TeacherCache(), augment=WordAugmenter(random_state=0)
    )
    for rows in (texts, np.array(texts, dtype=object)):
        assert clone(distilled).fit(rows, y).predict(texts).shape == (40,)
