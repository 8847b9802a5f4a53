"""``--arch transformer_lm_alone`` and so on: fairseq's Transformer language model over any family of embeddings."""

from argparse import Namespace

from fairseq.models.transformer import TransformerDecoder
from fairseq.models.transformer_lm import (
    DEFAULT_MAX_TARGET_POSITIONS,
    TransformerLanguageModel,
    base_lm_architecture,
)
from fairseq.tasks import FairseqTask
from torch import nn

from fairseq_alone.models.embedding_family_language_model import EmbeddingFamilyLanguageModel
from fairseq_alone.modules.embedding import Embedding


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
    def embedding_sizes(cls, args: Namespace) -> tuple[int, int]:
        """The sizes that the decoder's flags give."""
        return args.decoder_input_dim, args.decoder_output_dim

    @classmethod
    def build_decoder(
        cls, args: Namespace, task: FairseqTask, embed_tokens: Embedding, output_projection: nn.Module | None
    ) -> TransformerDecoder:
        """Build fairseq's decoder."""
        if args.decoder_layers_to_keep:
            args.decoder_layers = len(args.decoder_layers_to_keep.split(","))
        if getattr(args, "max_target_positions", None) is None:
            args.max_target_positions = getattr(args, "tokens_per_sample", DEFAULT_MAX_TARGET_POSITIONS)
        return TransformerDecoder(
            args, task.target_dictionary, embed_tokens, no_encoder_attn=True, output_projection=output_projection
        )


def post_norm(args: Namespace) -> None:
    """What ``--arch transformer_lm`` is on the command line: post-norm, unless ``--decoder-normalize-before``.

    fairseq's other architectures of this model, and the others here, are pre-norm with or without the flag. One thing
    differs all the same: there, word vectors have 512 values unless ``--decoder-input-dim`` and
    ``--decoder-output-dim`` say otherwise, here as many as ``--decoder-embed-dim``.
    """
    normalize_before = getattr(args, "decoder_normalize_before", False)
    base_lm_architecture(args)
    args.decoder_normalize_before = normalize_before
