"""Every failure that the fuzz has found: the case as it was, the rows it was drawn with."""

import pytest

from tests.fuzz.test_fuzz import SUBJECTS, try_out

# Subject, rows, and changes by argument; "name@7" puts the value into cell 7.
CASES = [
    # Warnings from casts and sums in the depths, before an error of ours or a silent infinity.
    ("fit KD", "all", {"X": "huge"}),
    ("fit KD", "all", {"X": "all_huge_double"}),
    ("fit KD", "all", {"sample_weight": "huge"}),
    ("partial_fit LELP", "all", {"sample_weight": "all_huge"}),
    ("fit LELP, auto", "all", {"teacher_embeddings": "denormal_single"}),
    ("fit LELP on clusters", "all", {"teacher_embeddings": "all_huge_double"}),
    ("fit CRD", "all", {"teacher_embeddings": "huge"}),
    ("fit EmbeddingApproximation", "all", {"teacher_embeddings": "zeros"}),
    ("fit HiddenLayers", "all", {"teacher_hidden": "huge"}),
    ("fit SimKD", "all", {"teacher_coef": "huge"}),
    ("fit BagOfNgrams", "all", {"X": "huge"}),
    ("fit TabularMLP on numbers", "all", {"X": "all_huge_double"}),
    ("predict of sparse rows", "all", {"X": "all_huge_double"}),
    ("predict by onnx", "all", {"X": "huge"}),
    ("RandomSplitter fit", "all", {"H": "huge"}),
    ("ClusterSplitter fit", "all", {"H": "all_huge_double"}),
    ("LELPProjector partial_fit", "one", {"H": "huge"}),
    ("CCASplitter fit", "all", {"student_inputs": "huge"}),
    ("TeacherEnsemble mean_proba", "all", {"X": "huge"}),
    ("TeacherEnsemble log_loss", "all", {"sample_weight": "all_huge_double"}),
    ("top1_agreement", "all", {"sample_weight": "all_huge_double"}),
    ("reliability_bins", "all", {"sample_weight": "all_huge_double"}),
    ("select_rows k-means++", "all", {"X": "huge"}),
    ("propagate_labels", "all", {"H": "all_huge_double"}),
    ("VAEAugmenter", "all", {"X": "huge"}),
    ("GANAugmenter", "all", {"X": "inf"}),
    # Labels without an order, of several types, or missing.
    ("fit without a teacher", "all", {"y": "mixed@6"}),  # became words
    ("fit without a teacher", "all", {"y": "mixed_list@6"}),
    ("fit without a teacher", "all", {"y": "nan_words"}),  # "nan" became a class
    ("fit KD", "all", {"y": "lists_inside"}),
    ("fit KD", "all", {"y": "lists"}),
    ("fit KD", "all", {"y": "pandas_na@6"}),
    ("fit KD", "all", {"y": "none_words"}),
    ("partial_fit KD", "all", {"y": "dates"}),
    ("partial_fit KD", "all", {"classes": "mixed"}),
    ("ICASplitter fit", "all", {"y": "pandas_na@6"}),
    ("LELPProjector partial_fit", "all", {"y": "none_words"}),
    ("UniformSplitter fit", "one", {"y": "pandas_na@0"}),
    ("merge", "all", {"y": "dates"}),
    ("TeacherEnsemble mean_proba", "all", {"y": "none_words"}),
    ("CompositeTeacher", "all", {"y": "dicts_inside"}),
    ("brier_score", "all", {"y": "mixed@6"}),
    ("brier_score", "all", {"y": "word_objects"}),
    ("log_loss", "all", {"y": "dates"}),
    ("log_loss", "all", {"classes": "none_inside"}),
    ("Smote", "all", {"y": "one_class"}),
    # Probabilities, weights of a layer and embeddings that are none.
    *(
        (f"{name} fit", "all", {"teacher_proba": change})
        for name in ("LELPProjector", "GraphSplitter", "CCASplitter")
        for change in ("logits", "twice", "negative", "zeros")
    ),
    ("joint", "all", {"proba": "twice"}),
    ("fit LELP", "all", {"teacher_coef": "row_short"}),
    ("fit LELP", "all", {"teacher_coef": "list_inside"}),
    ("fit SimKD", "all", {"teacher_coef": "nan"}),
    ("fit SimKD", "all", {"teacher_coef": "word_inside"}),
    ("fit SimKD", "all", {"teacher_coef": "complex_numbers"}),
    ("ClusterSplitter fit", "all", {"teacher_coef": "dates"}),
    ("fit HiddenLayers", "all", {"teacher_hidden": "no_columns"}),
    ("CompositeTeacher", "all", {"proba": "csr"}),
    ("CompositeTeacher", "all", {"proba": "frame"}),
    ("CompositeTeacher", "all", {"proba": "words"}),
    ("CompositeTeacher", "all", {"proba": "absent"}),
    ("CompositeTeacher", "all", {"proba": "nan"}),
    ("CompositeTeacher", "all", {"embeddings": "word"}),
    ("CompositeTeacher", "all", {"embeddings": "nan"}),
    ("CompositeTeacher", "all", {"embeddings": "three_dimensions"}),
    ("CompositeTeacher", "all", {"embeddings": "frame"}),
    ("teacher_outputs", "all", {"proba": "scalar"}),
    ("teacher_outputs", "all", {"proba": "column_short"}),
    ("teacher_outputs", "all", {"proba": "row_short"}),
    ("teacher_outputs", "all", {"proba": "logits"}),
    ("teacher_outputs", "all", {"proba": "words"}),
    ("teacher_outputs", "all", {"embeddings": "row_short"}),
    ("teacher_outputs", "all", {"embeddings": "one_dimension"}),
    # Rows that are none.
    ("fit KD", "all", {"X": "dates"}),
    ("fit TabularMLP", "all", {"X": "lists"}),
    ("predict of a table", "all", {"X": "lists"}),
    ("predict of a table", "all", {"X": "complex_numbers"}),
    ("predict by onnx", "all", {"X": "word_inside"}),
    ("predict by onnx", "all", {"X": "complex_numbers"}),
    ("select_rows k-center", "all", {"X": "scalar"}),
    ("Mixup", "all", {"X": "absent"}),
    ("Mixup", "all", {"X": "one_row"}),  # and 36 labels
    ("Mixup", "all", {"X": "no_columns"}),
    ("Mixup", "all", {"X": "inf"}),
    ("Munge", "all", {"X": "inf"}),
    ("Munge", "all", {"X": "same_names"}),
    ("Munge", "all", {"X": "pandas_na"}),
    ("DistilledClassifier prefit", "all", {"X_unlabeled": "column_short"}),
    ("DistilledClassifier prefit", "all", {"X": "one_dimension"}),
    # Counts.
    ("representatives", "all", {"k": "half"}),
    ("agreement_by_confidence", "all", {"n_bins": "boolean"}),
    ("select_rows k-dpp", "all", {"n": "boolean"}),
    # A failed fit took the earlier one with it.
    ("EnsembleSplitter fit", "all", {"H": "no_columns"}),
    ("TeacherEnsemble log_loss", "all", {"X": "row_short"}),
    ("TeacherEnsemble ca_mkd", "all", {"y": "halves"}),
    ("LELPProjector fit", "all", {"H": "doubled_column", "y": "one_class"}),
    ("UniformSplitter fit", "all", {"H": "doubled_column", "y": "one_class"}),
    # Losses: what broadcasting took in silence, and what torch said of the rest.
    ("losses.class_kl", "all", {"target": "one_row"}),
    ("losses.logit_mse", "all", {"target_logits": "one_column"}),
    ("losses.subclass_cross_entropy", "all", {"class_mass": "one_row"}),
    ("losses.gaussian_nll", "all", {"variance": "one_row"}),
    ("losses.dist_intra", "all", {"weight": "one_dimension_more"}),
    ("losses.scaffold_kl", "all", {"log_guide": "one_row"}),
    ("losses.label_loss", "all", {"y": "short"}),
    ("losses.class_kl", "all", {"class_logits": "numpy"}),
    ("losses.class_kl", "all", {"temperature": "below_0"}),
    ("losses.fold", "all", {"n_subclasses": "one_less"}),
    ("losses.unit_rows", "all", {"rows": "whole_numbers"}),
    ("losses.cosine_distance", "all", {"student": "double"}),
    ("losses.cka_distance", "all", {"weight": "half"}),
    ("losses.align_heads", "all", {"variant": "another"}),
    # NaN, or gradients of NaN, of rows and of types of numbers that are as good as any.
    ("losses.z_scores", "all", {"logits": "one_column"}),
    ("losses.subclass_spread", "all", {"weight": "zeros"}),
    ("losses.cosine_distance", "all", {"student": "small"}),
    ("losses.probabilistic_transfer", "all", {"student": "small"}),
    ("losses.cka_distance", "all", {"teacher": "denormal"}),
    ("losses.rkd_distance", "all", {"precision": "half"}),
    ("losses.similarity_kl", "all", {"precision": "half"}),
    ("losses.token_relation_kl", "all", {"precision": "half"}),
    ("losses.supervised_contrast", "all", {"precision": "half"}),
    ("losses.align_heads", "all", {"precision": "half"}),
    ("losses.dist_intra", "one_class", {"precision": "half"}),
    ("losses.log_sum", "one", {"precision": "half"}),
    ("losses.z_scores", "all", {"logits": "zero_row", "precision": "half"}),
    ("losses.dist_intra", "all", {"weight": "denormal", "precision": "half"}),
    ("losses.log_sum", "all", {"power": "vast", "precision": "half"}),
    # No rows.
    ("losses.cosine_distance", "none", {"student": "learned"}),
    ("losses.rkd_angle", "none", {"student": "learned"}),
    ("losses.cka_distance", "none", {"weight": "none"}),
    ("losses.subclass_spread", "none", {"weight": "none"}),
    # Texts.
    ("fit StaticText", "all", {"X": "surrogate"}),
    ("predict_proba of texts", "all", {"X": "surrogate"}),
    ("TokenInputs", "all", {"X": "none_inside"}),
    ("TokenInputs", "all", {"X": "two_columns"}),
    ("TokenInputs read", "all", {"X": "polars_frame"}),
    ("TokenInputs read", "all", {"X": "no_rows"}),
    # Parameters, and what is kept and shown.
    ("Stages", "all", {"max_epochs": "numpy"}),
    ("WeightedSum", "all", {"weights": "words"}),
    ("TeacherCache", "all", {"X": "list_inside"}),
    ("SubclassDisplay", "all", {"H": "all_huge_double"}),
    ("SubclassDisplay", "all", {"H": "zeros"}),
    ("SubclassDisplay", "all", {"y": "pandas_na"}),
]


@pytest.mark.parametrize(
    ("subject", "rows", "changes"), CASES, ids=[f"{s}, {r}, {c}" for s, r, c in CASES]
)
def test_not_again(subject, rows, changes):
    named = {}
    for argument, text in changes.items():
        name, _, at = text.partition("@")
        (change,) = (c for c in SUBJECTS[subject].changes[argument] if c.name == name)
        named[argument] = (change, int(at or 5))
    try_out(subject, rows, named)
