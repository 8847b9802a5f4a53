"""Distillation (Hinton, Vinyals and Dean, 2015): train towards the distribution of another model, the teacher."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fairseq_alone.errors import SettingError

# Values of one chunk of rows, as in the augmented loss: a chunk stays in the processor's cache.
_CHUNK_VALUES = 2**17


def distillation_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    targets: Tensor | None = None,
    padding_idx: int | None = None,
) -> Tensor:
    """``T^2 KL(softmax(teacher_logits / T) || softmax(logits / T))`` for each token (their section 2).

    With the factor ``T^2`` gradients are of about the same size at every temperature. They flow into ``logits`` only;
    besides that gradient no (N, V) tensor is made. Computed in float32, or in float64 for float64 logits.

    Args:
        logits: (N, V), any floating type.
        teacher_logits: (N, V), any floating type.
        temperature: T, positive.
        targets: (N,), integer; with ``padding_idx``, which tokens do not count.
        padding_idx: tokens with this target have a loss of zero and no gradient.

    Returns:
        (N,), not negative up to rounding.

    Raises:
        SettingError: the temperature is not positive.
        ValueError: the shapes differ.
    """
    if not 0.0 < temperature < float("inf"):
        raise SettingError("temperature", f"must be a positive number, got {temperature}")
    if logits.shape != teacher_logits.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not fit a teacher's {tuple(teacher_logits.shape)}")
    values: Tensor = _DivergenceFromTeacher.apply(logits, teacher_logits.detach(), temperature)
    if targets is None or padding_idx is None:
        return values
    return values.masked_fill(targets == padding_idx, 0.0)


class _DivergenceFromTeacher(torch.autograd.Function):
    """The same, chunk by chunk over the tokens."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
        kind = torch.float64 if logits.dtype == torch.float64 else torch.float32
        ctx.kind, ctx.temperature = kind, temperature
        ctx.save_for_backward(logits, teacher_logits)
        values = logits.new_empty(logits.size(0), dtype=kind)
        for part in _row_chunks(logits):
            goals = (teacher_logits[part].to(kind) / temperature).log_softmax(dim=-1)
            own = (logits[part].to(kind) / temperature).log_softmax(dim=-1)
            values[part] = torch.linalg.vecdot(goals.exp(), goals - own)
        return values * temperature**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        logits, teacher_logits = ctx.saved_tensors
        found = torch.empty_like(logits)
        for part in _row_chunks(logits):
            goals = (teacher_logits[part].to(ctx.kind) / ctx.temperature).softmax(dim=-1)
            own = (logits[part].to(ctx.kind) / ctx.temperature).softmax(dim=-1)
            # T^2 times the 1 / T of the scaled logits.
            found[part] = own.sub_(goals).mul_(gradient[part].unsqueeze(1) * ctx.temperature)
        return found, None, None


def _row_chunks(logits: Tensor) -> Iterator[slice]:
    """Slices over the rows of ``logits``, each of about ``_CHUNK_VALUES`` values."""
    size = max(1, _CHUNK_VALUES // logits.size(1))
    return (slice(start, start + size) for start in range(0, logits.size(0), size))
