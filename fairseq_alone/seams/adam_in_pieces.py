"""fairseq's Adam on a CPU, piece by piece over large tensors: the same numbers to the bit, faster."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from fairseq.optim.adam import Adam
from torch import Tensor, nn

# Four tensors of so many values stay in the processor's cache from one operation of a step to the next.
_PIECE = 2**17


def install() -> None:
    """Have Adam see a large parameter as pieces."""
    # A step is eight operations, of which each goes over the whole of a parameter, and one makes a tensor of its size.
    # With a table of 150,000 words they take longer than a loss over a few of these. All of them work value by value.
    original = Adam.step

    @functools.wraps(original)
    def step(self: Adam, closure: Callable[[], Any] | None = None) -> Any:
        groups, pieces = self.param_groups, {}
        self.param_groups = [{**group, "params": []} for group in groups]
        for group, replaced in zip(groups, self.param_groups, strict=True):
            for parameter in group["params"]:
                state = self.state.get(parameter)
                if not _is_large(parameter, state, group):
                    replaced["params"].append(parameter)
                    continue
                for piece, its_state in _pieces(parameter, state):
                    replaced["params"].append(piece)
                    pieces[piece] = its_state
                state["step"] += 1
        self.state.update(pieces)
        try:
            return original(self, closure)
        finally:
            self.param_groups = groups
            for piece in pieces:
                del self.state[piece]

    Adam.step = step


def _is_large(parameter: nn.Parameter, state: dict | None, group: dict[str, Any]) -> bool:
    """Whether a parameter is one to cut up: in float32 on a CPU, with a state, after its first step."""
    tensors = (parameter, parameter.grad, *(state or {}).values())
    return (
        bool(state)
        and parameter.numel() > _PIECE
        and not group.get("amsgrad", False)
        and all(_is_plain(tensor) for tensor in tensors if not isinstance(tensor, int))
    )


def _is_plain(tensor: Tensor | None) -> bool:
    return (
        tensor is not None
        and tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and not tensor.is_sparse
        and tensor.is_contiguous()
    )


def _pieces(parameter: nn.Parameter, state: dict[str, Any]) -> Iterator[tuple[Tensor, dict[str, Any]]]:
    """Views of the parameter, each with its gradient, and of its state."""
    assert parameter.grad is not None  # it is large
    tensors = (parameter.data, parameter.grad, state["exp_avg"], state["exp_avg_sq"])
    for values, gradient, mean, square in zip(*(t.view(-1).split(_PIECE) for t in tensors), strict=True):
        values.grad = gradient
        yield values, {"step": state["step"], "exp_avg": mean, "exp_avg_sq": square}
