"""Losses on attention and on hidden layers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lelp_sklearn.losses import align_heads, hidden_mse, patient_loss

seeds = st.integers(0, 10_000)
heads = st.integers(1, 5)
VARIANTS = ["kl", "mse", "token"]


def draw(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def attention(seed, n_heads, n=3, length=4, width=None):
    return (2 * draw(seed, n, n_heads, length, width or length)).softmax(-1)


def by_hand(student, teacher, variant, temperature):
    """The equations, loops and all, for one row without padding."""
    total = 0.0
    n_t, n_s, length = len(teacher), len(student), teacher.shape[1]

    def shares(t, s):
        cosines = [torch.dot(t, one) / t.norm() / one.norm() for one in s]
        return (torch.stack(cosines) / temperature).softmax(0)

    for i in range(n_t):
        a = shares(teacher[i].flatten(), student.flatten(1))
        if variant == "mse":
            mixed = sum(a[j] * student[j] / student[j].norm() for j in range(n_s))
            total += (teacher[i] / teacher[i].norm() - mixed).square().sum()
            continue
        for token in range(length):
            if variant == "token":
                a = shares(teacher[i, token], student[:, token])
            mixed = sum(a[j] * student[j, token] for j in range(n_s))
            t = teacher[i, token]
            total += (t * (t / mixed).log()).sum() / (n_t * length)
    return total


@pytest.mark.parametrize("variant", VARIANTS)
@given(seed=seeds, n_student=heads, n_teacher=heads, temperature=st.floats(0.1, 3))
def test_equations_for_any_numbers_of_heads(variant, seed, n_student, n_teacher, temperature):
    s, t = attention(seed, n_student), attention(seed + 1, n_teacher)
    found = align_heads(s, t, None, variant, temperature)
    expected = [by_hand(a, b, variant, temperature) for a, b in zip(s, t, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_head_that_all_share_has_no_loss(variant):
    t = attention(0, 1).expand(3, 4, 4, 4)
    loss = align_heads(t[:, :2], t, None, variant)
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-9, rtol=0)


def test_identical_heads_are_aligned_at_a_low_temperature_only():
    t = torch.eye(8, dtype=torch.float64)[:, None, :].expand(8, 6, 8)[None]  # a key a head
    warm, cold = (align_heads(t, t, None, "mse", temperature) for temperature in (1.0, 0.05))
    share = np.e / (np.e + 7)  # 0.28 at temperature 1
    assert warm.item() == pytest.approx(8 * ((1 - share) ** 2 + 7 * ((1 - share) / 7) ** 2))
    assert cold.item() < 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
@given(seed=seeds)
def test_the_order_of_heads_is_nothing(variant, seed):
    s, t = attention(seed, 3), attention(seed + 1, 2)
    loss = align_heads(s, t, None, variant, 0.3)
    torch.testing.assert_close(align_heads(s.flip(1), t.flip(1), None, variant, 0.3), loss)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("student_length", "teacher_length"), [(4, 6), (6, 4), (6, 6)])
def test_padding_changes_nothing(variant, student_length, teacher_length):
    s, t = attention(0, 3), attention(1, 2)
    alone = align_heads(s, t, None, variant, 0.5)
    pad = torch.nn.functional.pad
    teacher = pad(t, (0, teacher_length - 4) * 2)
    student = attention(2, 3, length=student_length)  # noise where there is no text
    student[:, :, :4, :4] = s
    mask = torch.arange(student_length).expand(3, -1) < 4
    found = align_heads(student, teacher, mask, variant, 0.5)
    torch.testing.assert_close(found, alone)


def test_the_teacher_alone_knows_the_padding_too():
    s, t = attention(0, 3, length=6), attention(1, 2)
    teacher = torch.nn.functional.pad(t, (0, 2) * 2)
    mask = torch.arange(6).expand(3, -1) < 4
    only_queries = align_heads(s[..., :4], teacher, None)  # keys cut, two queries of padding left
    torch.testing.assert_close(only_queries, align_heads(s, teacher, mask))


def test_keys_of_another_text_are_not_masked_by_the_queries():
    s, t = attention(0, 2, length=4, width=5), attention(1, 3, length=4, width=5)
    mask = torch.tensor([[True, True, False, False]] * 3)
    found = align_heads(s, t, mask)
    torch.testing.assert_close(found, align_heads(s[:, :, :2], t[:, :, :2]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_extremes_of_attention(variant):
    hard = torch.eye(3).expand(2, 2, 3, 3)
    for student, teacher in [
        (hard, hard.flip(3)),  # exact zeros on both sides
        (torch.zeros(2, 2, 3, 3), hard),
        (hard, torch.zeros(2, 1, 3, 3)),  # no tokens
        (hard[:1], hard[:1, :, :2, :1]),
    ]:
        s = student.clone().requires_grad_()
        loss = align_heads(s, teacher, None, variant)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert s.grad.isfinite().all()
    assert align_heads(hard, torch.zeros(2, 1, 3, 3), None, variant).tolist() == [0, 0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_of_attention(variant):
    logits, t = draw(0, 2, 2, 3, 3).requires_grad_(), attention(1, 3, n=2, length=3)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert gradcheck(lambda z: align_heads(z.softmax(-1), t, mask, variant, 0.5), (logits,))


@given(seed=seeds, scale=st.floats(0.01, 100))
def test_patient_loss_sees_directions_alone(seed, scale):
    s, t = draw(seed, 5, 8), draw(seed + 1, 5, 8)
    torch.testing.assert_close(patient_loss(scale * s, t), patient_loss(s, t))
    torch.testing.assert_close(patient_loss(-t, t), torch.full((5,), 4.0, dtype=torch.float64))
    same = patient_loss(t, t)
    torch.testing.assert_close(same, torch.zeros_like(same))
    cosine = torch.nn.functional.cosine_similarity(s, t)
    torch.testing.assert_close(patient_loss(s, t), 2 - 2 * cosine)


def test_layers_against_the_authors_code():
    """intersun/PKD-for-BERT-Model-Compression, src/KD_loss.py, patience_loss.

    It was run on these inputs without its rounding to float16; it takes the mean over the 8
    numbers of a vector where the paper has their sum.
    """
    s, t = draw(4, 5, 3, 8), draw(5, 5, 3, 8)
    rows = torch.stack([patient_loss(s[:, i], t[:, i]) for i in range(3)])
    assert rows.mean().item() / 8 == pytest.approx(0.2871197462, abs=1e-6)
    raw = torch.stack([hidden_mse(s[:, i], t[:, i]) for i in range(3)])
    assert raw.mean().item() == pytest.approx(2.0687556267, abs=1e-6)


@pytest.mark.parametrize("loss", [patient_loss, hidden_mse])
def test_layers_at_extremes(loss):
    t = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    for student in (torch.zeros(2, 3), 1e4 * torch.ones(2, 3), torch.ones(1, 3)):
        s = student.requires_grad_()
        value = loss(s, t[: len(s)])
        value.sum().backward()
        assert value.isfinite().all()
        assert s.grad.isfinite().all()
    assert gradcheck(lambda h: loss(h, draw(1, 4, 3)), (draw(0, 4, 3).requires_grad_(),))
