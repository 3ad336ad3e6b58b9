"""Nested parameters reach the object that a parameter's None stands for."""

import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from lelp_sklearn import (
    KD,
    LELP,
    MLP,
    ClusterSplitter,
    DistilledClassifier,
    LELPStudentClassifier,
    RetrievalAugmentedClassifier,
    SentenceTransformerTeacher,
    StudentClassifier,
    SubclassTeacher,
    TabularMLP,
)
from tests.data import digits

ROWS = digits(80)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (StudentClassifier, "objective__alpha", 0.2),
        (lambda: StudentClassifier(TabularMLP), "inputs__numeric", "quantile"),
        (lambda: SubclassTeacher(TabularMLP), "inputs__numeric", "quantile"),
        (LELPStudentClassifier, "projector__n_subclasses", 3),
        (LELPStudentClassifier, "projector__estimator__n_init", 3),
        (LELP, "projector__n_subclasses", 3),
        (lambda: LELP() + KD(), "lelp__projector__n_subclasses", 3),
        (lambda: StudentClassifier(objective=LELP()), "objective__projector__n_subclasses", 3),
        (lambda: DistilledClassifier(LogisticRegression()), "student__lr", 0.2),
        (
            lambda: DistilledClassifier(LogisticRegression()),
            "student__projector__n_subclasses",
            3,
        ),
        (RetrievalAugmentedClassifier, "student__objective__temperature", 2.0),
        (RetrievalAugmentedClassifier, "student__module__hidden", 5),
        (ClusterSplitter, "estimator__n_init", 3),
        (lambda: SentenceTransformerTeacher("name"), "head__C", 0.1),
    ],
)
def test_it_is_set_on_a_default_object(make, name, value):
    estimator = make()
    assert estimator.get_params().get(name) != value
    assert name in estimator.get_params() or "module__" in name
    as_it_was = repr(estimator)
    assert repr(clone(estimator)) == as_it_was
    assert estimator._repr_html_()
    assert estimator.set_params(**{name: value}) is estimator
    assert estimator.get_params()[name] == value
    assert clone(estimator).get_params()[name] == value
    assert repr(make()) == as_it_was  # the default is not shared


def test_what_the_default_is_hangs_on_the_body_set_beside_it():
    student = StudentClassifier().set_params(inputs__numeric="quantile", module=TabularMLP)
    assert student.inputs.numeric == "quantile"
    with pytest.raises(ValueError, match="Invalid parameter 'numeric' for estimator ArrayInputs"):
        StudentClassifier(MLP).set_params(inputs__numeric="quantile")


def test_a_refused_parameter_leaves_none():
    student = StudentClassifier()
    with pytest.raises(ValueError, match="Invalid parameter 'alhpa' for estimator KD"):
        student.set_params(objective__alhpa=0.1)
    assert student.objective is None


def test_what_is_given_is_set_and_not_replaced():
    objective = KD(temperature=3.0)
    student = StudentClassifier(objective=objective).set_params(objective__alpha=0.1)
    assert student.objective is objective
    assert (objective.alpha, objective.temperature) == (0.1, 3.0)


def test_default_objects_are_seeded_as_before():
    arrays = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
    student = LELPStudentClassifier(max_epochs=1, device="cpu", random_state=0)
    plain = clone(student).fit(ROWS.X, ROWS.y, **arrays)
    named = clone(student).set_params(projector__n_subclasses="auto").fit(ROWS.X, ROWS.y, **arrays)
    assert (plain.predict_proba(ROWS.X) == named.predict_proba(ROWS.X)).all()
    assert plain.projector_.estimator is None
    given = student.set_params(projector__estimator=KMeans()).fit(ROWS.X, ROWS.y, **arrays)
    assert given.projector_.estimator.random_state is not None


def test_grids_reach_them():
    teacher = LogisticRegression(max_iter=500).fit(ROWS.X, ROWS.y)
    grid = {
        "student__lr": [0.01, 0.1],
        "student__max_epochs": [1],
        "student__projector__n_subclasses": [2],
    }
    search = GridSearchCV(DistilledClassifier(teacher), grid, cv=2, error_score="raise")
    best = search.fit(ROWS.X, ROWS.y).best_estimator_
    assert best.student_.projector_.n_subclasses == 2
    assert search.estimator.student is None
