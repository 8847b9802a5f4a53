"""Text is told from text with a wrong word (Collobert and Weston, 2008), for ``--arch cw``."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.corpus.windows import Predicted
from fairseq_alone.criterions.batch_generator import batch_generator
from fairseq_alone.criterions.noise_flags import require_noise_flags
from fairseq_alone.criterions.sampled_mixin import require_at_least
from fairseq_alone.errors import UserError
from fairseq_alone.modules.noise import NoiseDistribution, unigram_weights
from fairseq_alone.modules.window_losses import ranking_loss


@dataclass
class WindowRankingConfig(FairseqDataclass):
    """The margin, and the wrong words."""

    ranking_num_samples: int = field(
        default=1, metadata={"help": "wrong words for each window; 1 in the paper, more learn more of an epoch"}
    )
    ranking_margin: float = field(default=1.0, metadata={"help": "by how much text is to score higher; 1 in the paper"})
    ranking_power: float = field(
        default=0.0,
        metadata={
            "help": "wrong words are drawn by how often windows have them in the middle, to this power: with 1 how "
            "frequent a word is gives nothing away; 0, all alike, in the paper"
        },
    )
    ranking_seed: int = field(default=1, metadata={"help": "seed of the draws"})


@register_criterion("window_ranking", dataclass=WindowRankingConfig)
class WindowRanking(FairseqCriterion):
    """Hinge loss of each window against the same with another word in the middle; not in base 2.

    It is the mean over ``--ranking-num-samples`` other words, which each window draws for itself. In validation the
    wrong words are the same each time.
    """

    num_updates = 0

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        require_at_least("ranking-margin", cfg.ranking_margin, 0)
        require_noise_flags("ranking", cfg.ranking_num_samples, cfg.ranking_seed, cfg.ranking_power)
        criterion = cls(task)
        criterion.flags = cfg
        return criterion

    def check_model(self, model: nn.Module) -> None:
        """Raise UserError for a model that gives no score of a window."""
        windows: Any = getattr(model, "windows", None)
        if windows is None or windows.drawn or windows.predicted is not Predicted.CENTRE:
            raise UserError("--criterion window_ranking needs --arch cw, or cw with the name of a family behind it")

    def set_num_updates(self, num_updates: int) -> None:
        """Tell how many updates were made; the trainer calls this after each, and when it resumes."""
        self.num_updates = num_updates

    @cached_property
    def wrong_words(self) -> NoiseDistribution:
        """What they are drawn from: words, and no other symbols."""
        weights = unigram_weights(self.task.window_counts(), self.flags.ranking_power)
        weights[: self.task.source_dictionary.nspecial] = 0.0
        return NoiseDistribution(weights)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss, the sample size and the numbers to log; see fairseq's criterions."""
        targets = sample["target"]
        update = self.num_updates if self.training else 0
        generator = batch_generator(self.flags.ranking_seed, update, sample)
        shape = (*targets.shape, self.flags.ranking_num_samples)
        wrong = self.wrong_words.independent(math.prod(shape), generator).view(shape).to(targets.device)
        scores, corrupted = model(**sample["net_input"], corrupted=wrong)
        counted = targets.ne(self.padding_idx)
        scores = scores.unsqueeze(2)
        values = ranking_loss(scores.float(), corrupted.float(), self.flags.ranking_margin).mean(2)
        loss = values[counted].sum() if reduce else values.masked_fill(~counted, 0.0).view(-1)
        told = (scores > corrupted).float().mean(2)[counted].sum()
        log = {
            "loss": loss.data,
            "told_apart": told.data,
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "sample_size": sample["ntokens"],
        }
        return loss, sample["ntokens"], log

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log the mean loss, and the share of windows whose text scores higher."""
        size = sum(log.get("sample_size", 0) for log in logging_outputs)
        for name in ("loss", "told_apart"):
            total = sum(log.get(name, 0) for log in logging_outputs)
            metrics.log_scalar(name, total / max(size, 1), size, round=3)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Sums over workers are enough."""
        return True
