"""Sums of codebook vectors for all words, and their gradient, without sorting codes in each update."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class CodeSums:
    """``sum_m C_m[code(w, m)]`` of all words.

    Which words use a vector follows from the codes, which do not change in a training. PyTorch's own gradient of such
    sums finds it out anew each time, which takes ten times as long as the sums.

    Kept: three times V * M integers of 32 bits.

    Args:
        rows: (V, M), integer: for each word the numbers of the vectors that it adds up.
        num_vectors: M * c, how many vectors there are.
    """

    def __init__(self, rows: Tensor, num_vectors: int):
        self._rows = rows.int()
        flat = rows.flatten().long()
        # For each vector the words that use it, end to end, and where each begins.
        self._words = (flat.argsort(stable=True) // rows.size(1)).int()
        counts = flat.bincount(minlength=num_vectors)
        self._offsets = (counts.cumsum(0) - counts).int()

    def __call__(self, vectors: Tensor) -> Tensor:
        """``(M * c, D_e) -> (V, D_e)``, differentiable."""
        return _Sums.apply(vectors, self._rows, self._words, self._offsets)


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, rows: Tensor, words: Tensor, offsets: Tensor) -> Tensor:
        ctx.words, ctx.offsets = words, offsets
        return F.embedding_bag(rows, vectors, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return F.embedding_bag(ctx.words, gradient.contiguous(), ctx.offsets, mode="sum"), None, None, None
