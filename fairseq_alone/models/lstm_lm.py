"""``--arch lstm_lm_alone`` and so on: fairseq's LSTM language model over any family of embeddings."""

from argparse import ArgumentParser, Namespace

from fairseq.models.lstm_lm import LSTMLanguageModel
from fairseq.models.lstm_lm import base_architecture as fairseq_base_architecture
from fairseq.tasks import FairseqTask
from torch import nn

from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family_language_model import EmbeddingFamilyLanguageModel
from fairseq_alone.models.lstm_decoder import LSTMLanguageModelDecoder, VariationalLSTMDecoder
from fairseq_alone.modules.embedding import Embedding


class EmbeddingFamilyLSTMLM(EmbeddingFamilyLanguageModel):
    """fairseq's LSTM decoder as a language model, with ordinary or variational dropout."""

    stock_model = LSTMLanguageModel
    output_dim_flag = "--decoder-out-embed-dim"
    refused_flags = ("adaptive_softmax_cutoff", "decoder_embed_path")

    @classmethod
    def add_own_args(cls, parser: ArgumentParser) -> None:
        """Add the flags for tying, the family's, and those of the decoder."""
        super().add_own_args(parser)
        # fmt: off
        parser.add_argument("--no-scale-embedding", action="store_true",
                            help="do not multiply the word vectors by the square root of their size; fairseq's "
                                 "Transformer multiplies, its own LSTM does not")
        parser.add_argument("--variational-dropout", action="store_true",
                            help="the dropouts of the LSTM keep one mask a sequence for all time steps "
                                 "(Gal and Ghahramani, 2016)")
        parser.add_argument("--variational-recurrent-dropout", type=float, metavar="P",
                            help="with --variational-dropout: dropout of the hidden state between time steps; default: "
                                 "0")
        # fmt: on

    @classmethod
    def embedding_sizes(cls, args: Namespace) -> tuple[int, int]:
        """The sizes that the decoder's flags give."""
        return args.decoder_embed_dim, args.decoder_out_embed_dim

    @classmethod
    def refuse_unsupported_flags(cls, args: Namespace) -> None:
        """Raise UserError for flags that need fairseq's own table, and for dropout outside its range."""
        super().refuse_unsupported_flags(args)
        for flag in ("decoder_dropout_in", "decoder_dropout_out", "variational_recurrent_dropout"):
            probability = getattr(args, flag)
            if not 0.0 <= probability < 1.0:
                name = flag.replace("_", "-")
                raise UserError(f"--{name} must be at least 0 and less than 1, got {probability}")
        if args.variational_recurrent_dropout > 0 and not args.variational_dropout:
            raise UserError("--variational-recurrent-dropout needs --variational-dropout")

    @classmethod
    def build_decoder(
        cls, args: Namespace, task: FairseqTask, embed_tokens: Embedding, output_projection: nn.Module | None
    ) -> LSTMLanguageModelDecoder:
        """Build the decoder with the kind of dropout that is asked for."""
        assert output_projection is not None  # only fairseq's Transformer makes its own
        settings = {
            "hidden_size": args.decoder_hidden_size,
            "out_embed_dim": args.decoder_out_embed_dim,
            "num_layers": args.decoder_layers,
            "dropout_in": args.decoder_dropout_in,
            "dropout_out": args.decoder_dropout_out,
            "residuals": args.residuals,
            "scale_embedding": not args.no_scale_embedding,
        }
        if getattr(args, "max_target_positions", None) is not None:
            settings["max_target_positions"] = args.max_target_positions
        if not args.variational_dropout:
            return LSTMLanguageModelDecoder(task.target_dictionary, embed_tokens, output_projection, **settings)
        return VariationalLSTMDecoder(
            task.target_dictionary,
            embed_tokens,
            output_projection,
            recurrent_dropout=args.variational_recurrent_dropout,
            **settings,
        )


def lstm_architecture(args: Namespace) -> None:
    """fairseq's shape, but the output layer is as wide as the embedding, so that the two can be tied."""
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", 512)
    args.decoder_out_embed_dim = getattr(args, "decoder_out_embed_dim", args.decoder_embed_dim)
    # fairseq's default is a list of cutoffs that counts with adaptive_loss only.
    args.adaptive_softmax_cutoff = getattr(args, "adaptive_softmax_cutoff", None)
    fairseq_base_architecture(args)
    args.no_scale_embedding = getattr(args, "no_scale_embedding", False)
    args.variational_dropout = getattr(args, "variational_dropout", False)
    args.variational_recurrent_dropout = getattr(args, "variational_recurrent_dropout", 0.0)
