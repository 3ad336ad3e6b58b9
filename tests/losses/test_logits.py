"""Standardised, decoupled and correlated logits as mathematics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn.losses import class_kl, dist_inter, dist_intra, dkd, z_scores

seeds = st.integers(0, 10_000)
temperatures = st.floats(0.3, 10)
CLOSE = {"rtol": 1e-6, "atol": 1e-8}


def draw(seed, n=6, n_classes=4):
    """Student and teacher logits in float64, and class numbers."""
    g = torch.Generator().manual_seed(seed)
    student, teacher = (
        3 * torch.randn(n, n_classes, generator=g, dtype=torch.float64) for _ in range(2)
    )
    return student, teacher, torch.arange(n) % n_classes


# Seed 0, labels 0, 1, 2, 3, 1, 0: dkd_loss of mdistiller, DIST of image_classification_sota (the
# authors'), and kd_loss of logit-standardization-KD (the authors').
LABELS = torch.tensor([0, 1, 2, 3, 1, 0])


def test_agrees_with_the_authors_codes():
    u, v, _ = draw(0)
    soft, softer = v.softmax(1), (v / 4).softmax(1)
    assert dkd(u, softer, LABELS).mean().item() == pytest.approx(36.8710555, rel=1e-7)
    assert dkd(u, soft, LABELS, 2.0, 0.5, 1.0).mean().item() == pytest.approx(7.1355217, rel=1e-7)
    assert dist_inter(u, softer, 4.0).mean().item() == pytest.approx(23.3090234, abs=1e-5)
    assert dist_intra(u, softer, 4.0).mean().item() == pytest.approx(25.5842838, abs=1e-5)
    both = dist_inter(u, soft).mean() + dist_intra(u, soft).mean()
    assert both.item() == pytest.approx(2.7905310, abs=1e-6)
    target = (z_scores(v) / 2).softmax(1)
    standardised = class_kl(z_scores(u), target, 2.0).mean().item()
    assert standardised == pytest.approx(1.1221748, abs=1e-6)


@given(seed=seeds, scale=st.floats(0.1, 100), shift=st.floats(-100, 100))
def test_z_scores_forget_shift_and_scale(seed, scale, shift):
    u, _, _ = draw(seed)
    z = z_scores(u)
    torch.testing.assert_close(z_scores(scale * u + shift), z, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(z.mean(1), torch.zeros(6, dtype=z.dtype))
    torch.testing.assert_close(z.std(1), torch.ones(6, dtype=z.dtype))


def test_z_scores_of_two_logits_are_their_order():
    z = z_scores(torch.tensor([[0.0, 0.1], [-30.0, 50.0]]))
    torch.testing.assert_close(z[0], z[1])


@given(seed=seeds, temperature=temperatures)
def test_dkd_decouples_plain_distillation(seed, temperature):
    u, v, y = draw(seed)
    target = (v / temperature).softmax(1)
    tckd, nckd = (dkd(u, target, y, a, b, temperature) for a, b in ((1.0, 0.0), (0.0, 1.0)))
    own = target.gather(1, y[:, None]).squeeze(1)
    torch.testing.assert_close(tckd + (1 - own) * nckd, class_kl(u, target, temperature), **CLOSE)
    torch.testing.assert_close(
        dkd(u, target, y, 0.3, 2.0, temperature), 0.3 * tckd + 2 * nckd, **CLOSE
    )


@given(seed=seeds, temperature=temperatures, alpha=st.floats(0.1, 5))
def test_dkd_of_two_classes_is_plain_distillation_exactly(seed, temperature, alpha):
    u, v, y = draw(seed, n_classes=2)
    target = (v / temperature).softmax(1)
    expected = alpha * class_kl(u, target, temperature)
    assert torch.equal(dkd(u, target, y, alpha, 8.0, temperature), expected)


def test_dkd_by_hand():
    # b is (0.5, 0.5) and (0.25, 0.75); the others share 0.8 to 0.2, and 0.5 to 0.5.
    target = torch.tensor([[0.5, 0.4, 0.1]], dtype=torch.float64)
    u = torch.tensor([[0.25, 0.375, 0.375]], dtype=torch.float64).log()
    y = torch.tensor([0])
    tckd = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    nckd = 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5)
    assert dkd(u, target, y, 1.0, 8.0, 1.0).item() == pytest.approx(tckd + 8 * nckd)


@given(seed=seeds, temperature=st.floats(1, 10))  # colder, a class may be improbable throughout
def test_a_perfect_student_has_no_loss(seed, temperature):
    _, v, y = draw(seed)
    target = (v / temperature).softmax(1)
    for rows in (
        dkd(v + 5, target, y, temperature=temperature),
        dist_inter(v + 5, target, temperature),
        dist_intra(v + 5, target, temperature),
    ):
        torch.testing.assert_close(rows, torch.zeros_like(rows), atol=1e-7, rtol=0)


@given(seed=seeds, share=st.floats(0.05, 1))
def test_dist_forgets_shift_and_scale_of_probabilities(seed, share):
    _, v, _ = draw(seed)
    p = v.softmax(1)
    mixed = (share * p + (1 - share) / 4).log()
    for loss in (dist_inter, dist_intra):
        assert loss(mixed, p).abs().max() < 1e-6


def test_two_classes_leave_the_rows_term_without_gradient():
    u, v, _ = draw(0, n_classes=2)
    u.requires_grad_()
    dist_inter(u, v.softmax(1)).sum().backward()
    assert u.grad.abs().max() < 1e-12
    intra = dist_intra(u, v.softmax(1))
    torch.testing.assert_close(intra[0], intra[1])


def test_dist_weights_are_repetitions():
    u, v, _ = draw(0)
    weight = torch.tensor([1.0, 2, 0, 1, 3, 1], dtype=torch.float64)
    repeated = torch.repeat_interleave(torch.arange(6), weight.long())
    p = v.softmax(1)
    torch.testing.assert_close(
        dist_intra(u, p, weight=weight), dist_intra(u[repeated], p[repeated]), **CLOSE
    )


@pytest.mark.parametrize("n_classes", [2, 4])
def test_gradients(n_classes):
    u, v, y = draw(0, n_classes=n_classes)
    u.requires_grad_()
    p, weight = (v / 2).softmax(1), torch.arange(6.0, dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(lambda u: dkd(u, p, y, 0.5, 2.0, 2.0), u)
    assert check(lambda u: dist_intra(u, p, 2.0, weight), u)
    if n_classes > 2:
        assert check(lambda u: dist_inter(u, p, 2.0), u)
        assert check(z_scores, u)


EXTREMES = {
    "large": (1e4 * torch.tensor([[1.0, -1, 0.5], [0, -1, 1]]), torch.eye(3)[:2]),
    "zeros": (torch.zeros(2, 3), torch.full((2, 3), 1 / 3)),
    "identical": (torch.ones(4, 3) * torch.tensor([1.0, 2, 3]), torch.eye(3)[[0, 0, 0, 0]]),
    "one row": (torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.0, 0.5, 0.5]])),
    "two classes": (torch.tensor([[1e4, -1e4], [0, 0]]), torch.eye(2)),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_finite_in_float32_at_extremes(case):
    u, p = EXTREMES[case]
    u = u.clone().requires_grad_()
    y = torch.zeros(len(u), dtype=torch.long)
    loss = dkd(u, p, y, temperature=0.5).sum() + dist_inter(u, p).sum() + dist_intra(u, p).sum()
    loss = loss + class_kl(z_scores(u), p).sum()
    loss.backward()
    assert loss.isfinite()
    assert u.grad.isfinite().all()


def test_a_sure_teacher_gives_the_others_no_target():
    rows = dkd(torch.tensor([[1.0, 2.0, 3.0]]), torch.eye(3)[:1], torch.tensor([0]), 0.0, 1.0)
    assert rows.item() == 0
