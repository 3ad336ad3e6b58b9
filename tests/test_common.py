"""scikit-learn's own estimator checks over every public estimator."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import lelp_sklearn as lelp
from tests.expected_failures import EXPECTED_FAILURES

# Steps enough for the 50 rows of scikit-learn's checks, and no more than for its 300.
QUICK = {"batch_size": 16, "lr": 0.05, "max_epochs": 10}
ESTIMATORS = [
    lelp.LELPProjector(n_subclasses=2, null_space=False),
    lelp.ClusterSplitter(n_subclasses=2, null_space=False),
    lelp.ICASplitter(n_subclasses=2, null_space=False, random_state=0),
    lelp.GraphSplitter(n_subclasses=2, null_space=False),
    lelp.AutoencoderSplitter(n_subclasses=2, null_space=False, pretrain_epochs=3, max_epochs=2),
    lelp.UniformSplitter(n_subclasses=3),
    lelp.RandomSplitter(n_subclasses=3, random_state=0),
    lelp.OracleSplitter(),
    lelp.EnsembleSplitter(
        [
            (
                "directions",
                lelp.LELPProjector(n_subclasses=2, null_space=False, random_state=0),
            ),
            ("chance", lelp.RandomSplitter(n_subclasses=3, random_state=0)),
        ]
    ),
    lelp.StudentClassifier(random_state=0, **QUICK),
    lelp.StudentClassifier(lelp.BagOfNgrams, random_state=0, **QUICK),
    lelp.StudentClassifier(lelp.TabularMLP, random_state=0, **QUICK),
    lelp.LELPStudentClassifier(random_state=0, **QUICK),
    lelp.SubclassTeacher(random_state=0, **QUICK),
    lelp.RetrievalAugmentedClassifier(
        lelp.StudentClassifier(**QUICK), retrieval_weight=0.5, random_state=0
    ),
    lelp.SklearnTeacher(LogisticRegression()),
    lelp.TeacherEnsemble([("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]),
    lelp.DistilledClassifier(
        LogisticRegression(),
        lelp.StudentClassifier(random_state=0, **QUICK),
        cv=2,
    ),
]


@pytest.mark.filterwarnings("ignore:.*got no teacher arrays")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    ESTIMATORS, expected_failed_checks=lambda e: EXPECTED_FAILURES.get(type(e).__name__, {})
)
def test_scikit_learn_checks(estimator, check):
    if check.func.__name__ == "check_class_weight_classifiers":
        estimator.set_params(max_epochs=40)  # asks about new rows of noisy classes
    check(estimator)
