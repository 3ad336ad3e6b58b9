"""scikit-learn's estimator checks that are expected to fail, each with its reason."""

_MINI_BATCHES = (
    "Trained by mini-batches: leaving a row out changes the batches that the others fall into, so "
    "weights and repetitions agree in expectation only, as for scikit-learn's SGDClassifier."
)

EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "StudentClassifier": {
        "check_sample_weight_equivalence_on_dense_data": _MINI_BATCHES,
        "check_sample_weight_equivalence_on_sparse_data": _MINI_BATCHES,
    },
    "SubclassTeacher": {"check_sample_weight_equivalence_on_dense_data": _MINI_BATCHES},
    "LELPStudentClassifier": {"check_sample_weight_equivalence_on_dense_data": _MINI_BATCHES},
    "RetrievalAugmentedClassifier": {
        "check_sample_weight_equivalence_on_dense_data": _MINI_BATCHES
        + " Nor do the weights of entries count in votes."
    },
    "ICASplitter": {
        "check_transformer_n_iter": (
            'The check\'s rows are too few for "auto" to split a class, so that FastICA is not '
            "run, and n_iter_ is 0."
        ),
        "check_positive_only_tag_during_fit": (
            "The check forbids warnings, and its classes are normal: no direction is further from "
            "normal than others, and FastICA warns that it settled on none."
        ),
    },
    "DistilledClassifier": {"check_sample_weight_equivalence_on_dense_data": _MINI_BATCHES},
}

# Estimators whose fit takes more than a table of any width: most are adapters of models that come
# trained. tests/teachers and tests/subclasses have the tests that make sense of them.
NOT_CHECKED: dict[str, str] = {
    "CCASplitter": "Its fit needs student_inputs; test_cca checks it with the table as these.",
    "CompositeTeacher": "It answers about the rows that its arrays of answers belong to.",
    "SentenceTransformerTeacher": "Its rows are texts.",
    "SkorchTeacher": "The module inside the net expects its own number of columns.",
    "TorchTeacher": "The module expects its own number of columns, and fit trains nothing.",
    "TransformersTeacher": "Its rows are texts, and fit trains nothing.",
}
