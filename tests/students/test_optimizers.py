"""SparseAdamW is AdamW where every row is touched, and leaves the others alone."""

import copy

import pytest
import torch

from lelp_sklearn.students._optimizers import SparseAdamW


def train(optimizer, sparse, ids, **params):
    torch.manual_seed(0)
    table = torch.nn.EmbeddingBag(6, 3, mode="sum", sparse=sparse)
    head = torch.nn.Linear(3, 2)
    steps = optimizer([*table.parameters(), *head.parameters()], lr=0.05, **params)
    for batch in ids:
        steps.zero_grad()
        head(table(batch)).square().sum().backward()
        steps.step()
    return [p.detach() for p in (*table.parameters(), *head.parameters())]


ALL = [torch.tensor([[0, 1, 2], [3, 4, 5], [i % 6, 0, 0]]) for i in range(8)]


@pytest.mark.parametrize("params", [{}, {"weight_decay": 0.3}, {"eps": 1e-3}])
@pytest.mark.parametrize("beta2", [0.999, 0.7])
def test_where_every_row_is_touched_it_is_adamw_without_momentum(params, beta2):
    params = {**params, "betas": (0.0, beta2)}
    torch.testing.assert_close(
        train(SparseAdamW, True, ALL, **params), train(torch.optim.AdamW, False, ALL, **params)
    )


def test_a_row_that_comes_once_goes_as_far_as_by_adamw():
    # Once, and then a hundred batches without it, in which AdamW's momentum runs out.
    ids = [torch.tensor([[0, 0, 0]])] * 200 + [torch.tensor([[5, 5, 5]])]
    ids += [torch.tensor([[0, 0, 0]])] * 100
    before = train(SparseAdamW, True, [])[0][5]
    moved = [
        (train(optimizer, sparse, ids, weight_decay=0.0)[0][5] - before).norm()
        for optimizer, sparse in ((SparseAdamW, True), (torch.optim.AdamW, False))
    ]
    assert 0.8 < moved[0] / moved[1] < 1.25


def test_dense_parameters_keep_their_momentum():
    slow, fast = (train(SparseAdamW, True, ALL, betas=(beta, 0.9))[1] for beta in (0.9, 0.0))
    assert not torch.allclose(slow, fast)


def test_rows_that_are_not_touched_wait():
    some = [torch.tensor([[0, 1, 1], [2, 0, 1]])] * 5
    before = train(SparseAdamW, True, [])[0]
    after = train(SparseAdamW, True, some, weight_decay=0.5)[0]
    torch.testing.assert_close(after[3:], before[3:])
    assert (after[:3] != before[:3]).all()


def test_a_copy_of_its_state_goes_on_alike():
    table = torch.nn.EmbeddingBag(6, 3, sparse=True)
    first = SparseAdamW(table.parameters())
    table(ALL[0]).sum().backward()
    first.step()
    other = torch.nn.EmbeddingBag(6, 3, sparse=True)
    other.load_state_dict(table.state_dict())
    second = SparseAdamW(other.parameters())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for module, optimizer in ((table, first), (other, second)):
        optimizer.zero_grad()
        module(ALL[1]).square().sum().backward()
        optimizer.step(lambda: None)
    torch.testing.assert_close(other.weight, table.weight)


def test_a_closure_gives_the_loss():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = SparseAdamW([weight])

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1
