"""The first layer of ALONE, ``W1 (m_w * o) = (W1 * o) m_w``, for a range of words: two ways to the same numbers.

Both bring the weight ``W1 * o``, (D_inter, D_o), into the form they need with ``prepare`` and then work on that.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_alone.modules.filters import FilterBank

# Bits of a filter that are looked up together. More mean fewer additions, but a larger table and a slower gradient.
_BITS = 4


class FilterProducts:
    """Matrix products with the filters: fast where there are units for them, as on a GPU.

    Args:
        filters: the filters ``m_w``.
    """

    def __init__(self, filters: FilterBank):
        self.filters = filters

    def prepare(self, weight: Tensor) -> Tensor:
        """The weight as it is: ``(D_inter, D_o)``, differentiable."""
        return weight

    def hidden(self, weight: Tensor, start: int, stop: int) -> Tensor:
        """The layer's output for words start to stop: ``(stop - start, D_inter)``, a new tensor."""
        return F.linear(self._vectors(weight, start, stop), weight)

    def add_gradient(self, total: Tensor, gradient: Tensor, start: int, stop: int) -> None:
        """Add to ``total``, of the shape of the prepared weight, what ``gradient`` (stop - start, D_inter) means."""
        total += gradient.t() @ self._vectors(gradient, start, stop)

    def _vectors(self, like: Tensor, start: int, stop: int) -> Tensor:
        return self.filters(torch.arange(start, stop, device=like.device)).to(like.dtype)


class FilterSums:
    """Sums of rows of a small table: fewer additions than a product has multiplications, on a CPU.

    A real filter is the sum of M source vectors, one of c in each codebook: the table holds the layer's outputs for all
    M * c of them, and a word's output is the sum of M rows. The values of a filter of zeros and ones are taken four at
    a time: the table holds the outputs of the 16 patterns at each such place, and a word's output is the sum of
    D_o / 4 rows (the method of the Four Russians). Both are exact.

    The numbers of the rows, and their inverse for the gradient, are kept: 2 * V * M or V * D_o / 2 integers of 32 bits.

    Args:
        filters: the filters ``m_w``, on a CPU.
    """

    def __init__(self, filters: FilterBank):
        self.filters = filters
        self.real = filters.settings.filter == "real"
        self.rows = self._real_rows() if self.real else self._binary_rows()  # (V, K), int32
        self.inverses: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def prepare(self, weight: Tensor) -> Tensor:
        """The table, ``(D_inter, D_o) -> (R, D_inter)``, differentiable."""
        if self.real:
            table = F.linear(self.filters.codebooks.flatten(0, 1).to(weight.dtype), weight)  # (M * c, D_inter)
            return F.pad(table, (0, 0, 0, 1))  # the last row is that of padding
        patterns = (torch.arange(2**_BITS).unsqueeze(1) >> torch.arange(_BITS)) & 1  # (16, 4)
        # (D_inter, D_o) -> (D_o / 4, 4, D_inter), places beyond D_o filled with zeros
        places = F.pad(weight, (0, -weight.size(1) % _BITS)).t().unflatten(0, (-1, _BITS))
        return (patterns.to(weight.dtype) @ places).flatten(0, 1)  # (D_o / 4 * 16, D_inter)

    def hidden(self, table: Tensor, start: int, stop: int) -> Tensor:
        """The layer's output for words start to stop: ``(stop - start, D_inter)``, a new tensor."""
        return F.embedding_bag(self.rows[start:stop], table, mode="sum")

    def add_gradient(self, total: Tensor, gradient: Tensor, start: int, stop: int) -> None:
        """Add to ``total``, of the shape of the table, what ``gradient`` (stop - start, D_inter) means."""
        words, offsets = self._inverse(start, stop, total.size(0))
        total += F.embedding_bag(words, gradient, offsets, mode="sum")

    def _real_rows(self) -> Tensor:
        bank = self.filters
        num_codebooks, size = bank.codebooks.shape[:2]
        rows = bank.word_codes() + torch.arange(0, num_codebooks * size, size, dtype=torch.int32)  # (V, M)
        if bank.padding_idx is not None:
            rows[bank.padding_idx] = num_codebooks * size
        return rows

    def _binary_rows(self) -> Tensor:
        bank = self.filters
        # (M, c, D_o) -> (M, c, D_o / 4): each source as its patterns; the OR of filters is that of their patterns.
        bits = F.pad(bank.codebooks, (0, -bank.codebooks.size(2) % _BITS)).unflatten(2, (-1, _BITS)).int()
        sources = (bits << torch.arange(_BITS, dtype=torch.int32)).sum(-1, dtype=torch.int32)
        codes = bank.word_codes()
        patterns = sources[0][codes[:, 0]]  # (V, D_o / 4)
        for position in range(1, codes.size(1)):
            patterns |= sources[position][codes[:, position]]
        if bank.padding_idx is not None:
            patterns[bank.padding_idx] = 0
        return patterns + torch.arange(0, patterns.size(1) * 2**_BITS, 2**_BITS, dtype=torch.int32)

    def _inverse(self, start: int, stop: int, num_rows: int) -> tuple[Tensor, Tensor]:
        """For each row of the table the words among start to stop that use it, end to end, and where each begins."""
        if (start, stop) not in self.inverses:
            rows = self.rows[start:stop]
            words = rows.flatten().argsort(stable=True) // rows.size(1)
            counts = rows.flatten().bincount(minlength=num_rows)
            self.inverses[start, stop] = words.int(), (counts.cumsum(0) - counts).int()
        return self.inverses[start, stop]
