"""Students in Pipelines and grid searches, with teacher arrays as fit parameters."""

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import MLP, LELPStudentClassifier, StudentClassifier
from tests.data import digits

ROWS = digits(240)
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
GRID = {
    "student__projector__n_subclasses": [2, 3],
    "student__subclass_weight": [0.1, 1.0],
    "student__module__hidden": [4],
}


def pipeline():
    student = LELPStudentClassifier(MLP, max_epochs=2, device="cpu", random_state=0)
    return Pipeline([("scale", StandardScaler()), ("student", student)])


def search(n_jobs):
    return GridSearchCV(pipeline(), GRID, cv=3, n_jobs=n_jobs, error_score="raise")


def fit_without_routing(n_jobs):
    arrays = {f"student__{name}": values for name, values in TEACHER.items()}
    return search(n_jobs).fit(ROWS.X, ROWS.y, **arrays)


def fit_with_routing(n_jobs):
    with sklearn.config_context(enable_metadata_routing=True):
        return search(n_jobs).fit(ROWS.X, ROWS.y, **TEACHER)


def test_grid_search_with_and_without_routing_and_on_two_processes():
    alone, routed, two = fit_without_routing(1), fit_with_routing(1), fit_without_routing(2)
    scores = alone.cv_results_["mean_test_score"]
    assert len(scores) == 4
    np.testing.assert_array_equal(routed.cv_results_["mean_test_score"], scores)
    np.testing.assert_array_equal(two.cv_results_["mean_test_score"], scores)
    best = alone.best_estimator_["student"]
    assert best.net_.module_.body.layers[0].out_features == 4
    assert set(best.objective_.n_subclasses_) == {
        alone.best_params_["student__projector__n_subclasses"]
    }


def test_routing_on_two_processes():
    np.testing.assert_array_equal(
        fit_with_routing(2).cv_results_["mean_test_score"],
        fit_with_routing(1).cv_results_["mean_test_score"],
    )


def test_each_fold_sees_its_own_rows_of_the_teacher():
    # The teacher's answer is the row itself, so a misaligned row would be found.
    class Checked(StudentClassifier):
        def fit(self, X, y, **arrays):
            np.testing.assert_array_equal(arrays["teacher_proba"][:, 0], X[:, 0])
            return super().fit(X, y, **arrays)

    X = np.random.default_rng(0).uniform(size=(100, 2))
    proba = np.column_stack([X[:, 0], 1 - X[:, 0]])
    student = Checked(max_epochs=1, device="cpu", random_state=0)
    y = np.arange(100) % 2
    cross_val_score(student, X, y, params={"teacher_proba": proba}, error_score="raise")
    with pytest.raises(ValueError, match="teacher_proba has 99 rows and X has 80"):
        cross_val_score(
            StudentClassifier(max_epochs=1, device="cpu"),
            X,
            y,
            params={"teacher_proba": proba[:99]},
            error_score="raise",
        )


def test_a_fold_without_a_class_names_both_sides():
    y = np.repeat([0, 1, 2], [60, 60, 4])
    X = np.random.default_rng(0).standard_normal((124, 3))
    with pytest.raises(ValueError, match=r"3 columns, the student sees 2 classes: \[0, 1\]"):
        StudentClassifier(device="cpu").fit(X[:120], y[:120], teacher_proba=np.eye(3)[y[:120]])


def test_labeled_and_sample_weight_are_sliced_too():
    labeled = np.arange(240) % 2 == 0
    student = LELPStudentClassifier(max_epochs=2, device="cpu", random_state=0)
    results = cross_validate(
        student,
        ROWS.X,
        ROWS.y,
        params={**TEACHER, "labeled": labeled, "sample_weight": np.ones(240)},
        error_score="raise",
    )
    assert np.isfinite(results["test_score"]).all()
