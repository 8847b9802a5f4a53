"""Sums of tensor products as a family of embeddings: word2ketXS (Panahi, Saeedi and Arodz, ICLR 2020)."""
# ruff: noqa: UP045

from argparse import Namespace
from dataclasses import dataclass
from typing import Any, Optional  # fairseq makes a flag of Optional[float], not of float | None

from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_alone.errors import SettingError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.family_flags import flag
from fairseq_alone.modules import TensorProductEmbedding
from fairseq_alone.modules.tensor_product_embedding import factor_shapes


@dataclass
class TensorProductFlags(FairseqDataclass):
    """The ``--tensor-`` flags."""

    tensor_order: int = flag(2, "factors N of a tensor product, at least 2", "N")
    tensor_rank: int = flag(16, "tensor products R that are added; the trained size is proportional to it", "R")
    tensor_share: Optional[float] = flag(
        None, "size of the embedding, that of a table V x D_e = 1, as nearly as can be: chooses R", "SHARE"
    )
    tensor_normalize: bool = flag(False, "bring each vector to unit length, times one trained scale")


class TensorProductFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.TensorProductEmbedding` and the ``--tensor-`` flags."""

    name, class_name = "tensor_product", "TensorProduct"
    flags = TensorProductFlags
    flag_prefix = "--tensor-"
    report_rows = {
        "tensor_order": "N factors of a product",
        "tensor_rank": "R products",
        "tensor_normalized": "vectors of one length",
    }

    @classmethod
    def build_from_flags(
        cls, args: Namespace, num_embeddings: int, embed_dim: int, padding_idx: int, stream: int
    ) -> TensorProductEmbedding:
        """Build the embedding; it has nothing random that is not trained, so ``stream`` is unused."""
        order, rank = args.tensor_order, args.tensor_rank
        if args.tensor_share is not None:
            if rank != TensorProductFlags.tensor_rank:
                raise SettingError("rank", "follows from --tensor-share; give one of the two")
            rank = rank_of_share(args.tensor_share, num_embeddings, embed_dim, order)
        return TensorProductEmbedding(
            num_embeddings, embed_dim, padding_idx, order=order, rank=rank, normalize=args.tensor_normalize
        )

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """R, rounded, of products of two factors."""
        order = TensorProductFlags.tensor_order
        return {"tensor_order": order, "tensor_rank": rank_of_share(share, num_embeddings, embed_dim, order)}

    @classmethod
    def module_settings(cls, embedding: TensorProductEmbedding) -> dict[str, Any]:
        """Sizes, and whether vectors are normalised."""
        names = ("num_embeddings", "embedding_dim", "padding_idx", "order", "rank")
        return {**{name: getattr(embedding, name) for name in names}, "normalize": embedding.scale is not None}

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """Sizes from the factors, and from what the checkpoint says beside them."""
        if not {"sizes", "factors.0"} <= tensors.keys():
            return None
        vocabulary, embed_dim = tensors["sizes"].tolist()
        return {
            "vocabulary": vocabulary,
            "embed_dim": embed_dim,
            "tensor_order": sum(name.startswith("factors.") for name in tensors),
            "tensor_rank": tensors["factors.0"].size(0),
            "tensor_normalized": "yes" if "scale" in tensors else None,
        }

    @classmethod
    def variant(cls, settings: dict) -> str:
        """Whether vectors are normalised."""
        return "normalised" if settings["tensor_normalized"] else ""


def rank_of_share(share: float, num_embeddings: int, embed_dim: int, order: int) -> int:
    """R with which the trained values are nearest to a share of those of a table.

    Raises:
        SettingError: R would be 0, or the order is out of its range.
    """
    if order < 2:
        raise SettingError("order", f"must be at least 2, got {order}")
    if not 0.0 < share < float("inf"):
        raise SettingError("share", f"must be greater than 0, got {share}")
    values = sum(rows * width for rows, width in factor_shapes(num_embeddings, embed_dim, order))
    rank = round(share * num_embeddings * embed_dim / values)
    if rank < 1:
        raise SettingError("rank", f"would be {rank} for a share of {share}, but must be at least 1")
    return rank
