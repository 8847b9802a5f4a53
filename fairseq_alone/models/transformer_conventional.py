"""``--arch transformer_conventional``: fairseq's Transformer, with this package's flags for tying."""

from fairseq.models import register_model

from fairseq_alone.models import architectures
from fairseq_alone.models.conventional_family import ConventionalFamily
from fairseq_alone.models.embedding_family_transformer import EmbeddingFamilyTransformer


@register_model("transformer_conventional")
class TransformerConventionalModel(EmbeddingFamilyTransformer):
    """fairseq's Transformer over a table.

    With three-way tying one seed gives the same model as ``--arch transformer``, to the bit.
    """

    family = ConventionalFamily


architectures.register("transformer_conventional", ConventionalFamily, dict.fromkeys(architectures.SHAPES, {}))
