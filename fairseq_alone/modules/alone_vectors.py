"""The whole matrix of ALONE and its gradient, chunk by chunk over the vocabulary."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fairseq_alone.modules.first_layer import FilterProducts, FilterSums
from fairseq_alone.modules.free_rows import FreeRows

# Values of a hidden layer in one chunk: small enough for little memory, large enough that adding up the chunks'
# gradients costs next to nothing.
_CHUNK_VALUES = 2**22


def alone_vectors(
    first_layer: FilterProducts | FilterSums,
    size: tuple[int, int],
    weight: Tensor,
    later: list[Tensor],
    dtype: torch.dtype,
    free: FreeRows,
) -> Tensor:
    """The vectors of all words (equation 3), differentiable in ``weight``, ``later`` and the free rows.

    Nothing of the size V x D_inter is made or kept: the gradient computes the hidden layers again.

    Args:
        first_layer: :class:`~fairseq_alone.modules.first_layer.FilterProducts` or ``FilterSums``.
        size: (V, D_e).
        weight: what ``first_layer.prepare`` made of ``W1 * o``, in float32 or float64.
        later: the matrices of the other layers, each (output size, input size), in any floating type.
        dtype: what the products are computed in. With a half type, gradients are summed in float32 all the same.
        free: the words that are not computed, and their vectors.

    Returns:
        (V, D_e), in the dtype of ``weight``.
    """
    vectors = free.vectors(weight.dtype) if free.num_rows else None
    return _AloneVectors.apply(first_layer, size, dtype, free, vectors, weight, *later)


class _AloneVectors(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        first_layer: FilterProducts | FilterSums,
        size: tuple[int, int],
        dtype: torch.dtype,
        free: FreeRows,
        vectors: Tensor | None,
        weight: Tensor,
        *later: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(weight, *later)
        ctx.first_layer, ctx.dtype, ctx.free = first_layer, dtype, free
        matrix = weight.new_empty(size)
        if vectors is not None:
            free.put_into_matrix(matrix, vectors)
        with torch.autocast(weight.device.type, enabled=False):
            first, *rest = (layer.to(dtype) for layer in (weight, *later))
            for start, stop in _chunks(first_layer, free.num_words, size[0], later):
                part = first_layer.hidden(first, start, stop)  # (N, D_inter)
                for layer in rest:
                    part = part.relu_() @ layer.t()  # (N, D_inter) -> (N, D_e)
                matrix[start:stop] = part
        return matrix

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, *later = ctx.saved_tensors
        first_layer, dtype, free = ctx.first_layer, ctx.dtype, ctx.free
        scale = _half_scale(gradient) if dtype == torch.float16 else None
        sums = [torch.zeros_like(layer, dtype=weight.dtype) for layer in (weight, *later)]
        with torch.autocast(weight.device.type, enabled=False):
            first, *rest = (layer.to(dtype) for layer in (weight, *later))
            for start, stop in _chunks(first_layer, free.num_words, gradient.size(0), later):
                part = gradient[start:stop] if scale is None else gradient[start:stop] / scale
                part = part.to(dtype)  # (N, D_e)
                inputs = [first_layer.hidden(first, start, stop).relu_()] if rest else []  # (N, D_inter)
                for layer in rest[:-1]:
                    inputs.append((inputs[-1] @ layer.t()).relu_())  # (N, D_inter)
                for layer, hidden, total in reversed(list(zip(rest, inputs, sums[1:], strict=True))):
                    total += part.t() @ hidden  # (D_e, N) x (N, D_inter)
                    part = part @ layer  # (N, D_e) -> (N, D_inter)
                    part *= hidden.sign_()  # one where the ReLU let the value through, else zero
                first_layer.add_gradient(sums[0], part, start, stop)
        if scale is not None:
            sums = [total * scale for total in sums]
        of_free = free.gradient(gradient) if ctx.needs_input_grad[4] else None
        needed = ctx.needs_input_grad[5:]
        of_layers = (total if need else None for total, need in zip(sums, needed, strict=True))
        return None, None, None, None, of_free, *of_layers


def _chunks(
    first_layer: FilterProducts | FilterSums, first: int, num_embeddings: int, later: Sequence[Tensor]
) -> list[tuple[int, int]]:
    """The vocabulary from word ``first`` on, in pieces (start, stop)."""
    # Of one layer, the filters are the widest.
    widest = max((max(layer.shape) for layer in later), default=first_layer.filters.settings.base_dim)
    step = max(1, _CHUNK_VALUES // widest)
    return [(start, min(start + step, num_embeddings)) for start in range(first, num_embeddings, step)]


def _half_scale(gradient: Tensor) -> Tensor:
    """The power of two that brings the largest value to between a half and one, so that no product overflows.

    An infinite or undefined value makes everything undefined, which a loss scaler sees.
    """
    largest = gradient.abs().amax().clamp(min=torch.finfo(gradient.dtype).tiny)
    return torch.exp2(largest.log2().ceil())
