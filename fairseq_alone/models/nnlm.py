"""``--arch nnlm``: the neural probabilistic language model (Bengio et al., 2003), over any family of embeddings."""

from argparse import ArgumentParser, Namespace
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.corpus.windows import Predicted, WindowKind
from fairseq_alone.errors import UserError
from fairseq_alone.models.word_vector_model import WordVectorDecoder, WordVectorModel, fill_in_missing, require_sizes
from fairseq_alone.modules.embedding import Embedding


class NNLMDecoder(WordVectorDecoder):
    r"""The vectors of the n - 1 words before, one after the other, through a tanh layer.

    .. math:: h = \tanh(d + H x) + W x

    Scores are products of h with the output's vectors U. The paper's direct connections are any matrix V x (n - 1) D_e;
    here they go through the output embedding, ``U W``, so that they are small and work with any family.

    Args:
        dictionary: the words.
        embed_tokens: the input embedding, of D_e values.
        output_projection: maps features (..., H) to scores (..., V).
        order: n.
        hidden_dim: H.
        direct: whether there are direct connections.
        dropout: of the features, in training.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        embed_tokens: Embedding,
        output_projection: nn.Module,
        order: int,
        hidden_dim: int,
        direct: bool,
        dropout: float,
    ):
        super().__init__(dictionary, embed_tokens, output_projection, order - 1)
        self.end = dictionary.eos()
        # An embedding that starts small enough for the output layer is too small for a tanh.
        self.embedding_scale = embed_tokens.embedding_dim**0.5
        self.hidden = nn.Linear(self.reach * embed_tokens.embedding_dim, hidden_dim)
        self.direct = nn.Linear(self.reach * embed_tokens.embedding_dim, hidden_dim, bias=False) if direct else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, prev_output_tokens: Tensor, encoder_out: None = None, **unused: Any) -> tuple[Tensor, None]:
        """Scores of each next word: (B, T) -> (B, T, V), and None, as fairseq's language models."""
        return self.output_layer(self.extract_features(prev_output_tokens)), None

    def extract_features(self, prev_output_tokens: Tensor) -> Tensor:
        """``(B, T) -> (B, T, H)``. Before the first word stand ends of sentences."""
        padded = F.pad(prev_output_tokens, (self.reach - 1, 0), value=self.end)
        vectors = self.embed_tokens(padded) * self.embedding_scale  # (B, T + n - 2, D_e)
        words = [vectors[:, first : first + prev_output_tokens.size(1)] for first in range(self.reach)]
        before = torch.cat(words, dim=2)  # (B, T, (n - 1) D_e)
        features = torch.tanh(self.hidden(before))
        if self.direct is not None:
            features = features + self.direct(before)
        return self.dropout(features)


class NNLM(WordVectorModel):
    """The neural probabilistic language model; it works with fairseq's task of language modelling, too."""

    output_dim_flag = "--nnlm-hidden-dim"
    window_help = "words before the next one, n - 1 for a model of order n"
    default_window = 4
    default_embed_dim = 100

    @classmethod
    def kind_of_windows(cls, window: int) -> WindowKind:
        """The words before each."""
        return WindowKind(window, Predicted.NEXT, drawn=False)

    @classmethod
    def add_own_args(cls, parser: ArgumentParser) -> None:
        """Add the flags of the layer, for tying and of the family."""
        super().add_own_args(parser)
        # fmt: off
        parser.add_argument("--nnlm-hidden-dim", type=int, metavar="N",
                            help="size of the tanh layer and of the output's vectors; default: --decoder-embed-dim")
        parser.add_argument("--nnlm-direct", action="store_true",
                            help="direct connections from the word vectors to the features of the output layer")
        parser.add_argument("--dropout", type=float, metavar="P",
                            help="dropout of the features of the output layer; default: 0")
        # fmt: on

    @classmethod
    def embedding_sizes(cls, args: Namespace) -> tuple[int, int]:
        """The sizes of word vectors and of features."""
        return args.decoder_embed_dim, args.nnlm_hidden_dim

    @classmethod
    def refuse_unsupported_flags(cls, args: Namespace) -> None:
        """Raise UserError for values outside their range."""
        super().refuse_unsupported_flags(args)
        require_sizes(args, "nnlm_hidden_dim")
        if not 0.0 <= args.dropout < 1.0:
            raise UserError(f"--dropout must be at least 0 and less than 1, got {args.dropout}")

    @classmethod
    def build_decoder(
        cls, args: Namespace, task: FairseqTask, embed_tokens: Embedding, output_projection: nn.Module | None
    ) -> NNLMDecoder:
        """Build the decoder."""
        assert output_projection is not None  # only fairseq's Transformer makes its own
        return NNLMDecoder(
            task.target_dictionary,
            embed_tokens,
            output_projection,
            args.window + 1,
            args.nnlm_hidden_dim,
            args.nnlm_direct,
            args.dropout,
        )

    @classmethod
    def architecture(cls, args: Namespace) -> None:
        """Fill in what is not given."""
        super().architecture(args)
        fill_in_missing(args, nnlm_hidden_dim=args.decoder_embed_dim, nnlm_direct=False, dropout=0.0)
