"""Low-rank embeddings as a family, the baseline of the ALONE paper's Table 2."""

from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.modules import FactorizedEmbedding


class FactorizedFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.FactorizedEmbedding` and its flag."""

    @classmethod
    def add_args(cls, parser) -> None:
        """Add ``--factorized-dim``."""
        parser.add_argument(
            "--factorized-dim",
            type=int,
            metavar="D",
            help="columns d of the V x d factor; the trained size is d * (V + D_e)",
        )

    @classmethod
    def fill_defaults(cls, args, factorized_dim: int) -> None:
        """Fill in ``--factorized-dim``."""
        args.factorized_dim = getattr(args, "factorized_dim", factorized_dim)

    @classmethod
    def build_from_flags(cls, args, num_embeddings, embed_dim, padding_idx, stream) -> FactorizedEmbedding:
        """Build a factorized embedding; it has no random filters, so ``stream`` is unused."""
        return FactorizedEmbedding(num_embeddings, embed_dim, padding_idx, factorized_dim=args.factorized_dim)
