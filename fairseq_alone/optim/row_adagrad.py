"""Adagrad with one learning rate for each row of a table; it works on rows that have a gradient and no others."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Smaller than any root that float32 knows of a sum of squares, so that it only keeps zero gradients from 0 / 0.
_TINY = 1e-22


class RowAdagrad(torch.optim.Optimizer):
    r"""Adagrad (Duchi et al., 2011) by rows: a row's rate falls with the sum of the mean squares of its gradients.

    .. math:: s_w \leftarrow s_w + \tfrac{1}{D} \lVert g_w \rVert^2, \quad w \leftarrow w - \eta g_w / \sqrt{s_w}

    A word that was seen n times so learns about :math:`1 / \sqrt{n}` as fast as a new one. The state is one number for
    each row. The scale of the gradient does not matter.

    Args:
        params: tables (V, D), with gradients that are sparse by rows, or dense.
        lr: eta.
    """

    def __init__(self, params: Iterable[Any], lr: float):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the rows. Returns what ``closure`` returns."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                state = self.state[table]
                if not state:
                    state["sum"] = torch.zeros(len(table), dtype=torch.float32, device=table.device)
                if table.grad.is_sparse:
                    gradient = table.grad.coalesce()
                    _step_rows(table, state["sum"], gradient.indices()[0], gradient.values(), group["lr"])
                else:
                    state["sum"] += table.grad.float().square().mean(1)
                    table.addcmul_(table.grad, _rate(state["sum"], group["lr"]).to(table.dtype), value=-1.0)
        return loss


def _step_rows(table: Tensor, total: Tensor, rows: Tensor, gradient: Tensor, lr: float) -> None:
    """Update distinct rows (R,) of a table by a gradient (R, D)."""
    sums = total[rows] + gradient.float().square().mean(1)
    total[rows] = sums
    table.index_add_(0, rows, (gradient * _rate(sums, -lr)).to(table.dtype))


def _rate(sums: Tensor, lr: float) -> Tensor:
    return (lr / sums.sqrt().clamp_(min=_TINY)).unsqueeze(1)
