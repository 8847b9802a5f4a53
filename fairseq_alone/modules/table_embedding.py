"""The conventional embedding: a stored table, under the same contract as the computed ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TableEmbedding(nn.Module):
    """One trained vector for each word: ``table``, (V, D_e).

    At initialisation the standard deviation of ``matrix()`` is ``D_e ** -0.5`` and the padding word has a zero vector.
    As with every table in fairseq, look-ups give the padding word no gradient; a tied output layer does.

    Args:
        num_embeddings: vocabulary size V.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero at first, or None.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        # PyTorch draws a table first and fairseq draws it again: with both draws, one seed gives one Transformer,
        # whether it is built here or by fairseq.
        self.table = nn.Parameter(nn.Embedding(num_embeddings, embedding_dim).weight.detach())
        nn.init.normal_(self.table, std=embedding_dim**-0.5)
        if padding_idx is not None:
            with torch.no_grad():
                self.table[padding_idx] = 0

    def forward(self, ids: Tensor) -> Tensor:
        """Look up words: ``(...) -> (..., D_e)``."""
        return F.embedding(ids, self.table, self.padding_idx)

    def matrix(self) -> Tensor:
        """The table, (V, D_e)."""
        return self.table

    @property
    def weight(self) -> Tensor:
        """The table, for tools that only look at ``weight``."""
        return self.table

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{self.num_embeddings}, {self.embedding_dim}, padding_idx={self.padding_idx}"
