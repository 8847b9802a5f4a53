"""``--arch transformer_lm_alone`` and so on: fairseq's Transformer language model over any family of embeddings."""

from fairseq.models import register_model
from fairseq.models.transformer import TransformerDecoder
from fairseq.models.transformer_lm import (
    DEFAULT_MAX_TARGET_POSITIONS,
    TransformerLanguageModel,
    base_lm_architecture,
    transformer_lm_big,
    transformer_lm_gpt,
)

from fairseq_alone.models import architectures
from fairseq_alone.models.alone_family import AloneFamily
from fairseq_alone.models.conventional_family import ConventionalFamily
from fairseq_alone.models.embedding_family_language_model import EmbeddingFamilyLanguageModel
from fairseq_alone.models.factorized_family import FactorizedFamily


class EmbeddingFamilyTransformerLM(EmbeddingFamilyLanguageModel):
    """fairseq's Transformer decoder as a language model."""

    stock_model = TransformerLanguageModel
    output_dim_flag = "--decoder-output-dim"
    stock_output_layer = True
    refused_flags = (
        *("adaptive_softmax_cutoff", "adaptive_input", "character_embeddings"),
        *("tie_adaptive_weights", "tie_adaptive_proj"),
        *("quant_noise_pq", "quant_noise_scalar", "base_layers"),
    )

    @classmethod
    def embedding_sizes(cls, args):
        """The sizes that the decoder's flags give."""
        return args.decoder_input_dim, args.decoder_output_dim

    @classmethod
    def build_decoder(cls, args, task, embed_tokens, output_projection):
        """Build fairseq's decoder."""
        if args.decoder_layers_to_keep:
            args.decoder_layers = len(args.decoder_layers_to_keep.split(","))
        if getattr(args, "max_target_positions", None) is None:
            args.max_target_positions = getattr(args, "tokens_per_sample", DEFAULT_MAX_TARGET_POSITIONS)
        return TransformerDecoder(
            args, task.target_dictionary, embed_tokens, no_encoder_attn=True, output_projection=output_projection
        )


@register_model("transformer_lm_alone")
class TransformerLMAloneModel(EmbeddingFamilyTransformerLM):
    """The Transformer language model with ALONE embeddings."""

    family = AloneFamily


@register_model("transformer_lm_factorized")
class TransformerLMFactorizedModel(EmbeddingFamilyTransformerLM):
    """The Transformer language model with low-rank embeddings."""

    family = FactorizedFamily


@register_model("transformer_lm_conventional")
class TransformerLMConventionalModel(EmbeddingFamilyTransformerLM):
    """The Transformer language model with tables, with this package's flags for tying."""

    family = ConventionalFamily


def post_norm(args) -> None:
    """What ``--arch transformer_lm`` is on the command line: post-norm, unless ``--decoder-normalize-before``.

    fairseq's other architectures of this model, and the others here, are pre-norm with or without the flag. One thing
    differs all the same: there, word vectors have 512 values unless ``--decoder-input-dim`` and
    ``--decoder-output-dim`` say otherwise, here as many as ``--decoder-embed-dim``.
    """
    normalize_before = getattr(args, "decoder_normalize_before", False)
    base_lm_architecture(args)
    args.decoder_normalize_before = normalize_before


_SHAPES = {
    "": base_lm_architecture,
    "_big": transformer_lm_big,
    "_gpt": transformer_lm_gpt,
    "_post_norm": post_norm,
}

# A quarter of a table or less for 32k words, as in the translation models.
for _kind, _family, _sizes in (
    ("alone", AloneFamily, {"inter_dim": 4096}),
    ("factorized", FactorizedFamily, {"factorized_dim": 128}),
    ("conventional", ConventionalFamily, {}),
):
    architectures.register(f"transformer_lm_{_kind}", _family, dict.fromkeys(_SHAPES, _sizes), _SHAPES)
