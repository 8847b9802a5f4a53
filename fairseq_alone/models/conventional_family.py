"""The conventional embedding as a family: one stored vector for each word."""

from argparse import Namespace
from typing import Any

from torch import Tensor, nn

from fairseq_alone.checkpoints import same_bits
from fairseq_alone.errors import SettingError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.modules import HierarchicalSoftmax, TableEmbedding, TiedProjection

# Until version 0.1.0 tables had names of this package, so that fairseq's own models could not load them.
_OLD_NAMES = {
    "encoder.embed_tokens.table": "encoder.embed_tokens.weight",
    "decoder.embed_tokens.table": "decoder.embed_tokens.weight",
    "decoder.output_embedding.table": "decoder.output_projection.weight",
}


class ConventionalFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.TableEmbedding`, which is fairseq's own table. It has no flags."""

    name, class_name = "conventional", "Conventional"
    is_fairseqs = True

    @classmethod
    def build_from_flags(
        cls, args: Namespace, num_embeddings: int, embed_dim: int, padding_idx: int, stream: int
    ) -> TableEmbedding:
        """Build a table; it has no random filters, so ``stream`` is unused."""
        return TableEmbedding(num_embeddings, embed_dim, padding_idx)

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """No flags, for a share of 1; there is no other table."""
        if share != 1:
            raise SettingError("share", f"must be 1 for a table, got {share}")
        return {}

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """Sizes of a table, be it of this package or of fairseq."""
        table = tensors.get("weight", tensors.get("table"))
        if table is None or table.dim() != 2:
            return None
        return dict(zip(("vocabulary", "embed_dim"), table.shape, strict=True))

    @classmethod
    def module_settings(cls, embedding: nn.Embedding) -> dict[str, Any]:
        """Sizes; also of a table that fairseq made."""
        names = ("num_embeddings", "embedding_dim", "padding_idx")
        return {name: getattr(embedding, name) for name in names}

    @classmethod
    def start_from(cls, embedding: TableEmbedding, vectors: Tensor, weights: Tensor) -> None:
        """Copy the vectors."""
        embedding.start_from(vectors)

    @classmethod
    def upgrade_state_dict(cls, model: Any, state_dict: dict[str, Tensor], prefix: str) -> None:
        """Give the tables of old checkpoints, and of those of other output layers, the names that they have here."""
        names = dict(_OLD_NAMES)
        if hasattr(model.decoder, "output_embedding"):
            names["decoder.output_embedding.table"] = "decoder.output_embedding.weight"
        for old, new in names.items():
            if prefix + old in state_dict:
                state_dict[prefix + new] = state_dict.pop(prefix + old)
        _name_output_layer(model.decoder, state_dict, prefix + "decoder.")


def _name_output_layer(decoder: Any, state_dict: dict[str, Tensor], prefix: str) -> None:
    """Give an output layer of fairseq's the name of ours, or the other way round, whichever the decoder has."""
    stock, own, table = (
        f"{prefix}{place}.weight" for place in ("output_projection", "output_embedding", "embed_tokens")
    )
    if not isinstance(getattr(decoder, "output_projection", None), (TiedProjection, HierarchicalSoftmax)):
        old, new = own, stock
    elif hasattr(decoder, "output_embedding"):
        old, new = stock, own
    else:
        if stock in state_dict and table in state_dict and same_bits(state_dict[stock], state_dict[table]):
            del state_dict[stock]
        return
    if old in state_dict and new not in state_dict:
        state_dict[new] = state_dict.pop(old)
