"""Relations among the rows of a batch: distances, angles, similarities and neighbourhoods.

They compare how each side's rows lie to one another, so the two sides' widths may differ.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lelp_sklearn.losses._checks import check_tensors
from lelp_sklearn.losses._similarities import cosines, normal_number, unit_rows

_SMALLEST_KERNEL = 1e-6  # opposite rows have a kernel of zero, and no logarithm


def rkd_distance(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Relational distillation by distances, a mean over pairs of rows.

    .. math::
        \frac2{B(B-1)} \sum_{i<j}
        \ell_1\big(d^S_{ij} / \mu^S, \; d^T_{ij} / \mu^T\big)

    with Euclidean distances d, their means :math:`\mu` over the pairs, and :math:`\ell_1` the
    Huber loss. Shifts, rotations and scales of either side change nothing.

    Parameters
    ----------
    student : Tensor of shape (B, E)
        Student embeddings.
    teacher : Tensor of shape (B, D)
        Teacher embeddings.
    weight : Tensor of shape (B,), default=None
        Weights of the rows, of which a pair has the product; None is 1 each.

    Returns
    -------
    Tensor of shape ()
        0 for a lone row.

    See Also
    --------
    rkd_angle : The angles of triplets.

    References
    ----------
    Park, Kim, Lu and Cho (2019), Relational Knowledge Distillation, CVPR, section 3.2.1; there a
    sum over pairs.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import rkd_distance
    >>> corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> rkd_distance(3 * corners + 1, corners) < 1e-6
    tensor(True)
    """
    check_tensors(student=(student, "BE"), teacher=(teacher, "BD"), weight=(weight, "B"))
    if len(student) < 2:
        return student.sum() * 0
    difference = _huber(_scaled_distances(student), _scaled_distances(teacher))
    if weight is None:
        return difference.mean()
    first, second = torch.triu_indices(len(weight), len(weight), 1, device=weight.device)
    pairs = weight[first] * weight[second]
    return (difference * pairs).sum() / pairs.sum().clamp_min(1e-12)


def rkd_angle(student: Tensor, teacher: Tensor, vertices: Tensor | None = None) -> Tensor:
    r"""Relational distillation by angles, one value a vertex.

    .. math::
        \frac1{B^2} \sum_{i,k} \ell_1\big(\cos \angle^S_{ijk}, \; \cos \angle^T_{ijk}\big)

    with the angle at row j between the rows i and k, of cosine 0 where two rows coincide. All B
    vertices take :math:`O(B^2 (B + D))` memory, 67 MB and more a side for 256 rows: give few
    ``vertices`` instead. Shifts, rotations and scales of either side change nothing.

    Parameters
    ----------
    student : Tensor of shape (B, E)
        Student embeddings.
    teacher : Tensor of shape (B, D)
        Teacher embeddings.
    vertices : Tensor of shape (V,), default=None
        Numbers of the rows j; None is all of them.

    Returns
    -------
    Tensor of shape (V,)

    See Also
    --------
    rkd_distance : The distances of pairs.

    References
    ----------
    Park, Kim, Lu and Cho (2019), Relational Knowledge Distillation, CVPR, section 3.2.2; there a
    sum over triplets.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import rkd_angle
    >>> corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> rkd_angle(3 * corners + 1, corners).max() < 1e-6
    tensor(True)
    """
    check_tensors(student=(student, "NE"), teacher=(teacher, "ND"), vertices=(vertices, "V"))
    if vertices is None:
        vertices = torch.arange(len(student), device=student.device)
    difference = _huber(_cosines_at(student, vertices), _cosines_at(teacher, vertices))
    return difference.mean(dim=(1, 2))


def similarity_preserving(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Squared difference of normalised similarities, one value a row.

    .. math::
        \frac1B \sum_j (G^S_{ij} - G^T_{ij})^2,
        \qquad G_i = (F F^\top)_i / \|(F F^\top)_i\|_2

    Rotations and scales of either side change nothing; a mean that all rows share makes
    :math:`G^T` flat, so centre the embeddings.

    Parameters
    ----------
    student : Tensor of shape (B, E)
        Student embeddings F.
    teacher : Tensor of shape (B, D)
        Teacher embeddings F.

    Returns
    -------
    Tensor of shape (B,)
        Their mean is the paper's loss.

    References
    ----------
    Tung and Mori (2019), Similarity-Preserving Knowledge Distillation, ICCV, section 3.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import similarity_preserving
    >>> similarity_preserving(torch.eye(2), 2 * torch.eye(2))
    tensor([0., 0.])
    """
    check_tensors(student=(student, "BE"), teacher=(teacher, "BD"))
    difference = unit_rows(student @ student.T) - unit_rows(teacher @ teacher.T)
    return difference.square().mean(dim=1)


def probabilistic_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Divergence of neighbourhoods under a cosine kernel, one value a row.

    .. math::
        KL(p^T_{\cdot | i} \| p^S_{\cdot | i}), \qquad
        p_{j|i} = \frac{K_{ij}}{\sum_{k \neq i} K_{ik}}, \quad K_{ij} = \tfrac12 (\cos_{ij} + 1)

    The row itself is no neighbour of its own, as in the paper. The kernel has no temperature and
    is flat, so values are small.

    Parameters
    ----------
    student : Tensor of shape (B, E)
        Student embeddings.
    teacher : Tensor of shape (B, D)
        Teacher embeddings.

    Returns
    -------
    Tensor of shape (B,)

    See Also
    --------
    similarity_kl : With a soft-max in place of the kernel.

    References
    ----------
    Passalis and Tefas (2018), Learning Deep Representations with Probabilistic Knowledge Transfer,
    ECCV, section 3; the authors' code counts the row itself.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.losses import probabilistic_transfer
    >>> probabilistic_transfer(torch.eye(3), 2 * torch.eye(3))
    tensor([0., 0., 0.])
    """
    check_tensors(student=(student, "BE"), teacher=(teacher, "BD"))
    k_student, total_student = _kernel(student)
    k_teacher, total_teacher = _kernel(teacher)
    p_teacher = k_teacher / total_teacher[:, None]
    p_teacher = p_teacher - p_teacher.diag().diag()
    cross = (p_teacher * (k_teacher.log() - k_student.log())).sum(dim=1)
    return cross + total_student.log() - total_teacher.log()


def _scaled_distances(rows: Tensor) -> Tensor:
    """Distances of all pairs over their mean."""
    if rows.dtype in (torch.float16, torch.bfloat16):  # which pdist has not
        rows = rows.float()
    distances = torch.pdist(rows)
    return distances / distances.mean().clamp_min(torch.finfo(rows.dtype).tiny)


def _cosines_at(rows: Tensor, vertices: Tensor) -> Tensor:
    """Cosines of the angles at V vertices between all pairs of rows, shape (V, B, B)."""
    sides = unit_rows(rows - rows.index_select(0, vertices)[:, None])
    return sides @ sides.transpose(1, 2)


def _huber(student: Tensor, teacher: Tensor) -> Tensor:
    return F.smooth_l1_loss(student, teacher, reduction="none")


def _kernel(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the kernel, and its sum over the other rows; a lone row has that of nothing."""
    smallest = normal_number(_SMALLEST_KERNEL, rows.dtype)
    kernel = (cosines(rows, rows) + 1).clamp_min(smallest)
    return kernel, (kernel.sum(dim=1) - kernel.diagonal()).clamp_min(smallest)
