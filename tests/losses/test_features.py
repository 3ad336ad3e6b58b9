"""Losses on embeddings as mathematics."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn.losses import cka_distance, cosine_distance, gaussian_nll, log_sum

seeds = st.integers(0, 10_000)
CLOSE = {"rtol": 1e-6, "atol": 1e-7}


def draw(seed, *shapes):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=g, dtype=torch.float64) for shape in shapes]


def zero(value):
    torch.testing.assert_close(value, torch.zeros_like(value), atol=1e-6, rtol=0)


def test_agrees_with_reference_codes():
    # Seed 0, after two draws of (6, 4): VIDLoss of RepDistiller on a given mean and log-scale,
    # forward_loss of Simple-Recipe-Distillation (the authors') without its layer, and cka_score and
    # linear_hsic of CKA_minibatch_pytorch.
    _, _, S, T, P, alpha = draw(0, (6, 4), (6, 4), (6, 5), (6, 3), (6, 3), (3,))
    variance = F.softplus(alpha) + 1e-5
    assert gaussian_nll(P, T, variance).mean().item() == pytest.approx(1.8262067, rel=1e-7)
    assert log_sum(P, T).item() == pytest.approx(5.7280415, abs=1e-6)
    assert cka_distance(S, T).item() == pytest.approx(0.3066209, abs=1e-7)
    assert cka_distance(S, T, unbiased=True).item() == pytest.approx(0.2237901, abs=1e-7)
    torch.testing.assert_close(cosine_distance(P, T), 1 - F.cosine_similarity(P, T))


@given(seed=seeds)
def test_a_perfect_student_has_no_loss(seed):
    (T,) = draw(seed, (9, 4))
    zero(cosine_distance(T, T))
    zero(cka_distance(T, T))
    zero(cka_distance(T, T, unbiased=True))
    assert log_sum(T, T).item() == pytest.approx(torch.tensor(1e-5).log().item())


@given(seed=seeds, scale=st.floats(0.1, 100), shift=st.floats(-10, 10))
def test_invariances(seed, scale, shift):
    S, T, R = draw(seed, (9, 4), (9, 3), (4, 4))
    rotation, _ = torch.linalg.qr(R)
    moved = scale * S @ rotation + shift
    for unbiased in (False, True):
        expected = cka_distance(S, T, unbiased=unbiased)
        torch.testing.assert_close(cka_distance(moved, T, unbiased=unbiased), expected, **CLOSE)
    S = S[:, :3]
    torch.testing.assert_close(cosine_distance(scale * S, T), cosine_distance(S, T), **CLOSE)


@given(seed=seeds, scale=st.floats(1, 100), shift=st.floats(-10, 10))
def test_log_sum_forgets_each_columns_shift_and_scale(seed, scale, shift):
    S, T = draw(seed, (9, 3), (9, 3))
    factors = torch.tensor([1.0, scale, 1.0])
    expected = log_sum(S, T)
    torch.testing.assert_close(log_sum(S * factors + shift, T), expected, atol=1e-2, rtol=0)


@given(seed=seeds)
def test_cka_is_between_bounds(seed):
    S, T = draw(seed, (6, 20), (6, 3))
    assert -1e-9 <= cka_distance(S, T).item() <= 1
    assert -1e-9 <= cka_distance(S, T, unbiased=True).item() <= 2


def test_wide_embeddings_seem_aligned_with_the_bias_only():
    biased, unbiased = zip(
        *[
            [cka_distance(*draw(seed, (8, 500), (8, 500)), unbiased=u).item() for u in (0, 1)]
            for seed in range(20)
        ],
        strict=True,
    )
    assert max(biased) < 0.1
    assert sum(unbiased) / 20 == pytest.approx(1, abs=0.1)


def test_small_batches_are_estimated_with_the_bias():
    S, T = draw(0, (3, 2), (3, 2))
    assert torch.equal(cka_distance(S, T, unbiased=True), cka_distance(S, T))


def test_cka_by_its_feature_form():
    S, T = draw(1, (9, 4), (9, 3))
    S, T = S - S.mean(0), T - T.mean(0)
    expected = 1 - (T.T @ S).square().sum() / ((S.T @ S).norm() * (T.T @ T).norm())
    torch.testing.assert_close(cka_distance(S, T), expected)


def test_weights_of_pairs_are_repetitions():
    S, T = draw(0, (5, 4), (5, 3))
    weight = torch.tensor([1.0, 2, 0, 1, 3], dtype=torch.float64)
    rows = torch.repeat_interleave(torch.arange(5), weight.long())
    torch.testing.assert_close(cka_distance(S, T, weight), cka_distance(S[rows], T[rows]), **CLOSE)


def test_weights_of_the_log_sum():
    S, T = draw(0, (5, 3), (5, 3))
    ones = torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(log_sum(S, T, 7 * ones), log_sum(S, T))
    first = log_sum(S, T, 5 * torch.eye(5, dtype=torch.float64)[0])
    S, T = ((x - x.mean(0)) / (x.var(0, correction=0) + 1e-4).sqrt() for x in (S, T))
    torch.testing.assert_close(first, (5 * (S - T)[0].pow(4).sum() + 1e-5).log())
    cubes = log_sum(*draw(0, (5, 3), (5, 3)), power=3)
    torch.testing.assert_close(cubes, ((S - T).abs().pow(3).sum() + 1e-5).log())


def test_the_likelihood_prefers_the_true_variance():
    (T,) = draw(0, (1000, 1))
    T = 0.5 * T
    v = torch.tensor([0.25], dtype=torch.float64)
    losses = [gaussian_nll(torch.zeros_like(T), T, v * factor).mean() for factor in (0.5, 1, 2)]
    assert losses[1] < min(losses[0], losses[2])
    normal = torch.distributions.Normal(0, v.sqrt())
    constant = 0.5 * torch.log(2 * torch.tensor(torch.pi))
    torch.testing.assert_close(losses[1], -normal.log_prob(T).mean() - constant)


def test_gradients():
    S, T, v = draw(0, (5, 3), (5, 3), (3,))
    S.requires_grad_()
    variance = v.exp().requires_grad_()
    weight = torch.arange(5.0, dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(cosine_distance, (S, T))
    assert check(lambda s: log_sum(s, T, weight), S)
    assert check(lambda s: cka_distance(s, T, weight), S)
    assert check(lambda s: cka_distance(s, T, unbiased=True), S)
    assert check(lambda s, v: gaussian_nll(s, T, v), (S, variance))


EXTREMES = {
    "large": (
        1e4 * torch.tensor([[1.0, -1], [0.5, 2], [0, 1], [1, 1]]),
        torch.ones(4, 2).cumsum(0),
    ),
    "zeros": (torch.zeros(4, 2), torch.zeros(4, 2)),
    "zero student": (torch.zeros(4, 2), torch.eye(2)[[0, 1, 0, 0]]),
    "identical": (torch.full((5, 2), 0.1), torch.eye(2)[[0, 1, 0, 0, 1]]),
    "one row": (torch.tensor([[1.0, 2]]), torch.tensor([[3.0, 4]])),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_finite_in_float32_at_extremes(case):
    S, T = EXTREMES[case]
    S, variance = S.clone().requires_grad_(), torch.full((2,), 1e-5)
    loss = cosine_distance(S, T).sum() + log_sum(S, T) + gaussian_nll(S, T, variance).sum()
    loss = loss + cka_distance(S, T) + cka_distance(S, T, unbiased=True)
    loss.backward()
    assert loss.isfinite()
    assert S.grad.isfinite().all()
    assert S.grad.abs().max() < 1e10
