"""The conventional embedding as a family: one stored vector for each word."""

from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.modules import TableEmbedding

# Until version 0.1.0 tables had names of this package, so that fairseq's own models could not load them.
_OLD_NAMES = {
    "encoder.embed_tokens.table": "encoder.embed_tokens.weight",
    "decoder.embed_tokens.table": "decoder.embed_tokens.weight",
    "decoder.output_embedding.table": "decoder.output_projection.weight",
}


class ConventionalFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.TableEmbedding`, which is fairseq's own table. It has no flags."""

    is_fairseqs = True

    @classmethod
    def add_args(cls, parser) -> None:
        """Add nothing."""

    @classmethod
    def fill_defaults(cls, args) -> None:
        """Fill in nothing."""

    @classmethod
    def build_from_flags(cls, args, num_embeddings, embed_dim, padding_idx, stream) -> TableEmbedding:
        """Build a table; it has no random filters, so ``stream`` is unused."""
        return TableEmbedding(num_embeddings, embed_dim, padding_idx)

    @classmethod
    def upgrade_state_dict(cls, model, state_dict, prefix) -> None:
        """Give the tables of old checkpoints the names that fairseq gives them."""
        names = dict(_OLD_NAMES)
        if hasattr(model.decoder, "output_embedding"):
            names["decoder.output_embedding.table"] = "decoder.output_embedding.weight"
        for old, new in names.items():
            if prefix + old in state_dict:
                state_dict[prefix + new] = state_dict.pop(prefix + old)
