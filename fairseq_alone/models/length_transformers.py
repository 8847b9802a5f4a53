"""``--arch transformer_length_duc``, ``transformer_alone_duc`` and so on: a length encoding over any embedding."""

from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import base_architecture

from fairseq_alone.models.alone_family import AloneFamily
from fairseq_alone.models.conventional_family import ConventionalFamily
from fairseq_alone.models.embedding_family_transformer import EmbeddingFamilyTransformer
from fairseq_alone.models.factorized_family import FactorizedFamily
from fairseq_alone.models.length_control import LengthControlMixin, length_defaults


@register_model("transformer_length")
class TransformerLengthModel(LengthControlMixin, EmbeddingFamilyTransformer):
    """The length-controlled Transformer of Takase and Okazaki (NAACL 2019)."""

    family = ConventionalFamily


@register_model("transformer_alone_length")
class TransformerAloneLengthModel(LengthControlMixin, EmbeddingFamilyTransformer):
    """The length-controlled Transformer with ALONE embeddings (Takase and Kobayashi, NeurIPS 2020, section 3.3)."""

    family = AloneFamily


@register_model("transformer_factorized_length")
class TransformerFactorizedLengthModel(LengthControlMixin, EmbeddingFamilyTransformer):
    """The length-controlled Transformer with low-rank embeddings."""

    family = FactorizedFamily


def _architecture(family, sizes: dict):
    def architecture(args) -> None:
        base_architecture(args)
        family.fill_defaults(args, **sizes)
        length_defaults(args)

    return architecture


# The shape is the base Transformer: 512 dimensions, 6 + 6 layers, FFN 2048, 8 heads. D_inter 512 is the smaller of
# the paper's two ALONE models for headlines; the factorized embedding has about as many parameters at 16k words.
for _model_name, _arch, _family, _sizes in (
    ("transformer_length", "transformer_length_duc", ConventionalFamily, {}),
    ("transformer_alone_length", "transformer_alone_duc", AloneFamily, {"inter_dim": 512}),
    ("transformer_factorized_length", "transformer_factorized_duc", FactorizedFamily, {"factorized_dim": 32}),
):
    register_model_architecture(_model_name, _arch)(_architecture(_family, _sizes))
