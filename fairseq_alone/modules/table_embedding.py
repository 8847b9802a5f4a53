"""The conventional embedding: a stored table, under the same contract as the computed ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.modules.rounding import Rounding


class TableEmbedding(nn.Embedding):
    """One trained vector for each word: fairseq's own table, to the bit and by name, with ``matrix()``.

    At initialisation the standard deviation of ``matrix()`` is ``D_e ** -0.5`` and the padding word has a zero vector.
    As with every table in fairseq, look-ups give the padding word no gradient; a tied output layer does. PyTorch's
    attribute ``sparse`` makes gradients of look-ups sparse, for an optimizer that goes by rows; it is off at first.

    Args:
        num_embeddings: vocabulary size V.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero at first, or None.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        # PyTorch draws a table first and fairseq draws it again: with both draws, one seed gives one model.
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        #: What the table is rounded by before it is used, if it is.
        self.rounding: Rounding | None = None
        nn.init.normal_(self.weight, std=embedding_dim**-0.5)
        if padding_idx is not None:
            nn.init.zeros_(self.weight[padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        """Look up words: ``(...) -> (..., D_e)``."""
        return F.embedding(ids, self.matrix(), self.padding_idx, sparse=self.sparse)

    def matrix(self) -> Tensor:
        """The table, (V, D_e), rounded where that is asked for."""
        return self.weight if self.rounding is None else self.rounding.tensors(self)["weight"]

    def rows(self, ids: Tensor) -> Tensor:
        """Rows of the table, ``(...) -> (..., D_e)``, for an output layer that needs only these.

        Unlike a look-up of input words, this gives padding its gradient, as a tied output layer does.
        """
        return F.embedding(ids, self.matrix(), sparse=self.sparse)

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Begin with given vectors, (V, D_e); padding keeps its own."""
        kept = None if self.padding_idx is None else self.weight[self.padding_idx].clone()
        self.weight.copy_(vectors)
        if kept is not None:
            self.weight[self.padding_idx] = kept
