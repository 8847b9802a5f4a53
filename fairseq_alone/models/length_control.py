"""fairseq's Transformer, told how long its output shall be (Takase and Okazaki, NAACL 2019).

The lengths reach the decoder inside ``encoder_out``, as ``target_lengths``: a list with one tensor (B,), or an empty
list. They are numbers of tokens with the end symbol. Beam search reorders and shrinks them with the rest of
``encoder_out``.
"""

import contextlib
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any, Self

from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerConfig
from fairseq.models.transformer.transformer_decoder import TransformerDecoderBase
from fairseq.models.transformer.transformer_encoder import TransformerEncoderBase
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig
from torch import Tensor, nn

from fairseq_alone.errors import UserError
from fairseq_alone.models.candidate_lists import candidates_of
from fairseq_alone.models.embedding_family_transformer import EmbeddingFamilyTransformer
from fairseq_alone.models.hydra_flags import as_namespace
from fairseq_alone.modules import LengthEncoding
from fairseq_alone.modules.embedding import Embedding
from fairseq_alone.modules.length_encoding import KINDS

# The lengths of the forward pass that this thread is in; a model may decode in several threads at once. torch.compile
# traces this, but no ContextVar.
_of_this_thread = threading.local()


class LengthControlledTransformer(EmbeddingFamilyTransformer):
    """A Transformer with a length encoding (Takase and Okazaki, NAACL 2019) over embeddings of one family.

    ``--length-encoding none`` is the Transformer without.
    """

    @classmethod
    def add_own_args(cls, parser: ArgumentParser) -> None:
        """Add the flags of the model and those of the length encoding."""
        super().add_own_args(parser)
        # fmt: off
        parser.add_argument("--length-encoding", choices=("none", *KINDS),
                            help="the decoder's position encoding: ldpe (remaining length), lrpe (share of the "
                                 "length) or none (fairseq's own); ldpe and lrpe need --task headline_generation")
        parser.add_argument("--length-with-absolute", action="store_true",
                            help="add fairseq's own position encoding to the length encoding (the paper's +PE)")
        # fmt: on

    @classmethod
    def build_model(cls, args: Namespace | DictConfig, task: FairseqTask) -> Self:
        """Build the model. Raises UserError for flags or a task that do not fit the length encoding."""
        with as_namespace(cls, args) as flags:
            cls._check_length_flags(flags, task)
            return super().build_model(flags, task)

    @classmethod
    def _check_length_flags(cls, args: Namespace, task: FairseqTask) -> None:
        if args.length_encoding != "none":
            if not getattr(task, "sets_target_lengths", False):
                raise UserError(f"--length-encoding {args.length_encoding} needs --task headline_generation")
            if candidates_of(args):
                raise UserError(f"--candidates does not work with --length-encoding {args.length_encoding}")
            if args.length_with_absolute and getattr(args, "no_token_positional_embeddings", False):
                raise UserError("--length-with-absolute contradicts --no-token-positional-embeddings")
        elif args.length_with_absolute:
            raise UserError("--length-with-absolute needs --length-encoding ldpe or lrpe")

    @classmethod
    def build_encoder(cls, args: Namespace, src_dict: Dictionary, embed_tokens: Embedding) -> TransformerEncoderBase:
        """Build the encoder; with a length encoding, one that hands the lengths on."""
        if args.length_encoding == "none":
            return super().build_encoder(args, src_dict, embed_tokens)
        return LengthCarryingEncoder(TransformerConfig.from_namespace(args), src_dict, embed_tokens)

    @classmethod
    def decoder_class(cls, args: Namespace) -> type[TransformerDecoderBase]:
        """The decoder to build."""
        return super().decoder_class(args) if args.length_encoding == "none" else LengthControlledDecoder


def length_defaults(args: Namespace) -> None:
    """Fill in the length flags that were not given."""
    args.length_encoding = getattr(args, "length_encoding", "lrpe")
    args.length_with_absolute = getattr(args, "length_with_absolute", False)


