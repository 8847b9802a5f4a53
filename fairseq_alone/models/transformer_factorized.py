"""``--arch transformer_factorized``: a Transformer with low-rank embeddings, the baseline of the ALONE paper."""

from fairseq.models import register_model, register_model_architecture

from fairseq_alone.models import architectures
from fairseq_alone.models.computed_embedding_transformer import ComputedEmbeddingTransformer
from fairseq_alone.modules import FactorizedEmbedding


@register_model("transformer_factorized")
class TransformerFactorizedModel(ComputedEmbeddingTransformer):
    """fairseq's Transformer with :class:`~fairseq_alone.modules.FactorizedEmbedding` in place of every table."""

    @classmethod
    def add_args(cls, parser):
        """Add fairseq's Transformer flags and the size of the factors."""
        super().add_args(parser)
        parser.add_argument(
            "--factorized-dim",
            type=int,
            metavar="D",
            help="columns d of the V x d factor; the trained size is d * (V + D_e)",
        )

    @classmethod
    def build_computed_embedding(cls, args, num_embeddings, embed_dim, padding_idx, stream):
        """Build a factorized embedding; it has no random filters, so ``stream`` is unused."""
        return FactorizedEmbedding(num_embeddings, embed_dim, padding_idx, factorized_dim=args.factorized_dim)


def factorized_defaults(args, factorized_dim: int) -> None:
    """Fill in the flags of the factorized embedding that were not given."""
    args.factorized_dim = getattr(args, "factorized_dim", factorized_dim)


# d is a quarter of the embedding's size, so the embedding is about a quarter of a table, as ALONE's default is.
for _suffix, _shape, _factorized_dim in (
    ("", architectures.base, 128),
    ("_tiny", architectures.tiny, 32),
    ("_iwslt_de_en", architectures.iwslt_de_en, 128),
    ("_wmt_en_de", architectures.wmt_en_de, 128),
    ("_wmt_en_de_big", architectures.wmt_en_de_big, 256),
):
    register_model_architecture("transformer_factorized", f"transformer_factorized{_suffix}")(
        architectures.with_embedding_defaults(_shape, factorized_defaults, factorized_dim=_factorized_dim)
    )
