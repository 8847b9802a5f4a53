"""Trained vectors of their own for the first words of the vocabulary, added to computed ones."""

import torch
from torch import Tensor


class FreeRows:
    """Which words have a row: the first ``num_rows`` of the vocabulary, padding left out.

    Args:
        num_rows: K.
        padding_idx: the word that has none, or None.
    """

    def __init__(self, num_rows: int, padding_idx: int | None):
        self.num_rows = num_rows
        # Padding takes no row if it would stand among them; all words behind it move up by one.
        self.skipped = padding_idx if padding_idx is not None and padding_idx <= num_rows else None

    def add_to_words(self, vectors: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
        """Add the rows (K, D_e) of the words ``ids`` (N,) to their ``vectors`` (N, D_e). Differentiable."""
        positions = ids if self.skipped is None else ids - (ids > self.skipped).to(ids.dtype)
        has_row = positions < self.num_rows
        if self.skipped is not None:
            has_row = has_row & (ids != self.skipped)
        chosen = has_row.nonzero().squeeze(1)
        return vectors.index_add(0, chosen, rows[positions[chosen]].to(vectors.dtype))

    def add_to_matrix(self, matrix: Tensor, rows: Tensor) -> Tensor:
        """Add the rows (K, D_e) to the matrix (V, D_e) of all words, in place. Differentiable in both.

        Autograd may not see the matrix used again before.
        """
        return _AddToMatrix.apply(matrix, rows, self.skipped)


class _AddToMatrix(torch.autograd.Function):
    """Adding to a slice in place, without the copies of the whole gradient that autograd would make for it."""

    @staticmethod
    def forward(ctx, matrix: Tensor, rows: Tensor, skipped: int | None) -> Tensor:
        ctx.parts = _parts(rows.size(0), skipped)
        ctx.dtype = rows.dtype
        for words, places in ctx.parts:
            matrix[words] += rows[places].to(matrix.dtype)
        ctx.mark_dirty(matrix)
        return matrix

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient, torch.cat([gradient[words] for words, _ in ctx.parts]).to(ctx.dtype), None


def _parts(num_rows: int, skipped: int | None) -> list[tuple[slice, slice]]:
    """Ranges of words and the ranges of rows that are theirs."""
    if skipped is None:
        return [(slice(0, num_rows), slice(0, num_rows))]
    return [
        (slice(0, skipped), slice(0, skipped)),
        (slice(skipped + 1, num_rows + 1), slice(skipped, num_rows)),
    ]
