"""``--unnormalized-scores``: decoding without the softmax's denominator, for models that were trained to have none."""

import logging
from argparse import ArgumentParser, Namespace
from typing import Optional, Self

from fairseq.models import BaseFairseqModel
from torch import Tensor

from fairseq_alone.errors import UserError

logger = logging.getLogger(__name__)

#: The criterions that draw log Z to zero.
SELF_NORMALIZED = ("self_normalization", "label_smoothed_cross_entropy_with_self_normalization")


class UnnormalizedScores(BaseFairseqModel):
    """Mixin, before a fairseq model: what a decoder takes for log-probabilities may be the scores as they are.

    That saves the pass over the vocabulary that normalises them. They are near log-probabilities only where log Z is
    near zero.
    """

    unnormalized_scores: bool = False

    # TorchScript knows attributes of the instance only, and those of the class that stand here.
    __constants__ = ("unnormalized_scores",)

    @classmethod
    def add_unnormalized_args(cls, parser: ArgumentParser) -> None:
        """Add ``--unnormalized-scores``."""
        # fmt: off
        parser.add_argument("--unnormalized-scores", action="store_true",
                            help="for decoding, by --model-overrides \"{'unnormalized_scores': True}\": take scores "
                                 "for log-probabilities as they are, of a model trained with self-normalisation")
        # fmt: on

    def use_scores_as_asked(self, args: Namespace) -> Self:
        """Do what the flag says; a warning is logged where the checkpoint says that it was trained otherwise."""
        # A checkpoint of an older version does not have the flag.
        if getattr(args, "unnormalized_scores", False):
            self.use_unnormalized_scores(getattr(args, "criterion", None))
        return self

    def use_unnormalized_scores(self, criterion: str | None) -> None:
        """Decode with scores as they are.

        Args:
            criterion: that of the training; None where it is not known.
        """
        if criterion is not None and criterion not in SELF_NORMALIZED:
            logger.warning(
                f"--unnormalized-scores: the model was trained with --criterion {criterion}, not with "
                "self-normalisation, so log Z may be far from zero; fairseq-alone log-z tells"
            )
        self.unnormalized_scores = True

    def train(self, mode: bool = True) -> Self:
        """Set training mode, like every module. Raises UserError where the flag is on: a loss needs probabilities."""
        if mode and self.unnormalized_scores:
            raise UserError("--unnormalized-scores is for decoding: leave it out of the training")
        return super().train(mode)

    # TorchScript compiles this, and does not know every way to write a type.
    def get_normalized_probs(
        self,
        net_output: tuple[Tensor, Optional[dict[str, list[Optional[Tensor]]]]],  # noqa: UP045
        log_probs: bool,
        sample: Optional[dict[str, Tensor]] = None,  # noqa: UP045
    ) -> Tensor:
        """(Log-)probabilities of the decoder's output, or what the flag takes for them."""
        if self.unnormalized_scores:
            scores = net_output[0].float()
            return scores if log_probs else scores.exp()
        return self.get_normalized_probs_scriptable(net_output, log_probs, sample)
