"""What the models share that are trained for their word vectors, over any family of embeddings."""

from argparse import ArgumentParser, Namespace
from typing import Any, ClassVar, Self

import torch
from fairseq.data import Dictionary
from fairseq.models import FairseqDecoder
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.corpus.windows import WindowKind
from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family_language_model import EmbeddingFamilyLanguageModel
from fairseq_alone.modules import TableEmbedding, TiedProjection
from fairseq_alone.modules.embedding import Embedding
from fairseq_alone.optim.adam_rows import BY_ROWS

#: fairseq's limit on the length of a text is none of these models'.
_ANY_LENGTH = 10**6


class WordVectorDecoder(FairseqDecoder):
    """Features of words in their windows, and an output layer over them.

    Args:
        dictionary: the words.
        embed_tokens: the input embedding.
        output_projection: maps features (..., D) to scores (..., V).
        reach: c, words on each side of a window, or before the next word.
    """

    def __init__(self, dictionary: Dictionary, embed_tokens: Embedding, output_projection: nn.Module, reach: int):
        super().__init__(dictionary)
        self.embed_tokens = embed_tokens
        self.output_projection = output_projection
        self.reach = reach

    def output_layer(self, features: Tensor) -> Tensor:
        """``(..., D) -> (..., V)``."""
        return self.output_projection(features)

    def max_positions(self) -> int:
        """There is no limit."""
        return _ANY_LENGTH


class WordVectorModel(EmbeddingFamilyLanguageModel):
    """A model of words and their windows, for ``--task word_vectors``.

    A network sets :attr:`decoder_class`, :attr:`window_help`, :attr:`default_window` and offers
    :meth:`kind_of_windows`; one whose decoder takes more than the window overrides :meth:`build_decoder`.
    """

    output_dim_flag = "--decoder-embed-dim"

    #: Made of the words, the input embedding, the output layer and ``--window``.
    decoder_class: ClassVar[type[WordVectorDecoder]]

    #: What ``--window`` is for this network.
    window_help: ClassVar[str]

    #: ``--window`` without the flag.
    default_window: ClassVar[int]

    #: ``--decoder-embed-dim`` without the flag.
    default_embed_dim: ClassVar[int] = 200

    #: The windows that the model is trained with; of the instance.
    windows: WindowKind

    @classmethod
    def kind_of_windows(cls, window: int) -> WindowKind:
        """The windows for ``--window``."""
        raise NotImplementedError

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Add the size, the window, the flags for tying and those of the family."""
        # fmt: off
        parser.add_argument("--decoder-embed-dim", type=int, metavar="N",
                            help="size of the word vectors; default: " + str(cls.default_embed_dim))
        parser.add_argument("--window", type=int, metavar="N",
                            help=f"{cls.window_help}; default: {cls.default_window}")
        # fmt: on
        cls.add_own_args(parser)

    @classmethod
    def embedding_sizes(cls, args: Namespace) -> tuple[int, int]:
        """One size for input and output."""
        return args.decoder_embed_dim, args.decoder_embed_dim

    @classmethod
    def build_decoder(
        cls, args: Namespace, task: FairseqTask, embed_tokens: Embedding, output_projection: nn.Module | None
    ) -> WordVectorDecoder:
        """Build the decoder."""
        assert output_projection is not None  # only fairseq's Transformer makes its own
        return cls.decoder_class(task.target_dictionary, embed_tokens, output_projection, args.window)

    @classmethod
    def refuse_unsupported_flags(cls, args: Namespace) -> None:
        """Raise UserError for a window or a size below 1."""
        super().refuse_unsupported_flags(args)
        require_sizes(args, "window", "decoder_embed_dim")

    @classmethod
    def _build_from_flags(cls, args: Namespace, task: FairseqTask) -> Self:
        model = super()._build_from_flags(args, task)
        model.prepare(args)
        return model

    def prepare(self, args: Namespace) -> None:
        """Note the windows, and make gradients sparse where the optimizer goes by rows."""
        self.windows = self.kind_of_windows(args.window)
        # Elsewhere than in fairseq-train no optimizer is known; a dense gradient is right for each. fairseq's half
        # precision copies gradients as dense ones.
        half = getattr(args, "fp16", False)
        if half and getattr(args, "rows_rule", None) == "sgd":
            raise UserError("--rows-rule sgd does not work with --fp16, where no optimizer goes by rows")
        by_rows = getattr(args, "optimizer", None) == "adam_rows" and not half
        for module in self.modules():
            if isinstance(module, TableEmbedding):
                module.weight.param_group = BY_ROWS  # type: ignore[attr-defined]
                module.sparse = by_rows
        if self.windows.drawn:
            start_as_word2vec(self.decoder)

    @classmethod
    def architecture(cls, args: Namespace) -> None:
        """Fill in what is not given."""
        fill_in_missing(args, decoder_embed_dim=cls.default_embed_dim, window=cls.default_window)
        args.share_decoder_input_output_embed = getattr(args, "share_decoder_input_output_embed", False)


@torch.no_grad()
def start_as_word2vec(decoder: Any) -> None:
    """Give tables the start of word2vec: input values uniform within 0.5 / D of zero, and an output of zeros.

    A rare word then keeps next to nothing of where it began. Computed embeddings have a start of their own.
    """
    table, output = decoder.embed_tokens, getattr(decoder, "output_embedding", None)
    if isinstance(table, TableEmbedding):
        nn.init.uniform_(table.weight, -0.5 / table.embedding_dim, 0.5 / table.embedding_dim)
        if table.padding_idx is not None:
            nn.init.zeros_(table.weight[table.padding_idx])
    if isinstance(output, TableEmbedding) and isinstance(decoder.output_projection, TiedProjection):
        nn.init.zeros_(output.weight)


def require_windows(arch: str, windows: Any) -> None:
    """Raise UserError where a batch has none: it is another task's."""
    if windows is None:
        raise UserError(f"--arch {arch} needs --task word_vectors, which makes its windows")


def fill_in_missing(args: Namespace, **defaults: Any) -> None:
    """Give flags that were not given their defaults."""
    for name, default in defaults.items():
        if getattr(args, name, None) is None:
            setattr(args, name, default)


def require_sizes(args: Namespace, *names: str) -> None:
    """Raise UserError, which names the flag, for a size below 1."""
    for name in names:
        if getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(args, name)}")
