"""What everything that is used as a word embedding offers."""

from typing import Protocol

from torch import Tensor


class Embedding(Protocol):
    """A module with ``forward(ids) == matrix()[ids]`` whenever dropout is off.

    Attributes:
        embedding_dim: D_e.
    """

    embedding_dim: int

    def __call__(self, ids: Tensor, /) -> Tensor:
        """``(...) -> (..., D_e)``."""

    def matrix(self) -> Tensor:
        """The vectors of all words, (V, D_e)."""
