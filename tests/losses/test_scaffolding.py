"""Losses of scaffolding (DiSK) and of subclass teachers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lelp_sklearn.losses import class_kl, guide_help, label_loss, scaffold_kl, subclass_spread

seeds = st.integers(0, 10_000)


def draw(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def scaffold(seed=0, n=6, n_classes=4):
    """Logits, targets, helped classes and log g."""
    u, t = 3 * draw(seed, n, n_classes), (2 * draw(seed + 1, n, n_classes)).softmax(1)
    helped = t >= t.median(dim=1, keepdim=True).values
    return u, t, helped, torch.nn.functional.logsigmoid(draw(seed + 2, n))


@given(seed=seeds, temperature=st.floats(0.3, 8))
def test_no_help_is_plain_distillation(seed, temperature):
    u, t, helped, _ = scaffold(seed)
    plain = class_kl(u, t, temperature)
    none = torch.full((6,), -torch.inf, dtype=torch.float64)
    torch.testing.assert_close(scaffold_kl(u, t, helped, none, temperature), plain)
    nobody = torch.zeros_like(helped)
    torch.testing.assert_close(scaffold_kl(u, t, nobody, none + 1, temperature), plain)


@given(seed=seeds, temperature=st.floats(0.3, 8))
def test_scaffold_is_a_divergence_from_a_mixture(seed, temperature):
    u, t, helped, log_g = scaffold(seed)
    g = log_g.exp()[:, None]
    mixed = ((u / temperature).softmax(1) + g * helped) / (1 + g * helped.sum(1, keepdim=True))
    torch.testing.assert_close(mixed.sum(1), torch.ones(6, dtype=torch.float64))
    expected = temperature**2 * (t * (t / mixed).log()).sum(1)
    torch.testing.assert_close(scaffold_kl(u, t, helped, log_g, temperature), expected)
    assert (expected > -1e-12).all()


def test_help_censors_the_gradient():
    """-t / (s + g) on s, as the authors have it: t = 0.9, s = 0.01."""
    s = torch.tensor([0.01, 0.99], dtype=torch.float64)
    t, helped = torch.tensor([[0.9, 0.1]], dtype=torch.float64), torch.tensor([[True, False]])
    for g, pull in ((0.0, 90.0), (0.1, 8.1818), (1.0, 0.8911)):
        u = s.log()[None].requires_grad_()
        scaffold_kl(u, t, helped, torch.tensor([g], dtype=torch.float64).log()).sum().backward()
        # du = s (ds - sum s ds) turns the gradients on s, -t / (s + g) and -t / s, into those on u.
        ds = torch.tensor([-pull, -0.1 / 0.99], dtype=torch.float64)
        torch.testing.assert_close(u.grad[0], s * (ds - (s * ds).sum()), atol=1e-5, rtol=1e-4)


def test_two_classes_that_are_both_helped_gain_where_the_student_is_wrong():
    u = torch.tensor([[2.0, -2.0], [-2.0, 2.0]])  # right, wrong
    t, helped = torch.tensor([[1.0, 0.0]] * 2), torch.ones(2, 2, dtype=torch.bool)
    gain = class_kl(u, t) - scaffold_kl(u, t, helped, torch.tensor([0.3, 0.3]).log())
    assert gain[0] < 0 < gain[1]


def test_scaffold_against_the_authors_code():
    """anilkagak2/DiSK_Distilling_Scaffolded_Knowledge, DiSK.py, use_prob 42 and penalties 24, 25.

    It was run on these inputs. It adds its two terms apart, has cross-entropies for divergences,
    fills logits outside the top K with 0, and divides the help by the number of wrong rows, 5.
    """
    u, t_logits, a = 3 * draw(0, 6, 4), 2 * draw(1, 6, 4), draw(2, 6)
    y = torch.tensor([0, 1, 2, 3, 0, 1])
    log_g = torch.nn.functional.logsigmoid(a)
    main = {(4, 1.0): 0.5078644392, (4, 2.0): 1.6780725568}
    main |= {(2, 1.0): 0.3857484341, (2, 2.0): 1.0697040244}
    for (k, temperature), expected in main.items():
        helped = torch.nn.functional.one_hot(y, 4).bool()
        helped = helped.scatter(1, t_logits.topk(k, dim=1).indices, True)
        target = (t_logits / temperature * helped).softmax(1) * helped
        entropy = torch.special.xlogy(target, target).sum(1)
        normaliser = target.sum(1) * (helped.sum(1) * log_g.exp()).log1p()
        ours = scaffold_kl(u, target, helped, log_g, temperature)
        theirs = (ours - temperature**2 * (entropy + normaliser)).mean()
        assert theirs.item() == pytest.approx(expected, abs=1e-6)
    assert (4 * log_g.exp()).log1p().mean().item() == pytest.approx(1.0309254025, abs=1e-6)
    assert guide_help(u, y, log_g).sum().item() / 5 == pytest.approx(1.5096645388, abs=1e-6)


def test_guide_help_is_cut_off():
    u, y = torch.tensor([[0.0, 100.0], [0.0, 1.0]]), torch.tensor([0, 0])
    half = torch.tensor([0.5, 0.5]).log()
    torch.testing.assert_close(guide_help(u, y, half)[0], torch.tensor(2.5))
    torch.testing.assert_close(guide_help(u, y, half, 7.0)[0], torch.tensor(3.5))
    torch.testing.assert_close(guide_help(u, y, half)[1], label_loss(u, y)[1] / 2)


@given(seed=seeds, temperature=st.floats(0.2, 5))
def test_spread_is_0_when_all_rows_are_alike_and_negative_otherwise(seed, temperature):
    row = draw(seed, 1, 6)
    together = subclass_spread(row.expand(5, 6), temperature)
    torch.testing.assert_close(together, torch.zeros_like(together), atol=1e-6, rtol=0)
    assert subclass_spread(draw(seed + 1, 5, 6), temperature) < 0


@given(seed=seeds, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_spread_sees_neither_scale_nor_shift_of_a_row(seed, scale, shift):
    z = draw(seed, 5, 6)
    torch.testing.assert_close(
        subclass_spread(scale * z + shift), subclass_spread(z), atol=1e-5, rtol=0
    )


def test_spread_against_the_authors_equations():
    """google-research/subclass_distillation, mnist_colab.ipynb, negative_sampling_loss.

    Its equations, with its 1e-9, were worked out in NumPy on these logits.
    """
    z = 2 * draw(3, 7, 6)
    assert subclass_spread(z).item() == pytest.approx(-0.7697739712, abs=1e-6)
    assert subclass_spread(z, 0.5).item() == pytest.approx(-1.2713089407, abs=1e-6)


@given(seed=seeds)
def test_a_weight_of_two_is_a_row_twice(seed):
    z, weight = draw(seed, 4, 6), torch.tensor([2.0, 1.0, 1.0, 3.0], dtype=torch.float64)
    repeated = z.repeat_interleave(weight.long(), dim=0)
    torch.testing.assert_close(subclass_spread(z, 0.7, weight), subclass_spread(repeated, 0.7))


def test_gradients():
    u, t, helped, log_g = scaffold()
    u.requires_grad_()
    log_g.requires_grad_()
    assert gradcheck(lambda u, g: scaffold_kl(u, t, helped, g, 2.0), (u, log_g))
    y = torch.tensor([0, 1, 2, 3, 0, 1])
    assert gradcheck(lambda u, g: guide_help(u, y, g, 50.0), (u, log_g))
    assert gradcheck(lambda z: subclass_spread(z, 0.5), (u,))


ALIKE = torch.ones(3, 4)
EXTREMES = {
    "huge": 1e4 * torch.tensor([[1.0, -1.0, 0.0, 1.0], [-1.0, 1.0, 1.0, 0.0]]),
    "zeros": torch.zeros(2, 4),
    "alike": ALIKE,
    "one row": torch.tensor([[1.0, 2.0, -3.0, 0.0]]),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("log_g", [0.0, -1e4])
def test_extremes(name, log_g):
    u = EXTREMES[name].clone().requires_grad_()
    n = len(u)
    g = torch.full((n,), log_g, requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(n, 4)  # exact zeros, one class
    y = torch.ones(n, dtype=torch.int64)
    total = scaffold_kl(u, target, target > 0, g, 2.0).sum() + guide_help(u, y, g).sum()
    total = total + subclass_spread(u)
    total.backward()
    assert total.isfinite()
    assert u.grad.isfinite().all()
    assert g.grad.isfinite().all()
