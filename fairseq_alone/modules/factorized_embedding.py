"""The low-rank baseline of the ALONE paper's Table 2."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.low_rank import low_rank


class FactorizedEmbedding(ComputedEmbedding):
    """The embedding ``E = A B``: ``factor`` A is (V, d), ``projection`` B is (d, D_e); no non-linearity between.

    At initialisation the standard deviation of ``matrix()`` is ``D_e ** -0.5``.

    Args:
        num_embeddings: vocabulary size V.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero, or None.
        factorized_dim: d, at least 1.

    Raises:
        SettingError: a size is less than 1.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, factorized_dim: int):
        for setting, size in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if size < 1:
                raise SettingError(setting, f"must be at least 1, got {size}")
        if factorized_dim < 1:
            raise SettingError("factorized_dim", f"must be at least 1, got {factorized_dim}")
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.factor = nn.Parameter(torch.empty(num_embeddings, factorized_dim))
        self.projection = nn.Parameter(torch.empty(factorized_dim, embedding_dim))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw both factors from PyTorch's global generator."""
        self.factor.normal_(std=self.factor.size(1) ** -0.5)
        self.projection.normal_(std=self.embedding_dim**-0.5)
        if self.padding_idx is not None:
            self.factor[self.padding_idx] = 0

    @torch.no_grad()
    def start_from(self, vectors: Tensor, weights: Tensor) -> None:
        """Begin with the nearest factors of given vectors.

        Args:
            vectors: (V, D_e).
            weights: (V,), how much each word counts.
        """
        rows, directions = low_rank(vectors, weights, min(self.factor.size(1), self.embedding_dim))
        # Where d is more than D_e, the directions beyond it keep their random values, and no word uses them.
        self.factor.zero_()[:, : rows.size(1)] = rows
        self.projection[: rows.size(1)] = directions
        if self.padding_idx is not None:
            self.factor[self.padding_idx] = 0

    def compute(self, ids: Tensor, input_dropout: bool = False) -> Tensor:
        """Vectors of words, ``(N,) -> (N, D_e)``; see :meth:`ComputedEmbedding.compute`."""
        # (N,) -> (N, d) -> (N, D_e)
        factors = F.embedding(ids, self.factor)
        if self.padding_idx is not None:
            # As an output word, padding gets a gradient; the mask keeps its vector at zero all the same.
            factors = factors * (ids != self.padding_idx).unsqueeze(1)
        return factors @ self.projection
