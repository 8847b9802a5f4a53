"""``--candidates``: decoding that gives scores to a few words only (Jean et al., ACL 2015, section 3.2)."""

from argparse import ArgumentParser, Namespace
from typing import Any, Self

import torch
import torch.nn.functional as F
from fairseq.data import Dictionary
from fairseq.models.transformer.transformer_decoder import TransformerDecoderBase
from fairseq.models.transformer.transformer_encoder import TransformerEncoderBase
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.corpus.candidates import read_candidates
from fairseq_alone.errors import UserError
from fairseq_alone.modules.tied_projection import has_rows, rows_of


def add_candidates_args(parser: ArgumentParser) -> None:
    """Add ``--candidates``."""
    # fmt: off
    parser.add_argument("--candidates", metavar="FILE",
                        help="for decoding, by --model-overrides \"{'candidates': 'FILE'}\": only words that "
                             "fairseq-alone candidates found for the source may be written; others cost nothing")
    # fmt: on


def candidates_of(args: Any) -> str | None:
    """The file of ``--candidates``; a checkpoint of an older version does not have the flag."""
    return getattr(args, "candidates", None)


class CandidateLists(nn.Module):
    """The words that a batch of translations may have. Nothing of it is trained or stands in a checkpoint.

    Args:
        always: of every translation, (K,), int64.
        of_source: those that a source word brings, (V, K'), int64; -1 is none.
        num_words: of the target, V'.
    """

    always: Tensor
    of_source: Tensor

    def __init__(self, always: Tensor, of_source: Tensor, num_words: int):
        super().__init__()
        self.num_words = num_words
        self.register_buffer("always", always, persistent=False)
        # None becomes a word that every translation may have.
        self.register_buffer("of_source", torch.where(of_source < 0, always[0], of_source), persistent=False)

    @classmethod
    def read(cls, path: str, source: Dictionary, target: Dictionary) -> Self:
        """Read a file of ``fairseq-alone candidates``. The symbols of the target's dictionary may always be written."""
        frequent, likely = read_candidates(path, source.indices, target.indices)
        special = torch.arange(target.nspecial)
        return cls(torch.cat([special, torch.from_numpy(frequent)]), torch.from_numpy(likely), len(target))

    def words(self, source: Tensor) -> Tensor:
        """The words for a batch of sources: ``(B, T) -> (C,)``, sorted, no word twice."""
        chosen = torch.zeros(self.num_words, dtype=torch.bool, device=source.device)
        chosen[self.always] = True
        chosen[self.of_source[source].view(-1)] = True
        return chosen.nonzero().squeeze(1)


class SourceCarryingEncoder(TransformerEncoderBase):
    """fairseq's encoder, with the source words put into the place that it has for them beside its output."""

    def forward(self, src_tokens: Tensor, *args: Any, **kwargs: Any) -> dict[str, list]:
        """Encode as fairseq does."""
        return {**super().forward(src_tokens, *args, **kwargs), "src_tokens": [src_tokens]}


class CandidateDecoder(TransformerDecoderBase):
    """fairseq's decoder, whose scores are minus infinity for all but the candidates of the batch."""

    #: Set by the model.
    candidates: CandidateLists

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict[str, list] | None = None,
        features_only: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, dict]:
        """Scores (B, T, V) as fairseq's decoder gives them, or features; only rows of candidates are computed."""
        features, extra = super().forward(prev_output_tokens, encoder_out=encoder_out, features_only=True, **kwargs)
        if features_only:
            return features, extra
        assert encoder_out is not None  # translation has an encoder
        words = self.candidates.words(encoder_out["src_tokens"][0])
        found = F.linear(features, rows_of(self.output_projection, words))  # (B, T, C)
        scores = found.new_full((*found.shape[:2], self.candidates.num_words), -torch.inf)
        return scores.scatter_(2, words.expand_as(found), found), extra

    def train(self, mode: bool = True) -> Self:
        """Set training mode, like every module. Raises UserError: a loss needs the scores of all words."""
        if mode and hasattr(self, "candidates"):
            raise UserError("--candidates is for decoding: leave it out of the training")
        return super().train(mode)


def use_candidates_as_asked(model: Any, args: Namespace, task: FairseqTask) -> None:
    """Give the decoder of a new model the candidates that the flag asks for.

    Raises:
        UserError: the file does not fit, or the output layer has more than a vector for each word.
    """
    path = candidates_of(args)
    if not path:
        return
    if not has_rows(model.decoder.output_projection):
        raise UserError("--candidates needs an output layer that has one vector for each word and nothing else")
    model.decoder.candidates = CandidateLists.read(path, task.source_dictionary, task.target_dictionary)
