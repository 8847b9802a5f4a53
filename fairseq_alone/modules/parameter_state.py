"""Whether parameters are still what they were when something was computed from them."""

import weakref
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

_optimizer_steps = 0


def _count_step(*_: object) -> None:
    global _optimizer_steps
    _optimizer_steps += 1


# Some optimizers change parameters without raising their versions: the fused ones, and fairseq's, by way of `.data`.
register_optimizer_step_post_hook(_count_step)


def versions(tensors: Iterable[Tensor]) -> list[int | None]:
    """What changes when a tensor is changed in place; None for tensors of inference mode, which do not count."""
    return [None if tensor.is_inference() else tensor._version for tensor in tensors]


class ParameterState:
    """What parameters were at one moment.

    Notices other tensors in their place, changes in place, another storage, and any optimizer's step. Changes in place
    by way of ``.data``, and those of tensors of inference mode, leave no trace.

    Args:
        parameters: in a fixed order.
    """

    def __init__(self, parameters: Iterable[Tensor]):
        parameters = list(parameters)
        self._tensors = [weakref.ref(tensor) for tensor in parameters]
        self._marks = self._marks_of(parameters)

    def is_that_of(self, parameters: Iterable[Tensor]) -> bool:
        """Whether these are the same tensors, unchanged since."""
        parameters = list(parameters)
        known = [reference() for reference in self._tensors]
        return (
            len(known) == len(parameters)
            and all(old is new for old, new in zip(known, parameters, strict=True))
            and self._marks == self._marks_of(parameters)
        )

    @staticmethod
    @torch.compiler.disable  # it would compile anew for every number of steps
    def _marks_of(parameters: list[Tensor]) -> tuple:
        return _optimizer_steps, versions(parameters), [_address(tensor) for tensor in parameters]


def _address(tensor: Tensor) -> int | None:
    try:
        return tensor.data_ptr()
    except RuntimeError:  # within torch.func's transforms tensors have none
        return None
