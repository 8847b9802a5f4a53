"""Words that have a trained vector of their own in place of a computed one: the first of the vocabulary."""

import itertools
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.low_rank import low_rank

# g (unless it is given) and p of :class:`Band`. Checkpoints depend on these numbers: they must never change.
_GAIN = 2.0
_PACE = 3.0


def check_free_rows(bands: Sequence[tuple[int, int]], num_embeddings: int, padding_idx: int | None) -> None:
    """Raise SettingError when there are more rows than words that may have one: padding has none."""
    most, wanted = num_embeddings - (padding_idx is not None), sum(words for words, _ in bands)
    if wanted > most:
        raise SettingError("free_rows", f"must be at most {most} in all, one for each word, got {wanted}")


class FreeRows(nn.Module):
    """Trained vectors of the first K words of the vocabulary, padding left out.

    They come in bands: the first words, which are the most frequent, have wide rows, those behind narrow ones, as in
    adaptive input representations (Baevski and Auli, ICLR 2019). A row of width D_e is the vector itself; a narrower
    one goes through the projection of its band, see :class:`Band`.

    Args:
        bands: for each band the number of its words, at least 1, and the width of their rows, from 1 to D_e.
        embedding_dim: D_e.
        padding_idx: the word that has no row, or None.
        narrow_gain: g of narrow rows, from their width and D_e; None is 2 for any.

    Raises:
        SettingError: a band is empty, or its width is outside its range.
    """

    def __init__(
        self,
        bands: Sequence[tuple[int, int]],
        embedding_dim: int,
        padding_idx: int | None,
        narrow_gain: Callable[[int, int], float] | None = None,
    ):
        super().__init__()
        for num_rows, width in bands:
            if num_rows < 1:
                raise SettingError("free_rows", f"must be at least 1 in each band, got {num_rows}")
            if not 1 <= width <= embedding_dim:
                raise SettingError("free_rows", f"must have a width from 1 to {embedding_dim}, got {width}")
        gains = [
            _GAIN if narrow_gain is None or width == embedding_dim else narrow_gain(width, embedding_dim)
            for _, width in bands
        ]
        modules = nn.ModuleList(
            Band(num_rows, width, embedding_dim, gain) for (num_rows, width), gain in zip(bands, gains, strict=True)
        )
        self.bands = cast(Sequence[Band], modules)
        self.num_rows = sum(num_rows for num_rows, _ in bands)
        # Padding takes no row if it would stand among them; all words behind it move up by one.
        self.skipped = padding_idx if padding_idx is not None and padding_idx < self.num_rows else None

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all bands from PyTorch's global generator."""
        for band in self.bands:
            band.reset_parameters()

    @property
    def band_ends(self) -> list[int]:
        """Where each band ends: how many words are in it and before it, padding included."""
        rows = itertools.accumulate(band.num_rows for band in self.bands)
        return [end + (self.skipped is not None and end > self.skipped) for end in rows]

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

    def vectors(self, dtype: torch.dtype) -> Tensor:
        """The vectors of all K words, (K, D_e), computed in ``dtype``; differentiable."""
        parts = [band.vectors(dtype) for band in self.bands]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def put(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Replace the ``vectors`` (N, D_e) of those words ``ids`` (N,) that have a row; differentiable in both."""
        return self._combined(vectors, ids, add_narrow=False)

    def add(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Add narrow rows to the ``vectors`` (N, D_e) of those words ``ids`` (N,) that have one; wide rows replace."""
        return self._combined(vectors, ids, add_narrow=True)

    def _combined(self, vectors: Tensor, ids: Tensor, add_narrow: bool) -> Tensor:
        positions = self._positions(ids)
        start = 0
        for band in self.bands:
            stop = start + band.num_rows
            chosen = ((positions >= start) & (positions < stop)).nonzero().squeeze(1)
            rows = band(positions[chosen] - start).to(vectors.dtype)
            change = vectors.index_add if add_narrow and band.projection is not None else vectors.index_copy
            vectors = change(0, chosen, rows)
            start = stop
        return vectors

    @torch.no_grad()
    def start_from(self, vectors: Tensor, weights: Tensor) -> None:
        """Set the rows to the vectors of their words, or as near to them as their width allows.

        Args:
            vectors: (V, D_e), of all words.
            weights: (V,), how much each word counts in the choice of a narrow band's directions.
        """
        own, own_weights = (torch.cat([values[words] for words, _ in self.ranges]) for values in (vectors, weights))
        start = 0
        for band in self.bands:
            stop = start + band.num_rows
            band.start_from(own[start:stop], own_weights[start:stop])
            start = stop

    def put_into_matrix(self, matrix: Tensor, vectors: Tensor) -> None:
        """Write the first :attr:`num_words` words of ``matrix`` (V, D_e), in place; padding becomes zero.

        Args:
            matrix: what to write to.
            vectors: (K, D_e), what :meth:`vectors` gave.
        """
        matrix[: self.num_words] = 0
        for words, places in self.ranges:
            matrix[words] = vectors[places].to(matrix.dtype)

    def gradient(self, gradient: Tensor) -> Tensor:
        """The gradient of :meth:`vectors`, (K, D_e), from that of the matrix (V, D_e)."""
        return torch.cat([gradient[words] for words, _ in self.ranges])

    def _positions(self, ids: Tensor) -> Tensor:
        """Which row each word has, if it has one; a number behind all rows for padding."""
        if self.skipped is None:
            return ids
        return (ids - (ids > self.skipped).to(ids.dtype)).masked_fill(ids == self.skipped, self.num_rows)


class Band(nn.Module):
    """Rows of one width: ``rows`` A is (n, d), ``projection`` B is (d, D_e), the vectors are ``A B g p sqrt(D_e) / d``.

    With d = D_e there is no projection, and the vectors are ``A g``. At initialisation the standard deviation of their
    values is ``D_e ** -0.5``, that of a fairseq table.

    Why the factors: one step of Adam changes each trained value by about the learning rate. B's values are about
    ``1 / p``, so a step changes B, which all words of the band share, by p times the learning rate in proportion, and
    far less than it changes a row. A step of a row moves its vector g times as far along its gradient as that of a
    table's row would, though only d directions are open to it. How g and p were chosen: ``benchmarks/convergence``.

    Args:
        num_rows: n.
        width: d.
        embedding_dim: D_e.
        gain: g.
    """

    def __init__(self, num_rows: int, width: int, embedding_dim: int, gain: float = _GAIN):
        super().__init__()
        self.num_rows = num_rows
        self.gain = gain
        self.embedding_dim = embedding_dim
        self.rows = nn.Parameter(torch.empty(num_rows, width))
        self.projection = nn.Parameter(torch.empty(width, embedding_dim)) if width < embedding_dim else None

    @property
    def scale(self) -> float:
        """The factor between ``A B``, or A without a projection, and the vectors."""
        return self.gain if self.projection is None else self.gain * _PACE * self.embedding_dim**0.5 / self.rows.size(1)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the rows, and for the projection orthogonal directions, from PyTorch's global generator."""
        std = self.embedding_dim**-0.5 / self.scale
        if self.projection is not None:
            std *= _PACE / self.rows.size(1) ** 0.5
            nn.init.orthogonal_(self.projection, gain=self.embedding_dim**0.5 / _PACE)
        self.rows.normal_(std=std)

    @torch.no_grad()
    def start_from(self, vectors: Tensor, weights: Tensor) -> None:
        """Set the rows, and the projection to the strongest directions of the vectors.

        Args:
            vectors: (n, D_e).
            weights: (n,), how much each counts.
        """
        if self.projection is None:
            self.rows.copy_(vectors / self.scale)
            return
        rows, directions = low_rank(vectors, weights, self.rows.size(1))
        gain = self.embedding_dim**0.5 / _PACE
        self.rows.copy_(rows / (self.scale * gain))
        self.projection.copy_(directions * gain)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of words counted from the band's first, ``(N,) -> (N, D_e)``."""
        return self._project(F.embedding(ids, self.rows))

    def vectors(self, dtype: torch.dtype) -> Tensor:
        """All vectors, (n, D_e), computed in ``dtype``."""
        with torch.autocast(self.rows.device.type, enabled=False):
            return self._project(self.rows.to(dtype))

    def _project(self, rows: Tensor) -> Tensor:
        rows = rows * self.scale
        return rows if self.projection is None else rows @ self.projection.to(rows.dtype)
