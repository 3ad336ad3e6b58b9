"""scikit-learn's own estimator checks over every public estimator."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import lelp_sklearn as lelp
from lelp_sklearn.students._base import BaseStudentClassifier
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


# What students inherit is checked on StudentClassifier. Another body is asked what depends on how
# rows are read, another objective what depends on how it trains: each by the checks named here.
OTHER_BODIES = {
    *("check_classifiers_train", "check_dict_unchanged", "check_dtype_object"),
    *("check_estimator_sparse_array", "check_estimator_sparse_matrix", "check_estimators_dtypes"),
    *("check_estimators_empty_data_messages", "check_estimators_nan_inf", "check_fit_idempotent"),
    *("check_estimators_pickle", "check_f_contiguous_array_estimator", "check_fit1d"),
    *("check_fit2d_1feature", "check_fit2d_1sample", "check_fit2d_predict1d", "check_complex_data"),
    *("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
    *("check_n_features_in", "check_n_features_in_after_fitting", "check_estimator_sparse_tag"),
    *("check_positive_only_tag_during_fit", "check_readonly_memmap_input"),
    *("check_transformer_preserve_dtypes", "check_sample_weight_equivalence_on_sparse_data"),
}
OTHER_OBJECTIVES = {
    *("check_class_weight_classifiers", "check_classifiers_classes", "check_classifiers_one_label"),
    *("check_classifiers_one_label_sample_weights", "check_classifiers_train"),
    *("check_all_zero_sample_weights_error", "check_decision_proba_consistency"),
    *("check_do_not_raise_errors_in_init_or_set_params", "check_estimator_cloneable"),
    *("check_dont_overwrite_attributes", "check_estimator_repr", "check_estimators_pickle"),
    *("check_estimators_overwrite_params", "check_estimators_partial_fit_n_features"),
    *("check_estimators_unfitted", "check_fit_check_is_fitted", "check_fit_idempotent"),
    *("check_get_params_invariance", "check_methods_subset_invariance", "check_set_params"),
    *("check_no_attributes_set_in_init", "check_parameters_default_constructible"),
    *("check_pipeline_consistency", "check_sample_weight_equivalence_on_dense_data"),
    *("check_sample_weights_shape", "check_transformer_preserve_dtypes", "check_valid_tag_types"),
}


def inherited(estimator, check):
    """Whether it is checked on StudentClassifier in its default."""
    plain = type(estimator) is lelp.StudentClassifier
    others = not isinstance(estimator, BaseStudentClassifier)
    if others or (plain and estimator.module is None):
        return False
    if getattr(check, "keywords", {}).get("readonly_memmap"):
        return True
    return check.func.__name__ not in (OTHER_BODIES if plain else OTHER_OBJECTIVES)


def once():
    """scikit-learn's parametrization, less what would be checked again."""
    every = parametrize_with_checks(
        ESTIMATORS, expected_failed_checks=lambda e: EXPECTED_FAILURES.get(type(e).__name__, {})
    )
    names, pairs = every.args
    cases = (pair if hasattr(pair, "values") else pytest.param(*pair) for pair in pairs)
    return pytest.mark.parametrize(
        names, [case for case in cases if not inherited(*case.values)], **every.kwargs
    )


# Splitters say that they got neither probabilities nor weights of the teacher, which is so here.
@pytest.mark.filterwarnings("ignore:null_space='auto' is skipped")
@pytest.mark.filterwarnings("ignore:.*got no teacher arrays")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@once()
def test_scikit_learn_checks(estimator, check):
    if check.func.__name__ == "check_class_weight_classifiers":
        estimator.set_params(max_epochs=40)  # asks about new rows of noisy classes
    check(estimator)
