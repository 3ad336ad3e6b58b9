"""A DistilledClassifier has what its student has, and learns on where its student does."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    KD,
    MLP,
    DistilledClassifier,
    LELPStudentClassifier,
    RetrievalAugmentedClassifier,
    StudentClassifier,
    fidelity_report,
    load,
    save,
    teacher_outputs,
)
from lelp_sklearn.students._pipelines import last_step
from lelp_sklearn.teachers import as_teacher
from tests.data import digits

ROWS = digits(150)
TEACHER = LogisticRegression(max_iter=500).fit(ROWS.X, ROWS.y)


def kd(**params):
    return StudentClassifier(**{"max_epochs": 2, "device": "cpu", "random_state": 0, **params})


def lelp(**params):
    return LELPStudentClassifier(max_epochs=2, device="cpu", random_state=0, **params)


STUDENTS = {
    "student": lambda: lelp(),
    "Pipeline": lambda: make_pipeline(StandardScaler(), lelp()),
    "search": lambda: GridSearchCV(lelp(), {"lr": [0.1]}, cv=2),
}


@pytest.mark.parametrize("kind", STUDENTS)
def test_what_the_student_has(kind):
    frame = pd.DataFrame(ROWS.X, columns=[f"pixel {i}" for i in range(64)])
    teacher = LogisticRegression(max_iter=500).fit(frame, ROWS.y)
    model = DistilledClassifier(teacher, STUDENTS[kind]()).fit(frame, ROWS.y)
    proba = model.predict_proba(frame)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(frame)), proba, rtol=1e-4)
    split = model.predict_subclass_proba(frame)
    n_first = last_step(model.student_).projector_.n_subclasses_[0]
    np.testing.assert_allclose(split[:, :n_first].sum(axis=1), proba[:, 0], rtol=1e-4)
    np.testing.assert_array_equal(model.transform(frame), model.student_.transform(frame))
    assert len(model.get_feature_names_out()) == model.transform(frame).shape[1]
    assert [row["epoch"] for row in model.history_] == [1, 2]
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.n_features_in_ == 64
    assert model.set_output(transform="pandas") is model
    again = clone(model)
    for student in (model.student_, model.student, again.student):
        assert last_step(student)._sklearn_output_config == {"transform": "pandas"}
    found = again.fit_transform(frame, ROWS.y)
    assert type(found) is type(model.transform(frame))
    np.testing.assert_allclose(found, model.transform(frame), rtol=1e-3, atol=1e-5)


def test_what_the_student_lacks():
    student = RetrievalAugmentedClassifier(kd(module=MLP), retrieval_weight=0.5)
    model = DistilledClassifier(TEACHER, student).fit(ROWS.X, ROWS.y)
    for name in ("predict_log_proba", "transform", "predict_subclass_proba", "partial_fit"):
        assert not hasattr(model, name)
    assert len(model.history_) == 2
    # What is compared is the model with its votes, and not the student inside.
    report = fidelity_report(TEACHER, model, ROWS.X, ROWS.y, n_bootstrap=1)
    assert report["test", "value"]["student", "accuracy"] == model.score(ROWS.X, ROWS.y)


def test_it_teaches_with_its_students_embeddings():
    model = DistilledClassifier(TEACHER, kd(module=MLP, module__hidden=5)).fit(ROWS.X, ROWS.y)
    assert as_teacher(model) is model
    assert teacher_outputs(model, ROWS.X).embeddings.shape == (150, 5)
    np.testing.assert_array_equal(model.teacher_coef_, model.student_.teacher_coef_)


# Learning on.


def test_partial_fit_is_the_students_on_the_teachers_answers():
    parts = [slice(0, 60), slice(60, 150)]
    model, by_hand = DistilledClassifier(TEACHER, kd()), kd()
    for rows in parts:
        weight = np.linspace(1, 2, len(ROWS.y[rows]))
        model.partial_fit(ROWS.X[rows], ROWS.y[rows], sample_weight=weight)
        proba = TEACHER.predict_proba(ROWS.X[rows])
        by_hand.partial_fit(ROWS.X[rows], ROWS.y[rows], None, weight, teacher_proba=proba)
    np.testing.assert_array_equal(model.predict_proba(ROWS.X), by_hand.predict_proba(ROWS.X))
    assert len(model.history_) == 2


def test_partial_fit_takes_the_classes_of_a_prefit_teacher():
    odd = ROWS.y == 1
    model = DistilledClassifier(TEACHER, kd()).partial_fit(ROWS.X[odd], ROWS.y[odd])
    assert model.classes_.tolist() == [0, 1]
    answer = model.predict_proba(ROWS.X)
    with pytest.raises(ValueError, match=r"y holds \[2\]"):
        model.partial_fit(ROWS.X, ROWS.y + 1)
    with pytest.raises(ValueError, match="5 features"):
        model.partial_fit(ROWS.X[:, :5], ROWS.y)
    np.testing.assert_array_equal(model.predict_proba(ROWS.X), answer)
    few = DistilledClassifier(TEACHER, kd())
    with pytest.raises(ValueError, match=r"teacher knows the classes \[0, 1\]"):
        few.partial_fit(ROWS.X, ROWS.y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="subclass_weight='auto' cannot be chosen"):
        DistilledClassifier(TEACHER, lelp(subclass_weight="auto")).partial_fit(ROWS.X, ROWS.y)


def test_partial_fit_with_folds_fits_the_teacher_once():
    model = DistilledClassifier(KNeighborsClassifier(3), kd(), cv=2)
    model.partial_fit(ROWS.X[:100], ROWS.y[:100])
    teacher = model.teacher_
    model.partial_fit(ROWS.X[100:], ROWS.y[100:], X_unlabeled=ROWS.X[:5])
    assert model.teacher_ is teacher
    pickle.loads(pickle.dumps(model)).partial_fit(ROWS.X[:1], ROWS.y[:1])
    with pytest.raises(ValueError, match="the teacher is fitted on the first rows"):
        clone(model).partial_fit(ROWS.X, ROWS.y, classes=[0, 1, 2])


def test_partial_fit_where_it_is_impossible():
    scaled = DistilledClassifier(TEACHER, make_pipeline(StandardScaler(), kd()))
    with pytest.raises(AttributeError) as error:
        scaled.partial_fit(ROWS.X, ROWS.y)
    assert "Pipeline has no partial_fit" in str(error.value.__cause__)
    alone = DistilledClassifier(LogisticRegression(), kd(), cv=2, refit_teacher=False)
    with pytest.raises(AttributeError) as error:
        alone.partial_fit(ROWS.X, ROWS.y)
    assert "refit_teacher=False leaves no teacher" in str(error.value.__cause__)


def test_a_loaded_one_learns_on_once_it_has_a_teacher(tmp_path):
    model = DistilledClassifier(TEACHER, kd()).fit(ROWS.X, ROWS.y)
    save(model, tmp_path / "model.lelp")
    loaded = load(tmp_path / "model.lelp")
    assert len(loaded.history_) == 2
    with pytest.raises(ValueError, match="there is no teacher_ to ask about further rows"):
        loaded.partial_fit(ROWS.X, ROWS.y)
    loaded.teacher_ = TEACHER
    assert len(loaded.partial_fit(ROWS.X, ROWS.y).history_) == 3


def test_warm_start_goes_on():
    student = kd(warm_start=True, objective=KD())
    model = DistilledClassifier(TEACHER, student).fit(ROWS.X, ROWS.y)
    first = model.student_
    model.fit(ROWS.X, ROWS.y)
    arrays = {"teacher_proba": TEACHER.predict_proba(ROWS.X)}
    by_hand = clone(student).fit(ROWS.X, ROWS.y, **arrays).fit(ROWS.X, ROWS.y, **arrays)
    np.testing.assert_array_equal(model.predict_proba(ROWS.X), by_hand.predict_proba(ROWS.X))
    assert (len(model.history_), len(first.history_)) == (4, 2)  # the first is left alone
    model.set_params(student__max_epochs=1).fit(ROWS.X, ROWS.y)
    assert len(model.history_) == 5
    answer = model.predict_proba(ROWS.X)
    with pytest.raises(ValueError, match="5 features"):
        model.set_params(teacher=LogisticRegression(), cv=2).fit(ROWS.X[:, :5], ROWS.y)
    np.testing.assert_array_equal(model.predict_proba(ROWS.X), answer)
    model.set_params(student__warm_start=False).fit(ROWS.X, ROWS.y)
    assert len(model.history_) == 1


def test_warm_start_behind_steps():
    model = DistilledClassifier(TEACHER, make_pipeline(StandardScaler(), kd(warm_start=True)))
    assert len(model.fit(ROWS.X, ROWS.y).fit(ROWS.X, ROWS.y).history_) == 4
