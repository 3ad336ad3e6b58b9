"""scikit-learn's own estimator checks over every public estimator."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import lelp_sklearn as lelp
from tests.expected_failures import EXPECTED_FAILURES

ESTIMATORS = [
    lelp.LELPProjector(n_subclasses=2, null_space=False),
    lelp.ClusterSplitter(n_subclasses=2, null_space=False),
    lelp.ICASplitter(n_subclasses=2, null_space=False, random_state=0),
    lelp.GraphSplitter(n_subclasses=2, null_space=False),
    lelp.AutoencoderSplitter(n_subclasses=2, null_space=False),
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
    # Steps enough for the 50 rows of scikit-learn's checks.
    lelp.StudentClassifier(random_state=0, batch_size=16, lr=0.05),
    lelp.StudentClassifier(lelp.BagOfNgrams, random_state=0, batch_size=16, lr=0.05),
    lelp.StudentClassifier(lelp.TabularMLP, random_state=0, batch_size=16, lr=0.05),
    lelp.LELPStudentClassifier(random_state=0, batch_size=16, lr=0.05),
    lelp.SubclassTeacher(random_state=0, batch_size=16, lr=0.05),
    lelp.RetrievalAugmentedClassifier(
        lelp.StudentClassifier(batch_size=16, lr=0.05), retrieval_weight=0.5, random_state=0
    ),
    lelp.SklearnTeacher(LogisticRegression()),
    lelp.TeacherEnsemble([("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]),
    lelp.DistilledClassifier(
        LogisticRegression(),
        lelp.StudentClassifier(random_state=0, batch_size=16, lr=0.05),
        cv=2,
    ),
]


@pytest.mark.filterwarnings("ignore:.*got no teacher arrays")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    ESTIMATORS, expected_failed_checks=lambda e: EXPECTED_FAILURES.get(type(e).__name__, {})
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
