"""Frequent words with more values than rare ones (differentiated softmax: Chen, Grangier and Auli, ACL 2016)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.chunked_log_prob import chunked_log_prob
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.rounding import as_computed_with


class DifferentiatedEmbedding(ComputedEmbedding):
    """Blocks of words, each with a slice of the D_e dimensions; the matrix is zero outside of the blocks.

    As output layer, logits of a block's words are products with its slice of the features only (the paper's section
    3.2), so both the values and the products are those of the blocks: :meth:`project`. As input embedding, a word's
    vector has zeros in the slices of other blocks. At initialisation a row of a block of d dimensions has the standard
    deviation ``d ** -0.5``, so that all vectors are as long as a table's.

    Args:
        num_embeddings: vocabulary size V.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero, or None.
        blocks: for each block the number of its words, at least 1, and its dimensions, at least 1: V words and D_e
            dimensions in all. The first block has the first words, which are the most frequent, and the first
            dimensions.

    Raises:
        SettingError: a block is empty, or the sums are not V and D_e.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        blocks: Sequence[Sequence[int]],
    ):
        words, dims = (sum(block[column] for block in blocks) for column in range(2))
        if min((min(block) for block in blocks), default=0) < 1:
            raise SettingError("blocks", f"must have at least 1 word and 1 dimension in each block, got {list(blocks)}")
        if (words, dims) != (num_embeddings, embedding_dim):
            raise SettingError(
                "blocks",
                f"must have V = {num_embeddings} words and D_e = {embedding_dim} dimensions in all, got {words} words "
                f"and {dims} dimensions",
            )
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.blocks = nn.ParameterList(nn.Parameter(torch.empty(words, dims)) for words, dims in blocks)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all blocks from PyTorch's global generator."""
        for first, block in self._begin_of_blocks():
            block.normal_(std=block.size(1) ** -0.5)
            padding = self._padding_row(first, block)
            if padding is not None:
                block[padding] = 0

    def forward(self, ids: Tensor) -> Tensor:
        """Look up words: ``(...) -> (..., D_e)``. The matrix, most of which is zeros, is not built for it."""
        return self.rows(ids)

    def rows(self, ids: Tensor) -> Tensor:
        """The same as a look-up: there is no dropout."""
        with as_computed_with(self):
            return self.compute(ids.reshape(-1)).view(*ids.shape, self.embedding_dim)

    def compute(self, ids: Tensor, input_dropout: bool = False) -> Tensor:
        """Vectors of words, ``(N,) -> (N, D_e)``; see :meth:`ComputedEmbedding.compute`."""
        places, parts, dim = [], [], 0
        for first, block in self._begin_of_blocks():
            chosen = ((ids >= first) & (ids < first + len(block))).nonzero().squeeze(1)  # (n,)
            rows = F.embedding(ids[chosen] - first, block)  # (n, d)
            if self.padding_idx is not None:
                # As an output word, padding gets a gradient; the mask keeps its vector at zero all the same.
                rows = rows * (ids[chosen] != self.padding_idx).unsqueeze(1)
            parts.append(F.pad(rows, (dim, self.embedding_dim - dim - block.size(1))))  # (n, D_e)
            places.append(chosen)
            dim += block.size(1)
        return F.embedding(torch.cat(places).argsort(), torch.cat(parts))

    def build_matrix(self) -> Tensor:
        """All vectors, (V, D_e), differentiable."""
        return torch.block_diag(*self._without_padding())

    def project(self, features: Tensor) -> Tensor:
        """Logits of all words, ``(N, D_e) -> (N, V)``: products of each block with its slice of the features."""
        with as_computed_with(self):
            return torch.cat([F.linear(part, block) for part, block in self._parts(features)], 1)

    def log_prob(self, features: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities (N,) in float32 of targets (N,) under a softmax over all words; features are (N, D_e)."""
        with as_computed_with(self):
            return chunked_log_prob(self._parts(features), targets)

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Begin with each word's slice of given vectors (V, D_e), which is as near to them as can be."""
        dim = 0
        for first, block in self._begin_of_blocks():
            block.copy_(vectors[first : first + len(block), dim : dim + block.size(1)])
            padding = self._padding_row(first, block)
            if padding is not None:
                block[padding] = 0
            dim += block.size(1)

    @property
    def block_sizes(self) -> list[list[int]]:
        """Words and dimensions of each block."""
        return [list(block.shape) for block in self.blocks]

    def _parts(self, features: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each block with its slice of the features."""
        blocks = self._without_padding()
        return list(zip(features.split([block.size(1) for block in blocks], 1), blocks, strict=True))

    def _without_padding(self) -> list[Tensor]:
        """The blocks, with a zero row for padding."""
        blocks = []
        for first, block in self._begin_of_blocks():
            padding = self._padding_row(first, block)
            if padding is not None:
                kept = torch.ones(len(block), 1, dtype=block.dtype, device=block.device)
                kept[padding] = 0
                block = block * kept
            blocks.append(block)
        return blocks

    def _begin_of_blocks(self) -> list[tuple[int, Tensor]]:
        """Each block with its first word."""
        found, first = [], 0
        for block in self.blocks:
            found.append((first, block))
            first += len(block)
        return found

    def _padding_row(self, first: int, block: Tensor) -> int | None:
        padding = self.padding_idx
        return padding - first if padding is not None and first <= padding < first + len(block) else None
