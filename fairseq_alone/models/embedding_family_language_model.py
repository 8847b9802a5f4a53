"""A language model over any family of embeddings: all that does not depend on the family or the network."""

from argparse import ArgumentParser, Namespace
from typing import Self

from fairseq.models import FairseqIncrementalDecoder, FairseqLanguageModel
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig
from torch import nn

from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family import DECODER_STREAM
from fairseq_alone.models.family_model import FamilyModel
from fairseq_alone.models.hydra_flags import as_namespace
from fairseq_alone.models.output_layers import build_output, check_output_layer
from fairseq_alone.models.tying import resolve_tying
from fairseq_alone.modules.embedding import Embedding


class EmbeddingFamilyLanguageModel(FamilyModel, FairseqLanguageModel):
    """fairseq's language model over embeddings of one family.

    fairseq's own models build their tables themselves, so this one takes their flags and their decoder only. With
    ``--tie-embeddings decoder`` or ``all``, or with fairseq's ``--share-decoder-input-output-embed``, one embedding
    serves the input and the output; else each has its own.

    A network sets :attr:`stock_model` and offers :meth:`embedding_sizes` and :meth:`build_decoder`; a registered model
    sets :attr:`family`.
    """

    #: fairseq's model with the same network.
    stock_model: type[FairseqLanguageModel]

    #: The flag of the output layer's size.
    output_dim_flag: str

    #: Whether fairseq's decoder makes its own output layer over its own table, if it is given none.
    stock_output_layer = False

    #: Flags that need fairseq's own table or output layer, without dashes.
    refused_flags: tuple[str, ...] = ()

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Add fairseq's flags of the network, those for tying and those of the family."""
        cls.stock_model.add_args(parser)
        cls.add_own_args(parser)

    @classmethod
    def embedding_sizes(cls, args: Namespace) -> tuple[int, int]:
        """D_e of the input embedding, and the size of the features that the output layer gets."""
        raise NotImplementedError

    @classmethod
    def build_decoder(
        cls, args: Namespace, task: FairseqTask, embed_tokens: Embedding, output_projection: nn.Module | None
    ) -> FairseqIncrementalDecoder:
        """Build fairseq's decoder from a given embedding and output layer; None leaves that layer to fairseq."""
        raise NotImplementedError

    @classmethod
    def build_model(cls, args: Namespace | DictConfig, task: FairseqTask) -> Self:
        """Build the model. Raises UserError for flags that contradict each other or need another embedding."""
        with as_namespace(cls, args) as flags:
            return cls._build_from_flags(flags, task).use_scores_as_asked(flags)

    @classmethod
    def _build_from_flags(cls, args: Namespace, task: FairseqTask) -> Self:
        resolve_tying(args, has_encoder=False)
        check_output_layer(args, cls.family)
        cls.refuse_unsupported_flags(args)
        input_dim, output_dim = cls.embedding_sizes(args)
        tied = args.share_decoder_input_output_embed
        if tied and input_dim != output_dim:
            raise UserError(
                f"{cls.output_dim_flag} {output_dim} differs from the size of the tied embedding, {input_dim}"
            )
        # A truncated dictionary calls itself equal to the whole one.
        if tied and len(task.source_dictionary) != len(task.target_dictionary):
            raise UserError("--output-dictionary-size needs untied embeddings: give --tie-embeddings none")
        embed_tokens = cls.family.build(args, task.source_dictionary, input_dim, DECODER_STREAM)
        output = build_output(
            args, cls.family, task.target_dictionary, output_dim, embed_tokens, cls.stock_output_layer
        )
        decoder = cls.build_decoder(args, task, embed_tokens, output.layer)
        output.register(decoder)
        return cls(decoder)

    @classmethod
    def refuse_unsupported_flags(cls, args: Namespace) -> None:
        """Raise UserError when a flag needs fairseq's own table or output layer."""
        for flag in cls.refused_flags:
            if getattr(args, flag, None):
                raise UserError(
                    f"--{flag.replace('_', '-')} does not work with this --arch: it changes the embedding or the "
                    "output layer of fairseq's own language models"
                )
        if getattr(args, "criterion", None) == "adaptive_loss":
            raise UserError("--criterion adaptive_loss does not work with this --arch: its output layer is not split")
