"""scikit-learn's own estimator checks over every public estimator."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import lelp_sklearn as lelp
from tests.expected_failures import EXPECTED_FAILURES

# As they come, but for seeds: steps for the 50 to 300 rows of the checks, few trees and folds.
QUICK = {"batch_size": 16, "lr": 0.05, "max_epochs": 10, "random_state": 0}
ESTIMATORS = [
    lelp.LELPProjector(),
    lelp.ClusterSplitter(),
    lelp.ICASplitter(random_state=0),
    lelp.GraphSplitter(),
    lelp.AutoencoderSplitter(pretrain_epochs=3, max_epochs=2),
    lelp.UniformSplitter(),
    lelp.RandomSplitter(random_state=0),
    lelp.OracleSplitter(),
    lelp.EnsembleSplitter(
        [
            ("directions", lelp.LELPProjector(random_state=0)),
            ("chance", lelp.RandomSplitter(random_state=0)),
        ]
    ),
    lelp.StudentClassifier(**QUICK),
    lelp.StudentClassifier(lelp.BagOfNgrams, **QUICK),
    lelp.StudentClassifier(lelp.TabularMLP, **QUICK),
    lelp.LELPStudentClassifier(**QUICK),
    lelp.SubclassTeacher(**QUICK),
    lelp.RetrievalAugmentedClassifier(
        lelp.StudentClassifier(**QUICK), retrieval_weight=0.5, random_state=0
    ),
    lelp.SklearnTeacher(LogisticRegression()),
    lelp.TeacherEnsemble([("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]),
    lelp.DistilledClassifier(LogisticRegression(), lelp.StudentClassifier(**QUICK), cv=2),
]


# Splitters say that they got neither probabilities nor weights of the teacher, which is so here.
@pytest.mark.filterwarnings("ignore:null_space='auto' is skipped")
@pytest.mark.filterwarnings("ignore:.*got no teacher arrays")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    ESTIMATORS, expected_failed_checks=lambda e: EXPECTED_FAILURES.get(type(e).__name__, {})
)
def test_scikit_learn_checks(estimator, check):
    if check.func.__name__ == "check_class_weight_classifiers":
        estimator.set_params(max_epochs=40)  # asks about new rows of noisy classes
    check(estimator)
