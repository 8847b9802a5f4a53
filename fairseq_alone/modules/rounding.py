"""Training that knows how its tensors will be stored: straight-through rounding (Bengio et al., 2013, section 4)."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from typing_extensions import Self  # noqa: UP035 (torch needs it anyway; typing has it since Python 3.11)

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.parameter_state import ParameterState
from fairseq_alone.modules.quantization import rounded

#: How a compact file calls numbers of so many bits.
QUANTIZATION_OF_BITS = {8: "int8", 4: "int4"}

# A module whose tensors are exchanged must not be read by another thread meanwhile.
_exchanging = threading.RLock()


class Rounding(nn.Module):
    """Reads the trained tensors of an embedding as a compact file would give them back.

    The values are those of :func:`~fairseq_alone.modules.quantization.rounded`, and the gradient goes on to the tensors
    themselves as if nothing had been rounded. An embedding that is given one as its ``rounding`` computes with such
    values, wherever it is used. In evaluation they are always rounded, exactly as in a file. In training they are from
    update ``after`` on; with 4 bits their scales come from a shorter search then.

    Rounded once for each state of the tensors, which is once per update, however often they are read.

    Args:
        bits: 8 or 4.
        after: how many updates are made with the tensors themselves.

    Raises:
        SettingError: a setting is outside its range.
    """

    def __init__(self, bits: int, after: int = 0):
        if bits not in QUANTIZATION_OF_BITS:
            raise SettingError("bits", f"must be 8 or 4, got {bits}")
        if after < 0:
            raise SettingError("bits_after", f"must be at least 0, got {after}")
        super().__init__()
        self.bits = bits
        self.after = after
        self.num_updates = 0
        self._kept: tuple[ParameterState, list[Tensor]] | None = None

    def set_num_updates(self, num_updates: int) -> None:
        """Tell how many updates were made; fairseq's trainer calls this."""
        self.num_updates = num_updates

    @property
    def is_on(self) -> bool:
        """Whether values are rounded now."""
        return not self.training or self.num_updates >= self.after

    def tensors(self, owner: nn.Module) -> dict[str, Tensor]:
        """All trained tensors of a module by name, as they are to be computed with, in their own types."""
        parameters: dict[str, Tensor] = dict(owner.named_parameters(remove_duplicate=False))
        if not self.is_on:
            return parameters
        kept = self._kept
        if kept is None or not kept[0].is_that_of(parameters.values()):
            kept = self._kept = ParameterState(parameters.values()), self._rounded(parameters.values())
        return {
            name: _StraightThrough.apply(tensor, value)
            for (name, tensor), value in zip(parameters.items(), kept[1], strict=True)
        }

    def _rounded(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        quantization, thorough = QUANTIZATION_OF_BITS[self.bits], not self.training
        # Tensors of inference mode could not be used in training later.
        with torch.inference_mode(False), torch.no_grad():
            return [rounded(tensor, quantization, thorough).to(tensor.dtype) for tensor in tensors]

    @contextlib.contextmanager
    def of(self, owner: nn.Module) -> Iterator[None]:
        """Within this context the attributes of a module, and of those in it, are :meth:`tensors` of it.

        So a module is written as if nothing was ever rounded.
        """
        with _exchanging:
            own: dict[str, Tensor] = dict(owner.named_parameters(remove_duplicate=False))
            _exchange(owner, self.tensors(owner))
            try:
                yield
            finally:
                _exchange(owner, own)

    def forget(self) -> None:
        """Round anew at the next use: a change by way of ``.data`` leaves no trace."""
        self._kept = None

    def train(self, mode: bool = True) -> Self:
        """Set training mode, like every module; forgets the rounded values, which may be others then."""
        self._kept = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        self._kept = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_kept": None}

    def extra_repr(self) -> str:
        """The settings, for ``print(model)``."""
        return f"{self.bits} bits" + (f" from update {self.after} on" if self.after else "")


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, value: Tensor) -> Tensor:
        # The value itself, not tensor + (value - tensor): nothing is left to floating point.
        return value.view_as(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def as_computed_with(module: nn.Module) -> contextlib.AbstractContextManager:
    """:meth:`Rounding.of` where a module has a ``rounding``; else a context in which nothing is different."""
    rounding = rounding_of(module)
    return contextlib.nullcontext() if rounding is None else rounding.of(module)


def rounding_of(module: nn.Module) -> Rounding | None:
    """The ``rounding`` of an embedding; None for one without, or for another module."""
    return getattr(module, "rounding", None)


def _exchange(owner: nn.Module, tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        place, _, last = name.rpartition(".")
        # Setting the attribute would refuse what is no nn.Parameter.
        owner.get_submodule(place)._parameters[last] = tensor  # type: ignore[assignment]
