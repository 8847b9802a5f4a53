"""What everything that is used as a word embedding offers."""

from typing import Protocol

from torch import Tensor


class Embedding(Protocol):
    """A module with ``forward(ids) == matrix()[ids]`` whenever dropout is off.

    Attributes:
        num_embeddings: V.
        embedding_dim: D_e.
    """

    num_embeddings: int
    embedding_dim: int

    def __call__(self, ids: Tensor, /) -> Tensor:
        """``(...) -> (..., D_e)``."""

    def matrix(self) -> Tensor:
        """The vectors of all words, (V, D_e)."""

    def rows(self, ids: Tensor) -> Tensor:
        """``matrix()[ids]``, (..., D_e), without the rest of the matrix where that saves work."""
