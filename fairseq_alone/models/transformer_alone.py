"""``--arch transformer_alone``: a Transformer with ALONE embeddings (Takase and Kobayashi, NeurIPS 2020)."""

from fairseq.models import register_model

from fairseq_alone.models import architectures
from fairseq_alone.models.alone_family import AloneFamily
from fairseq_alone.models.embedding_family_transformer import EmbeddingFamilyTransformer


@register_model("transformer_alone")
class TransformerAloneModel(EmbeddingFamilyTransformer):
    """fairseq's Transformer with :class:`~fairseq_alone.modules.AloneEmbedding` in place of every table."""

    family = AloneFamily


# D_inter 4096 is a quarter of a table of 32k words, whatever the embedding's size; 8192 is half.
architectures.register(
    "transformer_alone",
    AloneFamily,
    {
        "": {"inter_dim": 4096},
        "_tiny": {"inter_dim": 1024},
        "_iwslt_de_en": {"inter_dim": 2048},
        "_wmt_en_de": {"inter_dim": 4096},
        "_wmt_en_de_big": {"inter_dim": 4096},
    },
)
