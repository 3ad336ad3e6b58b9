"""CompositeTeacher: rows find their answers."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from lelp_sklearn import DistilledClassifier, StudentClassifier, teacher_outputs
from lelp_sklearn.teachers import CompositeTeacher, check_teacher

X, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
X = X + np.arange(150)[:, None] / 1000  # no two rows are equal
PROBA = LogisticRegression(max_iter=1000).fit(X, NAMES).predict_proba(X)
H = X @ np.arange(8).reshape(4, 2)


def test_arrays_follow_their_rows():
    teacher = CompositeTeacher(PROBA, H).fit(X, NAMES)
    check_teacher(teacher)
    order = np.random.default_rng(0).permutation(150)[:40]
    np.testing.assert_array_equal(teacher.predict_proba(X[order]), PROBA[order])
    np.testing.assert_array_equal(teacher.transform(X[order]), H[order])
    np.testing.assert_array_equal(teacher.predict(X), teacher.classes_[PROBA.argmax(axis=1)])


def test_unknown_rows_are_an_error():
    teacher = CompositeTeacher(PROBA, H).fit(X, NAMES)
    with pytest.raises(ValueError, match=r"row 1 of X \(1 of 2\) is not among the 150 rows"):
        teacher.predict_proba(np.array([X[0], X[1] + 1]))


def test_columns_are_sorted_by_label():
    teacher = CompositeTeacher(
        PROBA[:, [2, 0, 1]], H, classes=["virginica", "setosa", "versicolor"]
    )
    teacher.fit(X)
    assert teacher.classes_.tolist() == sorted(set(NAMES))
    np.testing.assert_array_equal(teacher.predict_proba(X), PROBA)


@pytest.mark.parametrize("confidence", [1.0, 0.7, np.linspace(0.4, 1, 150)])
def test_hard_labels_with_a_confidence(confidence):
    teacher = CompositeTeacher(NAMES.tolist(), PCA(2), confidence=confidence).fit(X)
    proba = teacher.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_allclose(proba[np.arange(150), SPECIES], confidence)
    assert teacher.transform(X).shape == (150, 2)


def test_equal_rows_share_the_mean():
    teacher = CompositeTeacher(["a", "b", "a"], [[0.0], [1.0], [5.0]]).fit(["t", "t", "u"])
    np.testing.assert_allclose(teacher.predict_proba(["u", "t"]), [[1, 0], [0.5, 0.5]])
    np.testing.assert_allclose(teacher.transform(["t"]), [[0.5]])


def test_sources_fitted_unfitted_and_functions():
    model, pca = LogisticRegression(max_iter=1000), PCA(2)
    teacher = CompositeTeacher(model, pca).fit(X, NAMES)
    assert not hasattr(model, "coef_")
    assert teacher.predict_proba(X[:3] + 1).shape == (3, 3)
    fitted = CompositeTeacher(teacher.proba_, teacher.embeddings_).fit(X[:9])
    assert fitted.proba_ is teacher.proba_
    assert clone(fitted).proba is teacher.proba_
    functions = CompositeTeacher(
        teacher.proba_.predict_proba, lambda X: 2 * X, classes=sorted(set(NAMES))
    ).fit(X)
    np.testing.assert_array_equal(functions.predict_proba(X), teacher.predict_proba(X))
    np.testing.assert_array_equal(functions.transform(X), 2 * X)


def test_clones_and_folds_find_the_answers():
    teacher = CompositeTeacher(PROBA, H).fit(X, NAMES)
    order = np.random.default_rng(1).permutation(150)
    copy = clone(teacher).fit(X[order], NAMES[order])
    np.testing.assert_array_equal(copy.predict_proba(X[order]), PROBA[order])
    student = StudentClassifier(max_epochs=2, random_state=0)
    distilled = DistilledClassifier(teacher, student, cv=3).fit(X[order], NAMES[order])
    outputs = teacher_outputs(distilled.teacher_, X)
    np.testing.assert_array_equal(outputs.embeddings, H)


def test_new_fit_on_new_rows_forgets_the_old():
    teacher = CompositeTeacher(PROBA, H).fit(X, NAMES).fit(X + 1, NAMES)
    np.testing.assert_array_equal(teacher.transform(X + 1), H)
    with pytest.raises(ValueError, match="not among"):
        teacher.transform(X)


def test_errors_say_what_is_wrong():
    with pytest.raises(NotFittedError, match="call fit with the rows"):
        CompositeTeacher(PROBA, H).predict_proba(X)
    with pytest.raises(ValueError, match="proba has 150 rows and X has 149"):
        CompositeTeacher(PROBA, H).fit(X[:149])
    with pytest.raises(ValueError, match="pass classes, or y to fit"):
        CompositeTeacher(PROBA, H).fit(X)
    with pytest.raises(ValueError, match=r"expected \(n, 2\)"):
        CompositeTeacher(PROBA, H, classes=[0, 1]).fit(X)
    with pytest.raises(ValueError, match="Are these logits"):
        CompositeTeacher(np.log(PROBA), H).fit(X, NAMES)
    with pytest.raises(ValueError, match="from 0 to 1"):
        CompositeTeacher(NAMES, H, confidence=90).fit(X)
    with pytest.raises(ValueError, match="at least two classes"):
        CompositeTeacher(NAMES, H, classes=["setosa", "virginica"]).fit(X)
