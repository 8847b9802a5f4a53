"""A matrix as a sum of tensor products of small ones: word2ketXS (Panahi, Saeedi and Arodz, ICLR 2020)."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.computed_embedding import ComputedEmbedding


class TensorProductEmbedding(ComputedEmbedding):
    """The embedding ``E = sum_r F_r1 (x) ... (x) F_rN`` (their Figure 1), cut to V words and D_e values.

    Factor n of each of the R terms is ``t_n x q_n``; the products of the ``t_n`` and the ``q_n`` are at least V and
    D_e. A word's number, written with N digits of bases ``t_n``, chooses a row of each factor, and the vector is the
    sum over r of the tensor products of these rows. The trained size is ``R * sum(t_n * q_n)``.

    MorphTE (Gan et al., NeurIPS 2022) has morphemes in place of digits, and shares the factors among the positions.

    Each sum may be normalised. The code of word2ket's authors has layer normalisation within the products, but switched
    off; that of MorphTE's authors normalises each sum over its values, with a trained scale and shift for each of the
    D_e places. Here a vector is brought to unit length, and one trained scale serves all.

    At initialisation the standard deviation of ``matrix()`` is ``D_e ** -0.5``, that of a fairseq table.

    Args:
        num_embeddings: vocabulary size V.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero, or None.
        order: N, at least 2.
        rank: R, at least 1.
        normalize: bring each vector to unit length times a trained scale.

    Raises:
        SettingError: a setting is outside its range.
    """

    sizes: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        order: int = 2,
        rank: int,
        normalize: bool = False,
    ):
        for setting, size in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim), ("rank", rank)):
            if size < 1:
                raise SettingError(setting, f"must be at least 1, got {size}")
        if order < 2:
            raise SettingError("order", f"must be at least 2, got {order}")
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.rebuild = "update"
        self.order, self.rank = order, rank
        shapes = factor_shapes(num_embeddings, embedding_dim, order)
        self.factors = nn.ParameterList(torch.empty(rank, rows, values) for rows, values in shapes)
        self.scale = nn.Parameter(torch.empty(1)) if normalize else None
        # The factors alone do not tell V and D_e, which a checkpoint shall say.
        self.register_buffer("sizes", torch.tensor([num_embeddings, embedding_dim]))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the factors from PyTorch's global generator."""
        for factor in self.factors:
            # A value is a sum of R products of N values.
            factor.normal_(std=(self.rank * self.embedding_dim) ** (-0.5 / self.order))
        if self.scale is not None:
            self.scale.fill_(1.0)

    def compute(self, ids: Tensor, input_dropout: bool = False) -> Tensor:
        """Vectors of words, ``(N,) -> (N, D_e)``; see :meth:`ComputedEmbedding.compute`."""
        parts = [
            F.embedding(digit, factor.transpose(0, 1).flatten(1)).view(len(ids), self.rank, factor.size(2))
            for digit, factor in self._digits(ids)
        ]  # each (N, R, q_n)
        # The sum over r of left (x) right is a product of matrices: no tensor has R * D_e values for each word.
        half = self.order // 2
        left, right = _product(parts[:half]), _product(parts[half:])
        vectors = (left.transpose(1, 2) @ right).flatten(1)[:, : self.embedding_dim]  # (N, a, b) -> (N, D_e)
        if self.scale is not None:
            vectors = F.normalize(vectors, dim=1) * self.scale
        if self.padding_idx is not None:
            vectors = vectors * (ids != self.padding_idx).unsqueeze(1)
        return vectors

    def _digits(self, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each factor with the digit that chooses its row, (N,); the last factor has the last digit."""
        found = []
        for factor in reversed(list(self.factors)):
            found.append((ids % factor.size(1), factor))
            ids = ids // factor.size(1)
        return found[::-1]


def factor_shapes(num_embeddings: int, embedding_dim: int, order: int) -> list[tuple[int, int]]:
    """``t_n`` and ``q_n`` of N factors whose products are at least V and D_e, and as small as equal ones can be."""
    return list(zip(_balanced(num_embeddings, order), _balanced(embedding_dim, order), strict=True))


def _balanced(total: int, count: int) -> list[int]:
    """``count`` numbers, falling, each as small as possible for those behind it to be no larger."""
    sizes = []
    for left in range(count, 0, -1):
        size = next(size for size in itertools.count(1) if size**left >= total)
        sizes.append(size)
        total = math.ceil(total / size)
    return sizes


def _product(parts: list[Tensor]) -> Tensor:
    """Tensor products along the last dimension: (N, R, a), (N, R, b), ... -> (N, R, a * b * ...)."""
    product = parts[0]
    for part in parts[1:]:
        product = (product.unsqueeze(3) * part.unsqueeze(2)).flatten(2)
    return product
