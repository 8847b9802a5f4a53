"""Vectors of spelled words: convolutions over characters, the maximum over time, highway layers, a projection."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Characters in one chunk of words: small enough for little memory, large enough that adding up the chunks' gradients
# costs next to nothing.
_CHUNK_CHARACTERS = 2**15
# Words of less than this share of the longest one's characters are in another chunk, since all are filled up.
_ALIKE = 0.6


@dataclass(frozen=True)
class Layout:
    """How many tensors of each kind there are among the trained ones, which come in this order.

    ``characters`` (C - 1, d), ``projection`` (D_e, n), ``bias`` (D_e,), ``filter_bias`` (n,); the filters, each
    (n_f, w_f, d); for each highway layer a matrix (2 n, n) and a bias (2 n,), the transformation first, then its gate.

    Attributes:
        num_filters: how many sizes of filters there are.
        num_highway: how many highway layers.
    """

    num_filters: int
    num_highway: int


def char_cnn_vectors(numbers: Tensor, lengths: Tensor, layout: Layout, tensors: Sequence[Tensor]) -> Tensor:
    """The vectors of some words (Kim et al., 2016, section 3; the projection is that of Jozefowicz et al., 2016).

    A filter of width w sees each w characters in a row, and a word of fewer characters once, followed by nothing.

    Args:
        numbers: (N, P), int64, in [0, C): the characters of each word, then zeros.
        lengths: (N,), integer, from 1 to P.
        layout: what the tensors are.
        tensors: in the order of :class:`Layout`, float32 or float64.

    Returns:
        (N, D_e).
    """
    characters, projection, bias, filter_bias, *rest = tensors
    filters, highway = rest[: layout.num_filters], rest[layout.num_filters :]
    longest = numbers.size(1)
    table = F.pad(characters, (0, 0, 1, 0))  # (C, d); zero is the vector of no character
    # What follows a word is at least as long as a filter.
    numbers = F.pad(numbers, (0, max(found.size(1) for found in filters) - 1))  # (N, P + w - 1)
    parts = []
    for found in filters:
        num_filters, width, _ = found.shape
        # A word of fewer windows than others has its last one several times, which changes no maximum.
        starts = torch.arange(max(longest - width + 1, 1), device=numbers.device)
        starts = starts.minimum((lengths - width).clamp(min=0).unsqueeze(1))  # (N, W)
        places = (starts.unsqueeze(2) + torch.arange(width, device=numbers.device)).flatten(1)  # (N, W * w)
        windows = F.embedding(numbers.gather(1, places), table)  # (N, W * w, d)
        seen = windows.view(starts.numel(), -1) @ found.flatten(1).t()  # (N * W, n_f)
        parts.append(_largest(seen.view(*starts.shape, num_filters)))  # (N, n_f)
    # The hyperbolic tangent rises, so it may as well follow the maximum.
    features = torch.tanh(torch.cat(parts, 1) + filter_bias)  # (N, n)
    for matrix, shift in zip(highway[::2], highway[1::2], strict=True):
        transformed, gate = F.linear(features, matrix, shift).chunk(2, 1)  # (N, n) each
        features = torch.lerp(features, F.relu(transformed), torch.sigmoid(gate))
    return F.linear(features, projection, bias)  # (N, n) -> (N, D_e)


def _largest(values: Tensor) -> Tensor:
    """The maximum over the second dimension. One place gets all of the gradient, though several may have it."""
    # Without places it takes a fraction of the time, but with a gradient many times as long.
    return values.max(1).values if torch.is_grad_enabled() and values.requires_grad else values.amax(1)


def vectors_in_chunks(
    lengths: Tensor, read: Callable[[Tensor, int], Tensor], layout: Layout, tensors: Sequence[Tensor]
) -> Tensor:
    """The vectors of many words, chunk by chunk, those of like length together; differentiable in the tensors.

    Where there are more words than one chunk takes, only their vectors are kept: the gradient computes the rest again.

    Args:
        lengths: (N,), int64, at least 1.
        read: gives the characters (M, P) of words by their places (M,) among the N, P numbers each.
        layout, tensors: see :func:`char_cnn_vectors`.

    Returns:
        (N, D_e), in the dtype of the tensors.
    """
    chunks = _chunks(lengths)
    work = _Work(lengths, read, layout, chunks)
    if len(lengths) * int(lengths.max() if len(lengths) else 0) > _CHUNK_CHARACTERS:
        return _InChunks.apply(work, *tensors)
    parts = [work.vectors(chunk, tensors) for chunk in chunks]
    if len(parts) == 1:
        return parts[0][torch.argsort(chunks[0])]
    if not parts:
        return tensors[1].new_zeros(0, tensors[1].size(0))
    return torch.cat(parts)[torch.argsort(torch.cat(chunks))]


@dataclass(frozen=True)
class _Work:
    lengths: Tensor
    read: Callable[[Tensor, int], Tensor]
    layout: Layout
    chunks: list[Tensor]

    def vectors(self, chunk: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        lengths = self.lengths[chunk]
        # In an autocast region the parameters would count in half the digits in one place and in all in another.
        with torch.autocast(lengths.device.type, enabled=False):
            return char_cnn_vectors(self.read(chunk, int(lengths[0])), lengths, self.layout, tensors)


class _InChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, work: _Work, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.work = work
        vectors = tensors[1].new_empty(len(work.lengths), tensors[1].size(0))
        for chunk in work.chunks:
            vectors[chunk] = work.vectors(chunk, tensors)
        return vectors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[1:]
        tensors = [tensor.detach().requires_grad_(need) for tensor, need in zip(ctx.saved_tensors, needed, strict=True)]
        trained = [tensor for tensor in tensors if tensor.requires_grad]
        sums = [torch.zeros_like(tensor) for tensor in trained]
        for chunk in ctx.work.chunks:
            with torch.enable_grad():
                vectors = ctx.work.vectors(chunk, tensors)
            for total, part in zip(sums, torch.autograd.grad(vectors, trained, gradient[chunk]), strict=True):
                total += part
        found = iter(sums)
        return None, *(next(found) if need else None for need in needed)


def _chunks(lengths: Tensor) -> list[Tensor]:
    """Places of words, each once, the longest first; in a chunk words have like lengths."""
    falling, places = lengths.sort(descending=True, stable=True)
    values = falling.cpu().numpy()[::-1]  # rising
    found, start = [], 0
    while start < len(values):
        longest = int(values[len(values) - start - 1])
        alike = len(values) - int(values.searchsorted(_ALIKE * longest))
        stop = min(start + max(1, _CHUNK_CHARACTERS // longest), alike)
        found.append(places[start:stop])
        start = stop
    return found
