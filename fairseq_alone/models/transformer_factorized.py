"""``--arch transformer_factorized``: a Transformer with low-rank embeddings, the baseline of the ALONE paper."""

from fairseq.models import register_model

from fairseq_alone.models import architectures
from fairseq_alone.models.embedding_family_transformer import EmbeddingFamilyTransformer
from fairseq_alone.models.factorized_family import FactorizedFamily


@register_model("transformer_factorized")
class TransformerFactorizedModel(EmbeddingFamilyTransformer):
    """fairseq's Transformer with :class:`~fairseq_alone.modules.FactorizedEmbedding` in place of every table."""

    family = FactorizedFamily


# d is a quarter of the embedding's size, so the embedding is about a quarter of a table, as ALONE's default is.
architectures.register(
    "transformer_factorized",
    FactorizedFamily,
    {
        "": {"factorized_dim": 128},
        "_tiny": {"factorized_dim": 32},
        "_iwslt_de_en": {"factorized_dim": 128},
        "_wmt_en_de": {"factorized_dim": 128},
        "_wmt_en_de_big": {"factorized_dim": 256},
    },
)
