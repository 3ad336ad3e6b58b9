"""Relational losses: reference figures, invariances, gradients, extremes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lelp_sklearn.losses import (
    cosines,
    probabilistic_transfer,
    rkd_angle,
    rkd_distance,
    similarity_kl,
    similarity_preserving,
    token_relation_kl,
    unit_rows,
)

RELATIONS = [rkd_distance, rkd_angle, similarity_preserving, probabilistic_transfer]
seeds = st.integers(0, 10_000)


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.standard_normal(shape)) for shape in shapes]


def in_batch_kl(student, teacher):
    own = torch.eye(len(student), dtype=torch.bool)
    similarities = [cosines(rows, rows) for rows in (student, teacher)]
    return similarity_kl(*similarities, temperature=0.1, ignore=own)


def rotated(rows, seed):
    return rows @ torch.linalg.qr(draw(seed, (rows.shape[1],) * 2)[0])[0]


# Of RepDistiller's code on the same arrays (RKD: lenscloth/RKD's too), which means over all B^2
# pairs, those of a row with itself among them.
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (rkd_distance, 0.08824417295983376 * 9 / 8),
        (rkd_angle, 0.10306725989525667),
        (similarity_preserving, 0.16665705539092673),
    ],
)
def test_reference_figures(loss, expected):
    student, teacher = draw(0, (9, 4), (9, 6))
    assert loss(student, teacher).mean().item() == pytest.approx(expected, rel=1e-5)


def test_probabilistic_transfer_by_hand():
    # The authors' code also counts a row as a neighbour of its own, the paper does not.
    student, teacher = (rows.numpy() for rows in draw(0, (6, 4), (6, 5)))
    expected = []
    for i in range(6):
        others = [j for j in range(6) if j != i]
        p = []
        for rows in (teacher, student):
            unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            kernel = (unit[others] @ unit[i] + 1) / 2
            p.append(kernel / kernel.sum())
        expected.append((p[0] * np.log(p[0] / p[1])).sum())
    actual = probabilistic_transfer(torch.tensor(student), torch.tensor(teacher))
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_reference_figures_of_compress():
    # Of UMBCvision/CompRess on the same arrays, its two memories set to the anchors.
    rng = np.random.default_rng(2)
    shapes = [(5, 6), (5, 6), (5, 4), (12, 6), (12, 4)]
    teacher, one, two, bank, own_bank = (torch.tensor(rng.standard_normal(s)) for s in shapes)
    target = cosines(teacher, bank)
    actual = similarity_kl(cosines(one, bank), target, 0.2).mean()
    assert actual.item() == pytest.approx(2.3241211634440937, rel=1e-5)
    actual = similarity_kl(cosines(two, own_bank), target, 0.2).mean()
    assert actual.item() == pytest.approx(3.352926728516086, rel=1e-5)


def test_reference_figure_of_token_relations():
    # Of bloomberg/minilmv2.bb on the same arrays.
    student, teacher = draw(3, (3, 5, 4), (3, 5, 6))
    mask = torch.arange(5) < torch.tensor([[5], [3], [2]])
    actual = token_relation_kl(student, teacher, 2, mask).mean()
    assert actual.item() == pytest.approx(0.5916516790066998, rel=1e-5)


@given(seed=seeds, n=st.integers(2, 8))
def test_an_equal_student_has_no_loss(seed, n):
    (rows,) = draw(seed, (n, 4))
    for loss in [*RELATIONS, in_batch_kl]:
        assert loss(rows, rows).abs().max() < 1e-9


@given(seed=seeds)
def test_invariances(seed):
    student, teacher = draw(seed, (7, 4), (7, 5))
    turned = 3 * rotated(student, seed + 1)
    for loss in [*RELATIONS, in_batch_kl]:
        expected = loss(student, teacher)
        torch.testing.assert_close(loss(turned, teacher), expected, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(loss(student, 0.1 * teacher), expected, rtol=1e-4, atol=1e-7)
    for loss in (rkd_distance, rkd_angle):
        moved = loss(student + 5, teacher - 2)
        torch.testing.assert_close(moved, loss(student, teacher), rtol=1e-6, atol=1e-9)


def test_distances_and_angles_by_hand():
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    line = torch.tensor([[0.0], [1.0], [2.0]])
    mean_corners, mean_line = (2 + 2**0.5) / 3, 4 / 3
    sides = [(1, 1), (1, 2), (2**0.5, 1)]  # of rows 0-1, 0-2 and 1-2
    huber = [0.5 * (b / mean_line - a / mean_corners) ** 2 for a, b in sides]
    assert rkd_distance(line, corners).item() == pytest.approx(sum(huber) / 3)
    # At row 0: cos(1, 2) is 1 on the line and 0 at the corner; twice among nine.
    assert rkd_angle(line, corners)[0].item() == pytest.approx(2 * 0.5 / 9)


def test_pairs_weigh_as_products():
    student, teacher = draw(0, (5, 3), (5, 3))
    some = rkd_distance(student, teacher, torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]))
    distances = [torch.pdist(rows) / torch.pdist(rows).mean() for rows in (student, teacher)]
    huber = torch.nn.functional.smooth_l1_loss(*distances, reduction="none")
    first, second = torch.triu_indices(5, 5, offset=1)
    torch.testing.assert_close(some, huber[(first < 4) & (second < 4)].mean())


def test_vertices_are_some_of_all():
    student, teacher = draw(0, (6, 3), (6, 3))
    some = rkd_angle(student, teacher, torch.tensor([4, 1]))
    torch.testing.assert_close(some, rkd_angle(student, teacher)[[4, 1]])


def test_ignored_anchors_do_not_count():
    student, teacher = draw(0, (4, 6), (4, 6))
    ignore = torch.zeros(4, 6, dtype=torch.bool)
    ignore[:, 4:] = True
    expected = similarity_kl(student[:, :4], teacher[:, :4], 0.5)
    torch.testing.assert_close(similarity_kl(student, teacher, 0.5, ignore), expected)
    assert similarity_kl(student, teacher, 0.5, ~torch.zeros_like(ignore)).abs().max() == 0


def test_padding_does_not_count():
    student, teacher = draw(0, (2, 5, 4), (2, 5, 6))
    mask = torch.tensor([[True] * 3 + [False] * 2, [False] * 5])
    expected = token_relation_kl(student[:1, :3], teacher[:1, :3], 2)
    actual = token_relation_kl(student, teacher, 2, mask)
    torch.testing.assert_close(actual, torch.stack([expected[0], torch.zeros_like(expected[0])]))


def test_heads_that_do_not_divide_the_width():
    student, teacher = draw(0, (2, 5, 4), (2, 5, 6))
    with pytest.raises(ValueError, match="n_heads=3 does not divide the student's width 4"):
        token_relation_kl(student, teacher, 3)


@pytest.mark.parametrize("loss", [*RELATIONS, in_batch_kl])
def test_gradients(loss):
    student, teacher = draw(0, (5, 3), (5, 4))
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


def test_gradients_of_tokens():
    student, teacher = draw(0, (2, 4, 4), (2, 4, 6))
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: token_relation_kl(s, teacher, 2, mask), student)


EXTREMES = {
    "large": 1e4 * torch.eye(6, 4),
    "tiny": 1e-12 * torch.eye(6, 4),
    "zeros": torch.zeros(6, 4),
    "identical": torch.full((6, 4), 1e4),
    "opposite": torch.tensor([[1.0], [-1.0]]).repeat(3, 4),
    "one row": torch.ones(1, 4),
}


@pytest.mark.parametrize("loss", [*RELATIONS, in_batch_kl])
@pytest.mark.parametrize("name", EXTREMES)
def test_finite_at_extremes(loss, name):
    extreme = EXTREMES[name]
    (usual,) = draw(0, extreme.shape)
    for student, teacher in [(extreme, usual.float()), (usual.float(), extreme)]:
        student = student.clone().requires_grad_()
        total = loss(student, teacher).mean()
        total.backward()
        assert total.isfinite()
        assert student.grad.isfinite().all()


def test_noise_has_no_direction():
    rows = torch.tensor([[1.0, 0.0], [1e-9, 0.0], [0.0, 0.0]], requires_grad=True)
    unit = unit_rows(rows)
    assert unit.tolist() == [[1, 0], [0, 0], [0, 0]]
    unit.sum().backward()
    assert rows.grad[1:].abs().max() == 0
    assert unit_rows(torch.ones(0, 3)).shape == (0, 3)
