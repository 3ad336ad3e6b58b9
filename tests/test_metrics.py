"""Fidelity and calibration against figures worked out by hand."""

import numpy as np
import pytest

from lelp_sklearn.metrics import expected_calibration_error, top1_agreement
from lelp_sklearn.report import n_parameters
from tests.data import embeddings, linear_teacher


def test_agreement_counts_equal_winners():
    a = [[0.6, 0.4], [0.3, 0.7], [0.1, 0.9], [0.8, 0.2]]
    b = [[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.7, 0.3]]
    assert top1_agreement(a, b) == 0.75
    with pytest.raises(ValueError, match=r"teacher_proba has shape \(4, 2\) and student_proba"):
        top1_agreement(a, b[:3])


def test_calibration_error_is_the_weighted_gap_of_the_bins():
    H, y = embeddings(n=300)
    proba, _ = linear_teacher(H)
    right, sure = proba.argmax(axis=1) == y, proba.max(axis=1)
    by_hand = 0.0
    for low in np.arange(10) / 10:
        rows = (sure >= low) & ((sure < low + 0.1) | (low == 0.9))
        if rows.any():
            by_hand += rows.mean() * abs(right[rows].mean() - sure[rows].mean())
    assert expected_calibration_error(y, proba, n_bins=10) == pytest.approx(by_hand, abs=1e-12)
    order = np.random.default_rng(0).permutation(300)
    shuffled = expected_calibration_error(y[order], proba[order], n_bins=10)
    assert shuffled == pytest.approx(by_hand, abs=1e-12)


def test_calibration_error_at_its_ends_and_with_labels_of_ones_own():
    sure = np.eye(2)[[0, 1, 1]]
    assert expected_calibration_error(["n", "y", "y"], sure) == 0.0
    assert expected_calibration_error(["y", "n", "n"], sure) == 1.0
    assert expected_calibration_error(["y", "n", "n"], sure, classes=["y", "n"]) == 0.0
    with pytest.raises(ValueError, match="proba has 2 columns and the classes are"):
        expected_calibration_error(["n", "n", "n"], sure)


def test_parameters_of_arrays_trees_and_networks():
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    H, y = embeddings()
    linear = LogisticRegression().fit(H, y)
    assert n_parameters(linear) == linear.coef_.size + linear.intercept_.size
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(H, y)
    assert n_parameters(scaled) > n_parameters(linear)
    shallow, deep = (DecisionTreeClassifier(max_depth=d).fit(H, y) for d in (1, 4))
    assert 0 < n_parameters(shallow) < n_parameters(deep)
    assert n_parameters(torch.nn.Linear(3, 4)) == 16
