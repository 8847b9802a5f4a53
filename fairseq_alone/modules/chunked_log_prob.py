"""Log-probabilities of the targets under a softmax over many words, without the logits of all of them in memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits that are made at a time, in the cache of a CPU, and on a GPU enough for it to be busy.
_CHUNK = {"cpu": 2**20, "other": 2**25}


def chunked_log_prob(parts: Sequence[tuple[Tensor, Tensor]], targets: Tensor) -> Tensor:
    """Log-probabilities of targets, ``log softmax(logits)[targets]``, computed in float32.

    The logits of a part are the products of its features and its matrix, and all of them stand one behind the other.
    They are made some words at a time and thrown away, and made again for the gradient: a third more products, but
    nothing of the size N x V is written, which on a CPU costs more than a small product does.

    Args:
        parts: features (N, d) and matrix (words, d) of each part, V words in all; d may differ.
        targets: (N,), integer, in [0, V).

    Returns:
        (N,), float32, differentiable once.
    """
    # Features of autocast may be narrower than the matrix.
    tensors = [tensor for features, matrix in parts for tensor in (features.to(matrix.dtype), matrix)]
    found: Tensor = _LogProb.apply(targets, *tensors)
    return found


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, targets: Tensor, *tensors: Tensor) -> Tensor:
        total = torch.full_like(targets, -torch.inf, dtype=torch.float32)  # log of the sum so far, (N,)
        of_targets = torch.zeros_like(total)
        for chunk in _chunks(targets, tensors):
            logits = chunk.logits()
            of_targets += logits.gather(1, chunk.column).squeeze(1) * chunk.inside
            largest = logits.amax(1, keepdim=True)
            sums = logits.sub_(largest).exp_().sum(1)
            total = torch.logaddexp(total, sums.log_().add_(largest.squeeze(1)))
        ctx.save_for_backward(targets, total, *tensors)
        return of_targets - total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        targets, total, *tensors = ctx.saved_tensors
        # Sums over chunks in float32, as those of a product are.
        found = [torch.zeros_like(tensor, dtype=torch.float32) for tensor in tensors[::2]]
        of_matrices = [torch.empty_like(tensor) for tensor in tensors[1::2]]
        for chunk in _chunks(targets, tensors):
            # d log p_target / d logits = one_hot(target) - softmax
            slopes = chunk.logits().sub_(total.unsqueeze(1)).exp_().mul_(-gradient.unsqueeze(1))
            slopes.scatter_add_(1, chunk.column, (gradient * chunk.inside).unsqueeze(1))
            slopes = slopes.to(chunk.rows.dtype)
            found[chunk.part] += slopes @ chunk.rows
            torch.mm(
                slopes.t(), chunk.features, out=of_matrices[chunk.part][chunk.first : chunk.first + len(chunk.rows)]
            )
        gradients: list[Tensor | None] = [None]
        for of_features, of_matrix, features in zip(found, of_matrices, tensors[::2], strict=True):
            gradients += [of_features.to(features.dtype), of_matrix]
        return tuple(gradients)


class _Chunk:
    """Some words of one part.

    Attributes:
        part: number of the part.
        first: of these words within the part.
        features: (N, d) of the part.
        rows: (n, d), of the words.
        column: (N, 1), where each target stands among these words; any place for others.
        inside: (N,), whether it does, 0 or 1.
    """

    def __init__(self, part: int, first: int, features: Tensor, rows: Tensor, targets: Tensor):
        self.part, self.first, self.features, self.rows = part, first, features, rows
        self.inside = ((targets >= 0) & (targets < len(rows))).float()
        self.column = targets.clamp(0, len(rows) - 1).unsqueeze(1)

    def logits(self) -> Tensor:
        """(N, n), float32."""
        logits: Tensor = self.features @ self.rows.t()
        return logits.float()


def _chunks(targets: Tensor, tensors: Sequence[Tensor]) -> Iterator[_Chunk]:
    values = _CHUNK.get(targets.device.type, _CHUNK["other"])
    words = max(values // max(len(targets), 1), 64)
    begin = 0
    for part, (features, matrix) in enumerate(zip(tensors[::2], tensors[1::2], strict=True)):
        for first in range(0, len(matrix), words):
            yield _Chunk(part, first, features, matrix[first : first + words], targets - begin - first)
        begin += len(matrix)
