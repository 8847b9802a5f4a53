"""Projection regularisation for untied output layers (Press and Wolf, EACL 2017, section 3)."""

import torch
from torch import Tensor, nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.embedding import Embedding
from fairseq_alone.modules.tied_projection import TiedProjection


class RegularizedProjection(TiedProjection):
    """Logits ``matrix() @ P @ h`` of features h, and a penalty ``lambda * ||P||_2`` for the loss.

    ``square`` is P, (D_e, D_e), the identity at first. The norm is the Euclidean norm of all values of P.

    Args:
        embedding: anything with ``matrix() -> (V, D_e)`` and ``embedding_dim``.
        regularization: lambda, positive; 0.15 in the paper.

    Raises:
        SettingError: lambda is not positive.
    """

    def __init__(self, embedding: Embedding, regularization: float):
        super().__init__(embedding)
        if not 0.0 < regularization < float("inf"):
            raise SettingError("regularization", f"must be a positive number, got {regularization}")
        self.regularization = regularization
        self.square = nn.Parameter(torch.eye(embedding.embedding_dim))

    def forward(self, features: Tensor) -> Tensor:
        """``(..., D_e) -> (..., V)``."""
        return super().forward(features @ self.square.t())

    def log_prob(self, features: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities (N,) in float32 of targets (N,), whose features are (N, D_e)."""
        return super().log_prob(features @ self.square.t(), targets)

    def rows(self, ids: Tensor) -> Tensor:
        """``weight[ids]``: ``(...) -> (..., D_e)``."""
        return super().rows(ids) @ self.square

    @property
    def weight(self) -> Tensor:
        """``matrix() @ P``, (V, D_e), for tools that only look."""
        return super().weight @ self.square

    def penalty(self) -> Tensor:
        """``lambda * ||P||_2``, a scalar in float32, differentiable."""
        return self.regularization * self.square.float().norm()
