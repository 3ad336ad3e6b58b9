"""Metrics against figures worked out by hand, scikit-learn's, and what must hold of any rows."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from lelp_sklearn.losses import cka_distance
from lelp_sklearn.metrics import (
    agreement_by_confidence,
    brier_score,
    cka,
    expected_calibration_error,
    jensen_shannon,
    log_loss,
    predictive_kl,
    reliability_bins,
    top1_agreement,
)
from lelp_sklearn.metrics._cka import check_embeddings, cka_rows

SURE = np.eye(2)[[0, 1, 1]]
OF_PAIRS = [
    top1_agreement,
    predictive_kl,
    lambda p, q, **k: predictive_kl(p, q, reverse=True, **k),
    jensen_shannon,
]
OF_LABELS = [
    expected_calibration_error,
    lambda y, p, **k: expected_calibration_error(y, p, strategy="quantile", **k),
    lambda y, p, **k: expected_calibration_error(y, p, classwise=True, **k),
    brier_score,
    log_loss,
]


def draw(seed, n=40, n_classes=3, zeros=0.2):
    """Probabilities of two models, zeros among them, and labels."""
    rng = np.random.default_rng(seed)
    pair = rng.exponential(size=(2, n, n_classes)) ** 2 * (rng.random((2, n, n_classes)) > zeros)
    pair[..., 0] += 1e-3
    y = rng.permutation(np.arange(n) % n_classes)
    return (*(pair / pair.sum(axis=2, keepdims=True)), y)


draws = st.builds(draw, st.integers(0, 10_000), n=st.integers(4, 60), n_classes=st.integers(2, 4))


@given(draws)
def test_bounds_and_identities(drawn):
    p, q, y = drawn
    assert top1_agreement(p, p) == 1
    assert predictive_kl(p, p) == predictive_kl(p, p, reverse=True) == jensen_shannon(p, p) == 0
    assert 0 <= predictive_kl(p, q) <= 36.05
    assert predictive_kl(p, q, reverse=True) == predictive_kl(q, p)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), abs=1e-12)
    assert 0 <= jensen_shannon(p, q) <= np.log(2)
    truth = np.eye(p.shape[1])[y]
    for score in OF_LABELS:
        assert score(y, truth) == 0
        assert score(y, p) >= 0
    assert log_loss(y, p) == pytest.approx(predictive_kl(truth, p), abs=1e-12)
    assert brier_score(y, p, scale_by_half=True) <= 1


@given(draws, st.integers(0, 100))
def test_row_order_column_order_and_batches_change_nothing(drawn, seed):
    p, q, y = drawn
    rows = np.random.default_rng(seed).permutation(len(y))
    columns = np.random.default_rng(seed).permutation(p.shape[1])
    half = len(y) // 3
    batched = [np.concatenate([a[:half], a[half:]]) for a in (p, q)]
    for score in OF_PAIRS:
        value = score(p, q)
        assert score(p[rows], q[rows]) == pytest.approx(value, abs=1e-12)
        assert score(p[:, columns], q[:, columns]) == pytest.approx(value, abs=1e-12)
        assert score(*batched) == value
        parts = [score(p[:half], q[:half]), score(p[half:], q[half:])]
        by_size = np.average(parts, weights=[half, len(y) - half])
        assert by_size == pytest.approx(value, abs=1e-12)
    for score in OF_LABELS:
        value = score(y, p)
        assert score(y[rows], p[rows]) == pytest.approx(value, abs=1e-12)
        assert score(y, p[:, columns], classes=columns) == pytest.approx(value, abs=1e-12)


@given(draws, st.integers(0, 100))
def test_weights_are_repeated_rows(drawn, seed):
    p, q, y = drawn
    weight = np.random.default_rng(seed).integers(0, 3, size=len(y))
    assume(len(np.unique(y[weight > 0])) == p.shape[1])
    p2, q2, y2 = (np.repeat(a, weight, axis=0) for a in (p, q, y))
    for score in OF_PAIRS:
        weighed = score(p, q, sample_weight=weight)
        assert weighed == pytest.approx(score(p2, q2), abs=1e-12)
    for score in (s for i, s in enumerate(OF_LABELS) if i != 1):  # edges are of the rows as given
        assert score(y, p, sample_weight=weight) == pytest.approx(score(y2, p2), abs=1e-12)
    counted = agreement_by_confidence(p, q, sample_weight=weight)
    for a, b in zip(counted, agreement_by_confidence(p2, q2), strict=True):
        np.testing.assert_allclose(a, b)


@given(draws)
def test_same_as_scikit_learn_and_scipy(drawn):
    p, q, y = drawn
    assert log_loss(y, p) == pytest.approx(sk.log_loss(y, p), abs=1e-7)
    distance = jensenshannon(p, q, axis=1)
    assert jensen_shannon(p, q) == pytest.approx(np.mean(distance**2), abs=1e-7)
    agree = sk.accuracy_score(p.argmax(axis=1), q.argmax(axis=1))
    assert top1_agreement(p, q) == pytest.approx(agree)
    if p.shape[1] == 2:
        expected = sk.brier_score_loss(y, p[:, 1])
        assert brier_score(y, p) == pytest.approx(expected, abs=1e-7)
        return
    one_hot = np.eye(p.shape[1])[y]
    assert brier_score(y, p) == pytest.approx(np.mean(((p - one_hot) ** 2).sum(1)), abs=1e-7)
    try:
        expected = [sk.brier_score_loss(y, p, scale_by_half=h) for h in ("auto", True, False)]
    except (TypeError, ValueError):  # before scikit-learn 1.7
        return
    found = [brier_score(y, p, scale_by_half=h) for h in ("auto", True, False)]
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bins_are_those_of_a_calibration_curve(strategy):
    p, _, y = draw(3, n=500, zeros=0)
    found = reliability_bins(y, p, n_bins=7, strategy=strategy)
    right = p.argmax(axis=1) == y
    share, sure = calibration_curve(right, p.max(axis=1), n_bins=7, strategy=strategy)
    filled = found.weight > 0
    np.testing.assert_allclose(found.share[filled], share)
    np.testing.assert_allclose(found.confidence[filled], sure)
    assert found.weight.sum() == 500
    if strategy == "quantile":
        assert np.ptp(found.weight) <= 1
    error = expected_calibration_error(y, p, n_bins=7, strategy=strategy)
    assert error == pytest.approx(np.sum(found.weight[filled] * np.abs(share - sure)) / 500)


def test_divergences_by_hand():
    p, q = [[0.5, 0.5], [1.0, 0.0]], [[0.25, 0.75], [0.5, 0.5]]
    first = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    assert predictive_kl(p, q) == pytest.approx((first + np.log(2)) / 2, abs=1e-12)
    middle = 0.75 * np.log(0.75) + 0.25 * np.log(0.25)  # of (1, 0) and (1/2, 1/2)
    js = -middle - 0.5 * np.log(2)
    assert jensen_shannon(p[1:], q[1:]) == pytest.approx(js, abs=1e-12)


def test_zeros_are_finite_and_as_documented():
    apart = [[1.0, 0.0]], [[0.0, 1.0]]
    most = -np.log(np.finfo(float).eps)
    assert predictive_kl(*apart) == pytest.approx(most)
    assert most == pytest.approx(36.04, abs=0.01)
    assert jensen_shannon(*apart) == np.log(2)
    assert log_loss([0, 1, 1], SURE[::-1]) == pytest.approx(most * 2 / 3)


def test_halved_or_not():
    P = [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    assert brier_score([0, 1, 2], P) == pytest.approx((0.09 + 0.04 + 0.01 + 0 + 2) / 3)
    assert brier_score([0, 1, 2], P, scale_by_half=True) == pytest.approx(2.14 / 6)
    assert brier_score([0, 1, 1], SURE[::-1]) == pytest.approx(2 / 3)
    assert brier_score([0, 1, 1], SURE[::-1], scale_by_half=False) == pytest.approx(4 / 3)


def test_classwise_and_equal_mass_by_hand():
    y, P = [0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]
    # One bin: means of probability 0.65 and 0.35, frequency 0.5 each.
    assert expected_calibration_error(y, P, n_bins=1, classwise=True) == pytest.approx(0.15)
    # Two bins of two rows: confidences (0.6, 0.7), half of them right; (0.8, 0.9), all right.
    found = expected_calibration_error(y, P, n_bins=2, strategy="quantile")
    assert found == pytest.approx((0.15 + 0.15) / 2)
    # By width all four are in one bin: 0.75 on 3/4.
    assert expected_calibration_error(y, P, n_bins=2) == pytest.approx(0)


def test_agreement_by_confidence_by_hand():
    teacher = [[0.55, 0.45], [0.95, 0.05], [0.1, 0.9], [0.0, 1.0]]
    student = [[0.4, 0.6], [0.9, 0.1], [0.7, 0.3], [0.3, 0.7]]
    bins = agreement_by_confidence(teacher, student, n_bins=10)
    assert bins.weight.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert bins.share[[5, 9]].tolist() == [0, pytest.approx(2 / 3)]
    assert bins.confidence[9] == pytest.approx(0.95)
    assert np.isnan(bins.share[0])
    equal = agreement_by_confidence(np.tile([0.4, 0.6], (5, 1)), np.tile([0.4, 0.6], (5, 1)))
    assert (equal.weight > 0).sum() == 1


@given(st.integers(0, 10_000), st.booleans())
def test_cka_is_the_loss_and_its_invariances(seed, unbiased):
    rng = np.random.default_rng(seed)
    T, S = rng.standard_normal((12, 5)), rng.standard_normal((12, 3))
    S[:, 0] += T[:, 0]
    value = cka(T, S, unbiased=unbiased)
    loss = cka_distance(torch.tensor(S), torch.tensor(T), unbiased=unbiased)
    assert value == pytest.approx(1 - loss.item(), abs=1e-9)
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    rows = rng.permutation(12)
    moved = cka(1e6 * T[rows] @ turn + 7, S[rows], unbiased=unbiased)
    assert moved == pytest.approx(value, abs=1e-9)
    assert cka(S, T, unbiased=unbiased) == pytest.approx(value)
    assert cka(T, 3 * T @ turn, unbiased=unbiased) == pytest.approx(1)


def test_cka_at_its_ends():
    rng = np.random.default_rng(0)
    T, S = rng.standard_normal((2, 30, 200))
    assert cka(T, S) > 0.8  # wide embeddings of few rows look alike
    assert abs(cka(T, S, unbiased=True)) < 0.1
    assert cka(T, np.full((30, 2), 0.1)) == 0
    assert cka(1e200 * T, 1e-200 * S) == pytest.approx(cka(T, S))
    with pytest.raises(ValueError, match="3 rows"):
        cka(T[:3], S[:3], unbiased=True)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        cka(T, S[:4])


def test_rows_of_cka_resample_as_cka_does():
    rng = np.random.default_rng(0)
    T = rng.standard_normal((400, 6))
    S = T[:, :3] + rng.standard_normal((400, 3))
    rows = cka_rows(*check_embeddings(T, S))
    assert rows.mean() == pytest.approx(cka(T, S))
    samples = rng.integers(400, size=(300, 400))
    exact, linear = zip(*((cka(T[i], S[i]), rows[i].mean()) for i in samples), strict=True)
    assert np.std(linear) == pytest.approx(np.std(exact), rel=0.1)
    assert np.corrcoef(exact, linear)[0, 1] > 0.97
    assert not cka_rows(*check_embeddings(T, np.ones((400, 2)))).any()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[2.0, -1.0], [0.5, 0.5]], "row 0 is .*Are these logits"),
        ([[0.5, 0.5], [0.5, 0.6]], "row 1 is"),
        ([[np.nan, 1.0], [0.5, 0.5]], "contains NaN"),
        ([0.5, 0.5], "Expected 2D array"),
        (np.empty((0, 2)), "0 sample"),
    ],
)
def test_what_are_no_probabilities(bad, message):
    good = [[0.5, 0.5], [0.5, 0.5]]
    for score in OF_PAIRS:
        with pytest.raises(ValueError, match=message):
            score(good, bad)
        with pytest.raises(ValueError, match=message):
            score(bad, good)
    for score in OF_LABELS:
        with pytest.raises(ValueError, match=message):
            score([0, 1], bad)


def test_shapes_labels_bins_and_weights_that_do_not_fit():
    p, q, y = draw(0)
    with pytest.raises(ValueError, match=r"teacher_proba has shape \(40, 3\) and student_proba"):
        predictive_kl(p, q[:3])
    with pytest.raises(ValueError, match=r"y holds \[7\], and the classes are \[0, 1, 2\]"):
        log_loss(np.where(y == 2, 7, y), p, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        brier_score(y[:3], p)
    with pytest.raises(ValueError, match="n_bins == 0, must be >= 1"):
        expected_calibration_error(y, p, n_bins=0)
    with pytest.raises(ValueError, match="strategy='mass' is not among"):
        agreement_by_confidence(p, q, strategy="mass")
    with pytest.raises(ValueError, match="scale_by_half='no'"):
        brier_score(y, p, scale_by_half="no")
    for weight in (np.zeros(40), -np.ones(40)):
        with pytest.raises(ValueError, match=r"(?i)sample.?weight|zero|negative"):
            log_loss(y, p, sample_weight=weight)


def test_float16_rows_are_made_to_sum_to_one():
    p, _, _ = draw(0, zeros=0)
    rough = p.astype(np.float16)
    assert predictive_kl(rough, rough.astype(np.float64)) == 0
    assert predictive_kl(p, rough) < 1e-5
