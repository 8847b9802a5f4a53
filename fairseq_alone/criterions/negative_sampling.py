"""Negative sampling (Mikolov et al., 2013): for word vectors, not for probabilities."""

import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterionConfig
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.criterions.noise_flags import noise_distribution, require_noise_flags
from fairseq_alone.criterions.sampled_mixin import SampledCriterion, TrainingBatch, require_at_least
from fairseq_alone.criterions.target_words import target_counts
from fairseq_alone.modules.noise import NoiseDistribution
from fairseq_alone.modules.sampled_losses import negative_sampling_loss

logger = logging.getLogger(__name__)


@dataclass
class NegativeSamplingConfig(CrossEntropyCriterionConfig):
    """The noise."""

    negative_num_samples: int = field(
        default=5, metadata={"help": "negative words that count against each word; 5 to 20 in the paper"}
    )
    negative_shared_samples: int = field(
        default=1000,
        metadata={
            "help": "words drawn for each batch, which all of its positions share; their weight makes them as many as "
            "--negative-num-samples"
        },
    )
    negative_power: float = field(default=0.75, metadata={"help": "words are drawn by their counts to this power"})
    negative_seed: int = field(default=1, metadata={"help": "seed of the draws"})


@register_criterion("negative_sampling", dataclass=NegativeSamplingConfig)
class NegativeSampling(SampledCriterion):
    """In training, a word is told from noise without regard to how likely that is; in validation ``cross_entropy``."""

    name = "negative_sampling"

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        criterion = super().build_criterion(cfg, task)
        require_noise_flags("negative", cfg.negative_num_samples, cfg.negative_seed, cfg.negative_power)
        require_at_least("negative-shared-samples", cfg.negative_shared_samples, 1)
        criterion.flags = cfg
        return criterion

    def check_model(self, model: nn.Module) -> None:
        """Prepare model and noise. Raises UserError for an output layer that does not work here."""
        super().check_model(model)
        logger.warning(
            "--criterion negative_sampling learns word vectors and no language model: its scores are no logarithms of "
            "probabilities, and the perplexity in validation is no measure of them"
        )
        _ = self.noise

    @cached_property
    def noise(self) -> NoiseDistribution:
        """What negative words are drawn from."""
        return noise_distribution("unigram", self.flags.negative_power, target_counts(self.task))

    def training_loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (N,)."""
        flags = self.flags
        words = self.noise.draw(flags.negative_shared_samples, self.generator(flags.negative_seed, batch.sample))
        losses = negative_sampling_loss(
            batch.features,
            batch.targets,
            words.to(batch.features.device),
            batch.rows,
            flags.negative_num_samples,
        )
        return losses, {}
