"""Contrastive losses: reference figures, values by hand, gradients, extremes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn.losses import cosines, info_nce, noise_contrastive, supervised_contrast


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.standard_normal(shape)) for shape in shapes]


def test_reference_figure_of_noise_contrast():
    # Of RepDistiller's criterion on the same scores, Z estimated as its memory does.
    (scores,) = draw(1, (5, 8))
    log_z = scores.exp().mean().log()
    actual = noise_contrastive(scores[:, 0], scores[:, 1:], log_z).mean()
    assert actual.item() == pytest.approx(3.8324710421877533, rel=1e-5)


def test_reference_figure_of_supervised_contrast():
    # Of HobbitLong/SupContrast on the same rows, base_temperature as temperature.
    _, _, rows = draw(2, (5, 6), (5, 6), (5, 4))
    actual = supervised_contrast(rows, torch.tensor([0, 0, 1, 1, 0]), 0.1).mean()
    assert actual.item() == pytest.approx(7.400192078561131, rel=1e-5)


def test_info_nce_by_hand():
    similarities = torch.tensor([[0.5, 0.1, 0.3], [0.2, 0.4, 0.0]])
    scores = (similarities / 0.1).exp()
    expected = -(torch.stack([scores[0, 0], scores[1, 1]]) / scores.sum(1)).log()
    torch.testing.assert_close(info_nce(similarities, 0.1), expected)


def test_ignored_columns_are_no_negatives():
    similarities = torch.tensor([[0.5, 0.1, 0.3], [0.2, 0.4, 0.0]])
    ignore = torch.tensor([[True, True, False], [True, True, True]])
    kept = similarities[:1, [0, 2]]
    expected = torch.cat([info_nce(kept, 0.1), torch.zeros(1)])
    torch.testing.assert_close(info_nce(similarities, 0.1, ignore), expected)


@given(seed=st.integers(0, 1000), shift=st.floats(-2, 2))
def test_noise_contrast_depends_on_scores_over_the_normalizer(seed, shift):
    positive, negatives = draw(seed, (4,), (4, 6))
    zero = torch.tensor(0.0, dtype=torch.float64)
    moved = noise_contrastive(positive + shift, negatives + shift, zero + shift)
    torch.testing.assert_close(moved, noise_contrastive(positive, negatives, zero))


def test_ignored_negatives_do_not_count():
    positive, negatives = draw(0, (3,), (3, 6))
    ignore = torch.zeros(3, 6, dtype=torch.bool)
    ignore[:, 2:] = True
    ignore[2] = True
    zero = torch.tensor(0.0, dtype=torch.float64)
    actual = noise_contrastive(positive, negatives, zero, ignore)
    expected = noise_contrastive(positive, negatives[:, :2], zero)
    torch.testing.assert_close(actual[:2], expected[:2])
    assert actual[2] == 0


def test_a_row_alone_in_its_class_has_no_loss():
    (rows,) = draw(0, (4, 3))
    loss = supervised_contrast(rows, torch.tensor([0, 0, 0, 1]))
    assert loss[3] == 0
    assert (loss[:3] > 0).all()


def losses(student, teacher):
    """Each of the losses on embeddings."""
    similarities = cosines(student, teacher)
    y = torch.arange(len(student)) % 2
    ignore = y[:, None] == y
    zero = similarities.new_zeros(())
    yield info_nce(similarities)
    yield info_nce(similarities.T, 0.5, ignore)
    scores = similarities / 0.07
    yield noise_contrastive(scores.diagonal(), scores, zero, ignore)
    yield supervised_contrast(student, y)
    yield supervised_contrast(student, torch.zeros_like(y))


def test_gradients():
    student, teacher = draw(0, (5, 3), (5, 3))
    student.requires_grad_()
    teacher.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: tuple(losses(s, t)), (student, teacher))


@pytest.mark.parametrize("n", [1, 6])
@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e4])
def test_finite_at_extremes(n, scale):
    student = (scale * torch.ones(n, 3)).requires_grad_()
    teacher = torch.cat([torch.eye(3), -torch.eye(3)])[:n]
    loss = torch.stack(list(losses(student, teacher)))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert student.grad.isfinite().all()


def test_scores_far_apart_are_finite():
    scores = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    noise_contrastive(scores[:, 0], scores, torch.tensor(0.0)).sum().backward()
    assert scores.grad.isfinite().all()
