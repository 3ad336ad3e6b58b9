"""The losses as mathematics: identities, invariances, gradients, extremes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn.losses import (
    class_kl,
    fold,
    label_loss,
    logit_mse,
    subclass_cross_entropy,
    subclass_kl,
    unfold,
)
from lelp_sklearn.objectives._base import soften

seeds = st.integers(0, 10_000)
sizes = st.lists(st.integers(1, 4), min_size=2, max_size=4)
temperatures = st.floats(0.2, 20)


def draw(seed, n_subclasses, n=7, scale=3.0):
    """Student logits, class targets and split targets in float64."""
    g = torch.Generator().manual_seed(seed)
    width = sum(n_subclasses)
    logits = scale * torch.randn(n, width, generator=g, dtype=torch.float64)
    p = torch.randn(n, len(n_subclasses), generator=g, dtype=torch.float64).softmax(1)
    blocks = torch.randn(n, width, generator=g, dtype=torch.float64).split(list(n_subclasses), 1)
    return logits, p, torch.cat([b.softmax(1) for b in blocks], 1)


@given(seed=seeds, n_subclasses=sizes)
def test_fold_sums_each_classs_probability(seed, n_subclasses):
    logits, _, _ = draw(seed, n_subclasses)
    by_hand = torch.stack([b.sum(1) for b in logits.softmax(1).split(n_subclasses, 1)], 1)
    torch.testing.assert_close(fold(logits, n_subclasses).softmax(1), by_hand)


def test_unfold_repeats_each_column_over_its_block():
    x = torch.tensor([[1.0, 2.0]])
    assert unfold(x, (2, 2)).tolist() == [[1, 1, 2, 2]]
    assert unfold(x, (1, 3)).tolist() == [[1, 2, 2, 2]]


@given(seed=seeds, n_subclasses=sizes, temperature=temperatures)
def test_chain_rule_equals_the_divergence_on_the_joint(seed, n_subclasses, temperature):
    logits, p, split = draw(seed, n_subclasses)
    joint = unfold(p, n_subclasses) * split
    log_student = (logits / temperature).log_softmax(1)
    expected = temperature**2 * F.kl_div(log_student, joint, reduction="none").sum(1)
    actual = subclass_kl(logits, p, split, n_subclasses, temperature)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-9)


@given(seed=seeds, n_subclasses=sizes, temperature=temperatures, weight=st.floats(0, 3))
def test_subclass_weight_weighs_the_second_term_alone(seed, n_subclasses, temperature, weight):
    logits, p, split = draw(seed, n_subclasses)
    none, one, some = (
        subclass_kl(logits, p, split, n_subclasses, temperature, w) for w in (0.0, 1.0, weight)
    )
    torch.testing.assert_close(some, none + weight * (one - none))
    plain = class_kl(fold(logits / temperature, n_subclasses), p) * temperature**2
    torch.testing.assert_close(none, plain)


@given(seed=seeds, n_classes=st.integers(2, 5), temperature=temperatures, weight=st.floats(0, 2))
def test_one_subclass_a_class_is_plain_distillation_exactly(seed, n_classes, temperature, weight):
    logits, p, _ = draw(seed, [1] * n_classes)
    one = subclass_kl(logits, p, torch.ones_like(p), [1] * n_classes, temperature, weight)
    assert torch.equal(one, class_kl(logits, p, temperature))


@given(seed=seeds, temperature=temperatures)
def test_probabilities_do_as_well_as_logits(seed, temperature):
    teacher, _, _ = draw(seed, [1, 1, 1])
    softened = soften(teacher.softmax(1).numpy(), temperature)
    np.testing.assert_allclose(softened, (teacher / temperature).softmax(1), rtol=1e-5, atol=1e-6)


def test_softening_keeps_zeros_and_ones():
    proba = np.array([[0.0, 1.0], [0.5, 0.5]])
    for temperature in (0.1, 1.0, 7.0):
        np.testing.assert_array_equal(soften(proba, temperature), proba)


@given(seed=seeds, n_subclasses=sizes, temperature=temperatures)
def test_a_perfect_student_has_no_loss(seed, n_subclasses, temperature):
    _, p, split = draw(seed, n_subclasses)
    logits = temperature * (unfold(p, n_subclasses) * split).log() + 5.0
    loss = subclass_kl(logits, p, split, n_subclasses, temperature)
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-9, rtol=0)
    class_logits = temperature * p.log() - 3.0
    loss = class_kl(class_logits, p, temperature)
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-9, rtol=0)
    loss = logit_mse(class_logits + 2.0, class_logits)
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-9, rtol=0)


def test_temperature_squared_keeps_the_gradients_size():
    logits, p, _ = draw(0, [1, 1, 1], scale=0.01)
    sizes = []
    for temperature in (10.0, 100.0):
        u = logits.clone().requires_grad_()
        target = torch.from_numpy(soften(p.numpy(), temperature).astype(np.float64))
        class_kl(u, target, temperature).sum().backward()
        sizes.append(u.grad.abs().sum().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_high_temperature_is_logit_matching():
    logits, _, _ = draw(0, [1, 1, 1])
    teacher, _, _ = draw(1, [1, 1, 1])
    temperature = 1e3
    target = (teacher / temperature).softmax(1)
    torch.testing.assert_close(
        class_kl(logits, target, temperature),
        logit_mse(logits, teacher) / 2,
        rtol=0.02,
        atol=1e-3,
    )


@pytest.mark.parametrize("n_subclasses", [(1, 1), (2, 2), (1, 3)])
def test_gradients(n_subclasses):
    logits, p, split = draw(0, n_subclasses, n=4)
    logits.requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda u: subclass_kl(u, p, split, n_subclasses, 2.0, 0.3), logits)
    assert check(lambda u: subclass_cross_entropy(u, p, split, n_subclasses), logits)
    assert check(lambda u: class_kl(fold(u, n_subclasses), p, 2.0), logits)
    assert check(lambda u: logit_mse(fold(u, n_subclasses), p.log()), logits)
    y = torch.tensor([0, 1, 1, 0])
    assert check(lambda u: label_loss(fold(u, n_subclasses), y), logits)


def test_finite_in_float32_where_probabilities_are_zero_and_one():
    logits = torch.tensor([[300.0, -300.0, 0.0, 90.0], [-1e4, 1e4, 1e4, 3.0]], requires_grad=True)
    p = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    split = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]])
    loss = subclass_kl(logits, p, split, (2, 2), 0.5).sum()
    loss = loss + class_kl(fold(logits, (2, 2)), p).sum()
    loss = loss + subclass_cross_entropy(logits, p, split, (2, 2))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_masses_of_another_type_become_the_logits(dtype):
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.0]])
    masses = torch.tensor([[0.25, 0.75]]), torch.tensor([[0.125, 0.125, 0.5, 0.25]])
    expected = subclass_cross_entropy(logits, *masses, (2, 2))
    found = subclass_cross_entropy(logits, *(mass.to(dtype) for mass in masses), (2, 2))
    assert found.dtype == torch.float32
    assert found.item() == expected.item()  # the numbers are exact in all types
