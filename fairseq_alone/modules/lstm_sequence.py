"""A layer of an LSTM over a whole sequence, with one mask for the hidden state at all time steps."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

State = tuple[Tensor, Tensor]


def lstm_sequence(cell: nn.LSTMCell, inputs: Tensor, state: State, mask: Tensor | None = None) -> tuple[Tensor, State]:
    """What the cell gives when it is called at each time step.

    Without a mask PyTorch's own layer does it. It knows no mask; with one, the products of all inputs are one product,
    and so are the gradients of both matrices, and there is no graph of each step for autograd.

    Args:
        cell: has the parameters.
        inputs: (T, B, input size).
        state: hidden state and cell state before the first step, each (B, H).
        mask: (B, H), multiplies the hidden state on its way to each next step (Gal and Ghahramani, 2016); None is no
            mask.

    Returns:
        The hidden states (T, B, H), not masked, and the state after the last step.
    """
    if mask is None:
        parameters = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
        before = tuple(part.to(inputs.dtype).unsqueeze(0) for part in state)
        # Layers, dropout, whether it is training, directions, whether the batch comes first.
        outputs, hidden, cells = torch.lstm(inputs, before, parameters, True, 1, 0.0, cell.training, False, False)
        return outputs, (hidden[0], cells[0])
    gates = F.linear(inputs, cell.weight_ih, cell.bias_ih + cell.bias_hh)  # (T, B, 4 H)
    hidden, cells = (part.to(gates.dtype) for part in state)
    outputs, last_cells = _Steps.apply(gates, hidden, cells, cell.weight_hh.to(gates.dtype), mask.to(gates.dtype))
    return outputs, (outputs[-1], last_cells)


class _Steps(torch.autograd.Function):
    """The recurrence, with its gradient written out: autograd would keep a graph of a dozen nodes for each step."""

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, hidden: Tensor, cells: Tensor, weight: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        steps, batch, _ = gates.shape
        size, first = hidden.size(1), hidden
        outputs = gates.new_empty(steps, batch, size)
        # What the gradient needs: the gates after their functions, and the cell states before and after each step.
        active = gates.new_empty(steps, batch, 4 * size)
        all_cells = gates.new_empty(steps + 1, batch, size)
        all_cells[0] = cells
        transposed = weight.t().contiguous()
        for step in range(steps):
            now = torch.addmm(gates[step], hidden * mask, transposed, out=active[step])
            now[:, : 2 * size].sigmoid_()  # input gate, forget gate
            now[:, 2 * size : 3 * size].tanh_()  # what may be added
            now[:, 3 * size :].sigmoid_()  # output gate
            enter, forget, new, leave = now.split(size, dim=1)
            after = torch.mul(forget, all_cells[step], out=all_cells[step + 1]).addcmul_(enter, new)
            hidden = torch.mul(leave, after.tanh(), out=outputs[step])
        ctx.save_for_backward(active, all_cells, first, outputs, weight, mask)
        # Of its own: it is a view of what the gradient needs.
        return outputs, all_cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, outputs_grad: Tensor, last_cells_grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        active, all_cells, first, outputs, weight, mask = ctx.saved_tensors
        steps, batch, size = outputs.shape
        enter, forget, new, leave = active.split(size, dim=2)
        squashed = all_cells[1:].tanh()
        # By what the gradient of the cell state, for the last one that of the hidden state, is multiplied.
        factors = torch.stack(
            [
                new * enter * (1 - enter),
                all_cells[:-1] * forget * (1 - forget),
                enter * (1 - new * new),
                squashed * leave * (1 - leave),
            ],
            dim=2,
        )  # (T, B, 4, H)
        to_cells = leave * (1 - squashed * squashed)
        gates_grad = torch.empty_like(factors)
        hidden_grad, cells_grad = torch.zeros_like(first), last_cells_grad.clone()
        for step in reversed(range(steps)):
            hidden_grad = hidden_grad + outputs_grad[step]
            cells_grad.addcmul_(hidden_grad, to_cells[step])
            torch.mul(factors[step, :, :3], cells_grad.unsqueeze(1), out=gates_grad[step, :, :3])
            torch.mul(factors[step, :, 3], hidden_grad, out=gates_grad[step, :, 3])
            hidden_grad = (gates_grad[step].view(batch, -1) @ weight).mul_(mask)
            cells_grad.mul_(forget[step])
        flat = gates_grad.view(steps, batch, -1)
        before = torch.cat([first.unsqueeze(0), outputs[:-1]]) * mask
        weight_grad = flat.view(steps * batch, -1).t() @ before.view(steps * batch, size)
        return flat, hidden_grad, cells_grad, weight_grad, None
