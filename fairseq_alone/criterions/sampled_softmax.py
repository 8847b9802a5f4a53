"""Importance sampling (Bengio and Senecal, 2003), for language models and translation."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterionConfig
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.criterions.noise_flags import FIXED_PROPOSALS, noise_distribution, require_noise_flags
from fairseq_alone.criterions.sampled_mixin import SampledCriterion, TrainingBatch, require_at_least
from fairseq_alone.criterions.target_words import target_counts
from fairseq_alone.modules.noise import NoiseDistribution, all_words
from fairseq_alone.modules.sampled_losses import sampled_softmax_loss


@dataclass
class SampledSoftmaxConfig(CrossEntropyCriterionConfig):
    """How many words are drawn for a batch, and from what."""

    sampled_num_samples: int = field(
        default=1000, metadata={"help": "words drawn for each batch; as many as there are words or more: all of them"}
    )
    sampled_proposal: ChoiceEnum(FIXED_PROPOSALS) = field(  # type: ignore[valid-type]
        default="unigram", metadata={"help": "the distribution that they are drawn from"}
    )
    sampled_power: float = field(default=1.0, metadata={"help": "the unigram's counts to this power, from 0 to 1"})
    sampled_seed: int = field(default=1, metadata={"help": "seed of the draws"})
    sampled_min_effective_size: float = field(
        default=0.0,
        metadata={"help": "double a batch's number of words until its mean effective sample size is this; 0: off"},
    )


@register_criterion("sampled_softmax", dataclass=SampledSoftmaxConfig)
class SampledSoftmax(SampledCriterion):
    """The softmax's cross-entropy, in training with a denominator that is estimated from words drawn for the batch."""

    name = "sampled_softmax"
    means = ("ess", "samples")

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        criterion = super().build_criterion(cfg, task)
        require_noise_flags("sampled", cfg.sampled_num_samples, cfg.sampled_seed, cfg.sampled_power)
        require_at_least("sampled-min-effective-size", cfg.sampled_min_effective_size, 0)
        criterion.flags = cfg
        return criterion

    def check_model(self, model: nn.Module) -> None:
        """Prepare model and noise. Raises UserError for an output layer that does not work here."""
        super().check_model(model)
        _ = self.unigram

    @cached_property
    def unigram(self) -> NoiseDistribution:
        """The proposal that is the same for all batches."""
        return noise_distribution(self.flags.sampled_proposal, self.flags.sampled_power, target_counts(self.task))

    def training_loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The sampled loss (N,); the sum of effective sample sizes and of numbers of words drawn."""
        proposal = self.unigram
        generator = self.generator(self.flags.sampled_seed, batch.sample)
        num_words, num_draws = batch.rows.num_embeddings, self.flags.sampled_num_samples
        while True:
            exact = num_draws >= num_words
            noise = all_words(num_words) if exact else proposal.draw(num_draws, generator)
            losses, effective = sampled_softmax_loss(
                batch.features, batch.targets, noise.to(batch.features.device), batch.rows
            )
            if exact:
                effective = torch.full_like(effective, num_words)
            if exact or self._is_enough(effective):
                return losses, {"ess": effective.sum(), "samples": torch.full_like(effective, noise.num_draws).sum()}
            num_draws *= 2

    def _is_enough(self, effective: Tensor) -> bool:
        least = self.flags.sampled_min_effective_size
        return least == 0 or bool(effective.mean() >= least)
