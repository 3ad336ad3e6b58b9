"""Two or three positives in a hundred: weights, thresholds, average precision."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, recall_score
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.preprocessing import label_binarize

from lelp_sklearn import KD, MLP, CrossEntropy, DistilledClassifier, StudentClassifier, TabularMLP
from lelp_sklearn.report import report_on


def rare(n=1500, seed=0):
    """Positives, 2.5 % of the rows, that overlap with negatives."""
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 40 == 0
    X = rng.normal(size=(n, 3)).astype(np.float32)
    X[positive] += [1.5, 1.0, 0.0]
    return X, np.where(positive, "rare", "common")


X, Y = rare()
X_TEST, Y_TEST = rare(seed=1)


def student(module=None, objective=None, **params):
    objective = CrossEntropy() if objective is None else objective
    settings = {"lr": 0.03, "max_epochs": 15, "random_state": 0, **params}
    return StudentClassifier(module, objective=objective, **settings)


def recall(model):
    return recall_score(Y_TEST, model.predict(X_TEST), pos_label="rare")


@pytest.mark.parametrize("module", [None, MLP, TabularMLP])
def test_balanced_classes_find_the_rare_one(module):
    plain = student(module).fit(X, Y)
    balanced = student(module, class_weight="balanced").fit(X, Y)
    assert recall(plain) < 0.3
    assert recall(balanced) > 0.6
    scores = [balanced_accuracy_score(Y_TEST, m.predict(X_TEST)) for m in (plain, balanced)]
    assert scores[1] > scores[0] + 0.1


def test_row_weights_of_the_same_size_do_the_same():
    positive = Y == "rare"
    weight = len(Y) / 2 / np.where(positive, positive.sum(), (~positive).sum())
    weighted = student().fit(X, Y, sample_weight=weight)
    balanced = student(class_weight="balanced").fit(X, Y)
    np.testing.assert_allclose(
        weighted.predict_proba(X_TEST), balanced.predict_proba(X_TEST), atol=1e-4
    )


def test_classes_are_balanced_in_what_a_teacher_says_too():
    teacher = LogisticRegression().fit(X, Y)
    proba = {"teacher_proba": teacher.predict_proba(X)}
    plain, balanced = (
        StudentClassifier(lr=0.03, max_epochs=15, random_state=0, class_weight=weight)
        .fit(X, Y, **proba)
        .predict_proba(X_TEST)[:, 1]
        for weight in (None, "balanced")
    )
    assert balanced.mean() > plain.mean()


@pytest.mark.parametrize("distilled", [False, True])
def test_a_tuned_threshold_around_a_student(distilled):
    model = student(lr=0.1)
    if distilled:
        model = DistilledClassifier(LogisticRegression(), student(objective=KD(), lr=0.1), cv=2)
    # A few thresholds, far apart: the rare rows are too few to tell a best one exactly.
    tuned = TunedThresholdClassifierCV(
        model, scoring="balanced_accuracy", cv=2, thresholds=[0.02, 0.06, 0.5]
    ).fit(X, Y)
    assert set(tuned.predict(X_TEST)) == {"common", "rare"}
    assert tuned.best_threshold_ < 0.5
    before = balanced_accuracy_score(Y_TEST, tuned.estimator_.predict(X_TEST))
    assert balanced_accuracy_score(Y_TEST, tuned.predict(X_TEST)) > before + 0.1


class Says:
    """A classifier that gives the answers it was made with."""

    def __init__(self, proba, classes):
        self.proba = proba
        self.classes_ = np.asarray(classes)

    def predict_proba(self, X):
        return self.proba[: len(X)]


def report(proba, classes, y):
    model = Says(proba, classes)
    rows = report_on(model, model, np.zeros((len(y), 1)), y, model.classes_).rows
    return rows["student"]["average_precision"]


def test_average_precision_in_the_report():
    teacher = LogisticRegression().fit(X, Y)
    distilled = DistilledClassifier(teacher, StudentClassifier(random_state=0)).fit(X, Y)
    table = distilled.report(X_TEST, Y_TEST)
    for who, model in (("teacher", teacher), ("student", distilled)):
        expected = average_precision_score(Y_TEST == "rare", model.predict_proba(X_TEST)[:, 1])
        assert table.rows[who]["average_precision"] == pytest.approx(expected)
    assert "average_precision" in str(table).splitlines()[0]


def test_average_precision_of_several_classes_is_their_mean():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1, 1], size=60)
    y = np.array(["a", "b", "c"])[rng.integers(3, size=60)]
    expected = average_precision_score(label_binarize(y, classes=["a", "b", "c"]), proba)
    assert report(proba, ["a", "b", "c"], y) == pytest.approx(expected)
    few = y != "c"  # a class without rows does not count
    each = [average_precision_score(y[few] == c, proba[few, i]) for i, c in enumerate("ab")]
    assert report(proba[few], ["a", "b", "c"], y[few]) == pytest.approx(np.mean(each))
    assert np.isnan(report(np.full((9, 2), 0.5), ["a", "b"], np.repeat("a", 9)))
