"""``--arch cw``: real text scores higher than text with a wrong word (Collobert and Weston, 2008), over any family."""

from argparse import ArgumentParser, Namespace
from typing import Any, Self

import torch.nn.functional as F
from fairseq.data import Dictionary
from fairseq.models import FairseqDecoder
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.corpus.windows import Predicted, WindowKind
from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_bits import add_bits_args
from fairseq_alone.models.embedding_family import DECODER_STREAM
from fairseq_alone.models.matmul_precision import add_matmul_precision_args
from fairseq_alone.models.starting import add_starting_args
from fairseq_alone.models.word_vector_model import WordVectorModel, fill_in_missing, require_sizes
from fairseq_alone.modules.embedding import Embedding


class CWDecoder(FairseqDecoder):
    r"""One score for each window, of Collobert et al. (2011, equation 17): ``w . hardtanh(M x + b)``.

    Args:
        dictionary: the words.
        embed_tokens: the embedding, of D_e values.
        reach: c, words on each side; x has the vectors of 2c + 1 words.
        hidden_dim: values of the layer.

    At initialisation the values that HardTanh cuts have a standard deviation of about 1. Where none is cut the score is
    linear, and what the context adds to it is the same for the text and for a wrong word: nothing is learned of it.
    """

    def __init__(self, dictionary: Dictionary, embed_tokens: Embedding, reach: int, hidden_dim: int):
        super().__init__(dictionary)
        self.embed_tokens = embed_tokens
        self.reach = reach
        self.hidden = nn.Linear((2 * reach + 1) * embed_tokens.embedding_dim, hidden_dim)
        # Word vectors have about length 1.
        nn.init.normal_(self.hidden.weight, std=(2 * reach + 1) ** -0.5)
        self.score = nn.Linear(hidden_dim, 1, bias=False)

    def forward(
        self, src_tokens: Tensor, corrupted: Tensor | None = None, **unused: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Scores of windows, and of the same with other words in the middle.

        Args:
            src_tokens: (B, T + 2c).
            corrupted: (B, T, K), K other words for each place.
            unused: what fairseq gives to language models.

        Returns:
            Scores (B, T), and those with the other words, (B, T, K) or None.
        """
        length = src_tokens.size(1) - 2 * self.reach
        if length < 1:
            raise UserError("--arch cw needs --task word_vectors, which makes its windows")
        vectors = self.embed_tokens(src_tokens)
        # The layer's matrix for each place of a window: what a word adds there does not depend on the others.
        of_places = self.hidden.weight.view(self.hidden.out_features, 2 * self.reach + 1, -1).unbind(1)
        layer: Tensor = self.hidden.bias
        for place, matrix in enumerate(of_places):
            layer = layer + F.linear(vectors[:, place : place + length], matrix)  # (B, T, H)
        scores = self._score(layer)
        if corrupted is None:
            return scores, None
        # A difference, so that the gradients of a word that is put in its own place cancel to the last bit.
        exchanged = self.embed_tokens(corrupted) - vectors[:, self.reach : self.reach + length].unsqueeze(2)
        return scores, self._score(layer.unsqueeze(2) + F.linear(exchanged, of_places[self.reach]))

    def _score(self, layer: Tensor) -> Tensor:
        return self.score(F.hardtanh(layer)).squeeze(-1)

    def max_positions(self) -> int:
        """There is no limit."""
        return 10**6


class CollobertWeston(WordVectorModel):
    """Collobert and Weston's model. It has no output layer over words: ``--criterion window_ranking`` trains it."""

    window_help = "words on each side"
    default_window = 5
    default_embed_dim = 50

    @classmethod
    def kind_of_windows(cls, window: int) -> WindowKind:
        """Whole windows, in whose middle stands the word to be told from others."""
        return WindowKind(window, Predicted.CENTRE, drawn=False)

    @classmethod
    def add_own_args(cls, parser: ArgumentParser) -> None:
        """Add the flags of the layer and of the family; there is nothing to tie."""
        # fmt: off
        parser.add_argument("--cw-hidden-dim", type=int, metavar="N", help="size of the HardTanh layer; default: 100")
        # fmt: on
        add_starting_args(parser)
        add_bits_args(parser)
        add_matmul_precision_args(parser)
        cls.family.add_args(parser)

    @classmethod
    def _build_from_flags(cls, args: Namespace, task: FairseqTask) -> Self:
        cls.refuse_unsupported_flags(args)
        require_sizes(args, "cw_hidden_dim")
        if getattr(args, "criterion", "window_ranking") != "window_ranking":
            raise UserError(
                f"--arch cw needs --criterion window_ranking, not {args.criterion}: it gives no scores of words"
            )
        embed_tokens = cls.family.build(args, task.source_dictionary, args.decoder_embed_dim, DECODER_STREAM)
        model = cls(CWDecoder(task.source_dictionary, embed_tokens, args.window, args.cw_hidden_dim))
        model.prepare(args)
        return model

    @classmethod
    def architecture(cls, args: Namespace) -> None:
        """Fill in what is not given."""
        super().architecture(args)
        fill_in_missing(args, cw_hidden_dim=100)
