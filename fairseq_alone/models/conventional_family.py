"""The conventional embedding as a family: one stored vector for each word."""

from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.modules import TableEmbedding


class ConventionalFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.TableEmbedding`. It has no flags."""

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
