"""A Transformer over any family of embeddings: all that does not depend on which."""

from argparse import ArgumentParser, Namespace
from typing import Self

from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerConfig, TransformerModel
from fairseq.models.transformer.transformer_decoder import TransformerDecoderBase
from fairseq.models.transformer.transformer_encoder import TransformerEncoderBase
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig

from fairseq_alone.errors import UserError
from fairseq_alone.models.candidate_lists import (
    CandidateDecoder,
    SourceCarryingEncoder,
    add_candidates_args,
    candidates_of,
    use_candidates_as_asked,
)
from fairseq_alone.models.embedding_family import DECODER_STREAM, ENCODER_STREAM
from fairseq_alone.models.family_model import FamilyModel
from fairseq_alone.models.hydra_flags import as_namespace
from fairseq_alone.models.output_layers import build_output, check_output_layer
from fairseq_alone.models.tying import resolve_tying
from fairseq_alone.modules.embedding import Embedding


class EmbeddingFamilyTransformer(FamilyModel, TransformerModel):
    """fairseq's Transformer over embeddings of one family. Subclasses set :attr:`family`.

    Tying follows ``--tie-embeddings`` or fairseq's flags: with ``--share-all-embeddings`` one embedding serves the
    encoder, the decoder and the output; with ``--share-decoder-input-output-embed`` the last two; else each has its
    own.
    """

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Add fairseq's Transformer flags, those for tying and those of the family."""
        super().add_args(parser)
        cls.add_own_args(parser)

    @classmethod
    def add_own_args(cls, parser: ArgumentParser) -> None:
        """Add the flags of every family's model, and those for decoding of translation models."""
        super().add_own_args(parser)
        add_candidates_args(parser)

    @classmethod
    def build_model(cls, args: Namespace | DictConfig, task: FairseqTask) -> Self:
        """Build the model. Raises UserError for flags that contradict each other or need another embedding."""
        with as_namespace(cls, args) as flags:
            resolve_tying(flags)
            check_output_layer(flags, cls.family)
            cls.refuse_unsupported_flags(flags)
            if flags.share_all_embeddings and task.source_dictionary != task.target_dictionary:
                raise UserError(
                    "--share-all-embeddings needs one dictionary for both languages: "
                    "run fairseq-preprocess with --joined-dictionary"
                )
            if flags.share_all_embeddings and flags.encoder_embed_dim != flags.decoder_embed_dim:
                raise UserError(
                    f"--share-all-embeddings needs one size: --encoder-embed-dim is {flags.encoder_embed_dim}, "
                    f"--decoder-embed-dim {flags.decoder_embed_dim}"
                )
            model = super().build_model(flags, task).use_scores_as_asked(flags)
            use_candidates_as_asked(model, flags, task)
            return model

    @classmethod
    def refuse_unsupported_flags(cls, args: Namespace) -> None:
        """Raise UserError when a flag needs fairseq's own table."""
        if getattr(args, "adaptive_softmax_cutoff", None) is not None:
            raise UserError(
                "--adaptive-softmax-cutoff does not work with this --arch: it splits the table of --arch transformer"
            )
        for side in ("encoder", "decoder"):
            if getattr(args, f"{side}_embed_path", None):
                raise UserError(
                    f"--{side}-embed-path does not work with this --arch: it fills the table of --arch transformer"
                )
        for method in ("pq", "scalar"):
            if getattr(args, f"quant_noise_{method}", 0) > 0:
                raise UserError(
                    f"--quant-noise-{method} does not work with this --arch: it quantises that of --arch transformer"
                )
        if getattr(args, "base_layers", 0) > 0:
            raise UserError("--base-layers does not work with this --arch; it does with --arch transformer")

    @classmethod
    def build_embedding(
        cls, args: Namespace, dictionary: Dictionary, embed_dim: int, path: str | None = None
    ) -> Embedding:
        """Build the encoder's embedding, which is also the shared one."""
        return cls._build(args, dictionary, embed_dim, ENCODER_STREAM)

    @classmethod
    def build_encoder(cls, args: Namespace, src_dict: Dictionary, embed_tokens: Embedding) -> TransformerEncoderBase:
        """Build fairseq's encoder; with candidates, one that hands the source on."""
        if candidates_of(args):
            return SourceCarryingEncoder(TransformerConfig.from_namespace(args), src_dict, embed_tokens)
        return super().build_encoder(args, src_dict, embed_tokens)

    @classmethod
    def build_decoder(cls, args: Namespace, tgt_dict: Dictionary, embed_tokens: Embedding) -> TransformerDecoderBase:
        """Build fairseq's decoder with an output layer over the right embedding."""
        cfg = TransformerConfig.from_namespace(args)
        if not (cls.family.is_fairseqs or cfg.share_all_embeddings or cfg.merge_src_tgt_embed):
            # fairseq does not tell build_embedding which side asks, so the decoder's own embedding is made here.
            embed_tokens = cls._build(cfg, tgt_dict, cfg.decoder.embed_dim, DECODER_STREAM)
        if cfg.share_decoder_input_output_embed and cfg.decoder.output_dim != embed_tokens.embedding_dim:
            raise UserError(
                f"--decoder-output-dim {cfg.decoder.output_dim} differs from the size of the tied embedding, "
                f"{embed_tokens.embedding_dim}"
            )
        output = build_output(cfg, cls.family, tgt_dict, cfg.decoder.output_dim, embed_tokens)
        decoder = cls.decoder_class(args)(
            cfg,
            tgt_dict,
            embed_tokens,
            no_encoder_attn=cfg.no_cross_attention,
            output_projection=output.layer,
        )
        output.register(decoder)
        return decoder

    @classmethod
    def decoder_class(cls, args: Namespace) -> type[TransformerDecoderBase]:
        """The decoder to build; takes the arguments of fairseq's own."""
        return CandidateDecoder if candidates_of(args) else TransformerDecoderBase

    @classmethod
    def _build(cls, args: Namespace, dictionary: Dictionary, embed_dim: int, stream: int) -> Embedding:
        return cls.family.build(args, dictionary, embed_dim, stream)
