"""AdamW for tables of which a batch touches few rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def gives_sparse_gradients(module: torch.nn.Module) -> bool:
    """Whether a module has a table of which only the rows of a batch get gradients."""
    return any(getattr(part, "sparse", False) for part in module.modules())


class SparseAdamW(torch.optim.AdamW):
    """AdamW that updates, of parameters with sparse gradients, only the rows a batch touched.

    Mean squares and weight decay of other rows wait, as in :class:`torch.optim.SparseAdam`, which
    knows neither dense parameters nor weight decay. Such rows have no momentum: where AdamW would
    go on moving a row for many steps after its one gradient, this goes all the way at once, so that
    a learning rate means the same for dense and for sparse gradients. Used in place of AdamW.

    Examples
    --------
    >>> import torch
    >>> from lelp_sklearn.students._optimizers import SparseAdamW
    >>> table = torch.nn.EmbeddingBag(5, 2, sparse=True)
    >>> before = table.weight.detach().clone()
    >>> optimizer = SparseAdamW(table.parameters(), lr=0.1)
    >>> table(torch.tensor([[1, 3]])).sum().backward()
    >>> optimizer.step()
    >>> (table.weight != before).any(dim=1)
    tensor([False,  True, False,  True, False])
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        sparse = [
            (parameter, group, parameter.grad)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None and parameter.grad.is_sparse
        ]
        for parameter, group, gradient in sparse:
            self._update_rows(parameter, gradient, group)
            parameter.grad = None  # what AdamW leaves alone
        super().step()
        for parameter, _, gradient in sparse:
            parameter.grad = gradient
        return loss

    @torch.no_grad()
    def _update_rows(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step = state["step"].item()
        beta2 = group["betas"][1]
        rows, g = _summed_by_row(gradient)
        v = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(g, g, value=1 - beta2)
        state["exp_avg_sq"].index_copy_(0, rows, v)
        scale = v.sqrt_().div_((1 - beta2**step) ** 0.5).add_(group["eps"])
        weights = parameter.index_select(0, rows).mul_(1 - group["lr"] * group["weight_decay"])
        weights.addcdiv_(g, scale, value=-group["lr"])
        parameter.index_copy_(0, rows, weights)


def _summed_by_row(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows of a sparse gradient, and their sums; ``coalesce`` is slower."""
    ids, values = gradient._indices()[0], gradient._values()
    rows, place = ids.unique(return_inverse=True)
    sums = values.new_zeros(len(rows), *values.shape[1:]).index_add_(0, place, values)
    return rows, sums