class LengthCarryingEncoder(TransformerEncoderBase):
    """fairseq's encoder, with the decoder's lengths put beside its output. It makes no use of them itself."""

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor | None = None,
        *args: Any,
        target_lengths: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, list]:
        """Encode as fairseq does. ``target_lengths``: (B,), tokens with the end symbol, or None."""
        encoder_out = super().forward(src_tokens, src_lengths, *args, **kwargs)
        return {**encoder_out, "target_lengths": [] if target_lengths is None else [target_lengths]}

    def reorder_encoder_out(self, encoder_out: dict[str, list], new_order: Tensor) -> dict[str, list]:
        """Reorder the rows as fairseq does, the lengths too."""
        reordered = super().reorder_encoder_out(encoder_out, new_order)
        lengths = [lengths.index_select(0, new_order) for lengths in encoder_out["target_lengths"]]
        return {**reordered, "target_lengths": lengths}


class LengthControlledDecoder(TransformerDecoderBase):
    """fairseq's decoder with :class:`LengthPositions` for its positions.

    Without ``target_lengths``, every row is as long as it is: so it trains and scores references.
    """

    def __init__(
        self,
        cfg: TransformerConfig,
        dictionary: Dictionary,
        embed_tokens: Embedding,
        no_encoder_attn: bool = False,
        output_projection: nn.Module | None = None,
    ):
        super().__init__(cfg, dictionary, embed_tokens, no_encoder_attn, output_projection)
        self.embed_positions: LengthPositions = LengthPositions(
            LengthEncoding(cfg.length_encoding, self.embed_dim),
            self.padding_idx,
            self.embed_positions if cfg.length_with_absolute else None,
            self.max_target_positions,
        )

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict[str, list] | None,
        incremental_state: dict | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, dict]:
        """Features before the output layer, as fairseq's decoder gives them.

        Raises UserError when it decodes step by step and nobody set the lengths.
        """
        if encoder_out is not None and encoder_out["target_lengths"]:
            lengths = encoder_out["target_lengths"][0]
        elif incremental_state is None:
            lengths = prev_output_tokens.ne(self.padding_idx).sum(dim=1)  # (B, T) -> (B,)
        else:
            raise UserError("this model writes to a length: decode with --task headline_generation --desired-length N")
        with self.embed_positions.set_lengths(lengths):
            return super().extract_features(prev_output_tokens, encoder_out, incremental_state, *args, **kwargs)


class LengthPositions(nn.Module):
    """A length encoding where fairseq's decoder expects its position embedding.

    Every row has its own positions: its real tokens are counted from 0, wherever the padding is. Padding has the zero
    vector.

    Args:
        encoding: the length encoding.
        padding_idx: the padding word.
        absolute: fairseq's position embedding, added to the encoding; or None.
        max_positions: the longest target, unless ``absolute`` has a limit of its own.
    """

    def __init__(self, encoding: LengthEncoding, padding_idx: int, absolute: nn.Module | None, max_positions: int):
        super().__init__()
        self.encoding = encoding
        self.padding_idx = padding_idx
        self.absolute = absolute
        self.max_positions = max_positions if absolute is None else absolute.max_positions

    @contextlib.contextmanager
    def set_lengths(self, lengths: Tensor) -> Iterator[None]:
        """Use ``lengths``, (B,), in this block and thread: fairseq's decoder calls :meth:`forward` with tokens only."""
        before = getattr(_of_this_thread, "lengths", None)
        _of_this_thread.lengths = lengths
        try:
            yield
        finally:
            _of_this_thread.lengths = before

    def forward(self, tokens: Tensor, incremental_state: dict | None = None) -> Tensor:
        """Positions of (B, T) tokens: (B, T, D), or (B, 1, D) for the last column if there is a state."""
        real = tokens.ne(self.padding_idx)
        positions = real.cumsum(dim=1) - 1  # (B, T), 0 at the first real token
        # fairseq's own short cut for a last column takes the number of columns for every row's position.
        absolute = None if self.absolute is None else self.absolute(tokens)  # (B, T, D)
        if incremental_state is not None:
            positions, real = positions[:, -1:], real[:, -1:]
            absolute = None if absolute is None else absolute[:, -1:]
        values = self.encoding(positions, _of_this_thread.lengths) * real.unsqueeze(2)
        return values if absolute is None else values + absolute
