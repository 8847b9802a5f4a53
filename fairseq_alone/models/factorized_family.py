"""Low-rank embeddings as a family, the baseline of the ALONE paper's Table 2."""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_alone.errors import SettingError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.family_flags import flag
from fairseq_alone.modules import FactorizedEmbedding


@dataclass
class FactorizedFlags(FairseqDataclass):
    """The flag ``--factorized-dim``."""

    factorized_dim: int = flag(128, "columns d of the V x d factor; the trained size is d * (V + D_e)", "D")


class FactorizedFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.FactorizedEmbedding` and its flag."""

    name, class_name = "factorized", "Factorized"
    flags = FactorizedFlags
    # A quarter of the embedding's size makes about a quarter of a table. For headlines, 32 has about as many parameters
    # as ALONE's default with 16k words.
    shape_defaults = {
        "tiny": {"factorized_dim": 32},
        "wmt_en_de_big": {"factorized_dim": 256},
        "duc": {"factorized_dim": 32},
    }
    report_rows = {"factorized_dim": "factorized d"}

    @classmethod
    def build_from_flags(
        cls, args: Namespace, num_embeddings: int, embed_dim: int, padding_idx: int, stream: int
    ) -> FactorizedEmbedding:
        """Build a factorized embedding; it has no random filters, so ``stream`` is unused."""
        return FactorizedEmbedding(num_embeddings, embed_dim, padding_idx, factorized_dim=args.factorized_dim)

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """d, rounded."""
        dim = round(share * num_embeddings * embed_dim / (num_embeddings + embed_dim))
        if dim < 1:
            raise SettingError("factorized_dim", f"would be {dim} for a share of {share}, but must be at least 1")
        return {"factorized_dim": dim}

    @classmethod
    def module_settings(cls, embedding: FactorizedEmbedding) -> dict[str, Any]:
        """Sizes."""
        names = ("num_embeddings", "embedding_dim", "padding_idx")
        return {**{name: getattr(embedding, name) for name in names}, "factorized_dim": embedding.factor.size(1)}

    @classmethod
    def start_from(cls, embedding: FactorizedEmbedding, vectors: Tensor, weights: Tensor) -> None:
        """The nearest matrix of rank d."""
        embedding.start_from(vectors, weights)

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """Sizes from the two factors."""
        if not {"factor", "projection"} <= tensors.keys():
            return None
        vocabulary, dim = tensors["factor"].shape
        return {"vocabulary": vocabulary, "embed_dim": tensors["projection"].size(1), "factorized_dim": dim}
