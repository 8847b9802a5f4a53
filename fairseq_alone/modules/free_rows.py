"""Which words have a trained vector of their own in place of a computed one: the first of the vocabulary."""

import torch
from torch import Tensor


class FreeRows:
    """The first ``num_rows`` words of the vocabulary, padding left out.

    Args:
        num_rows: K.
        padding_idx: the word that has no row, or None.
    """

    def __init__(self, num_rows: int, padding_idx: int | None):
        self.num_rows = num_rows
        # Padding takes no row if it would stand among them; all words behind it move up by one.
        self.skipped = padding_idx if padding_idx is not None and padding_idx < num_rows else None

    @property
    def num_words(self) -> int:
        """How many words at the beginning of the vocabulary need no computing: K, and padding if it is among them."""
        return self.num_rows + (self.skipped is not None)

    @property
    def ranges(self) -> list[tuple[slice, slice]]:
        """Ranges of words, each with the range of rows that are theirs."""
        if self.skipped is None:
            return [(slice(0, self.num_rows), slice(0, self.num_rows))]
        before, behind = slice(0, self.skipped), slice(self.skipped + 1, self.num_words)
        return [(before, before), (behind, slice(self.skipped, self.num_rows))]

    def put(self, vectors: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
        """Replace the ``vectors`` (N, D_e) of those words ``ids`` (N,) that have a row by theirs of ``rows`` (K, D_e).

        Differentiable in both.
        """
        positions, has_row = ids, ids < self.num_words
        if self.skipped is not None:
            positions = ids - (ids > self.skipped).to(ids.dtype)
            has_row = has_row & (ids != self.skipped)
        chosen = has_row.nonzero().squeeze(1)
        return vectors.index_copy(0, chosen, rows[positions[chosen]].to(vectors.dtype))

    def put_into_matrix(self, matrix: Tensor, rows: Tensor) -> None:
        """Write the first :attr:`num_words` words of ``matrix`` (V, D_e), in place; padding becomes zero."""
        matrix[: self.num_words] = 0
        for words, places in self.ranges:
            matrix[words] = rows[places].to(matrix.dtype)

    def gradient(self, gradient: Tensor, dtype: torch.dtype) -> Tensor:
        """The gradient of the rows, (K, D_e), from that of the matrix (V, D_e)."""
        return torch.cat([gradient[words] for words, _ in self.ranges]).to(dtype)
