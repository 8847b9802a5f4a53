"""Importance sampling, adaptive or not (Bengio and Senecal, 2003 and 2008), for language models and translation."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterionConfig
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.corpus.bigrams import count_bigrams
from fairseq_alone.criterions.noise_flags import FIXED_PROPOSALS, noise_distribution, require_noise_flags
from fairseq_alone.criterions.sampled_mixin import SampledCriterion, TrainingBatch, require_at_least
from fairseq_alone.criterions.target_words import target_counts, target_words
from fairseq_alone.modules.mixture_proposal import NUM_BINS, MixtureProposal
from fairseq_alone.modules.noise import NoiseDistribution, NoiseWords, all_words, unigram_weights
from fairseq_alone.modules.sampled_losses import effective_sample_size, sampled_softmax_loss

SAMPLED_PROPOSALS = [*FIXED_PROPOSALS, "adaptive"]


@dataclass
class SampledSoftmaxConfig(CrossEntropyCriterionConfig):
    """How many words are drawn for a batch, and from what."""

    sampled_num_samples: int = field(
        default=1000, metadata={"help": "words drawn for each batch; as many as there are words or more: all of them"}
    )
    sampled_proposal: ChoiceEnum(SAMPLED_PROPOSALS) = field(  # type: ignore[valid-type]
        default="unigram",
        metadata={
            "help": "the distribution that they are drawn from; adaptive: bigrams and unigrams, mixed by training"
        },
    )
    sampled_max_bigrams: int = field(
        default=10_000_000,
        metadata={"help": "with --sampled-proposal adaptive: keep so many pairs of words, the most frequent ones"},
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
    means = ("ess", "samples", "bigram_weight")

    mixture: nn.Parameter | None

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        criterion = super().build_criterion(cfg, task)
        require_noise_flags("sampled", cfg.sampled_num_samples, cfg.sampled_seed, cfg.sampled_power)
        require_at_least("sampled-min-effective-size", cfg.sampled_min_effective_size, 0)
        require_at_least("sampled-max-bigrams", cfg.sampled_max_bigrams, 1)
        criterion.flags = cfg
        # A parameter: fairseq trains, averages over workers and saves it.
        mixture = nn.Parameter(torch.zeros(NUM_BINS)) if cfg.sampled_proposal == "adaptive" else None
        criterion.register_parameter("mixture", mixture)
        return criterion

    def check_model(self, model: nn.Module) -> None:
        """Prepare model and noise. Raises UserError for an output layer or a task that does not work here."""
        super().check_model(model)
        _ = self.adaptive if self.mixture is not None else self.fixed

    @cached_property
    def fixed(self) -> NoiseDistribution:
        """The proposal that is the same for all batches."""
        return noise_distribution(self.flags.sampled_proposal, self.flags.sampled_power, target_counts(self.task))

    @cached_property
    def adaptive(self) -> MixtureProposal:
        """What proposals for batches are made of."""
        words, size = target_words(self.task), len(self.task.target_dictionary)
        pairs = count_bigrams(words, size, self.flags.sampled_max_bigrams)
        unigram = unigram_weights(target_counts(self.task), self.flags.sampled_power)
        return MixtureProposal(pairs.starts, pairs.words, pairs.counts, unigram)

    def training_loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The sampled loss (N,); sums of effective sample sizes, of numbers of words drawn and of bigram weights."""
        if self.mixture is None:
            return self._loss(batch, self.fixed)[:2]
        words = self.task.target_dictionary
        # The input may have words that are not predicted.
        contexts = batch.contexts.masked_fill(batch.contexts >= len(words), words.unk())
        weights = self.adaptive.weights(self.mixture, contexts)
        losses, sums, noise, log_model = self._loss(batch, self.adaptive.of_batch(contexts, weights))
        # With all words nothing is drawn; workers still expect a gradient.
        distance = 0 * weights
        if noise.num_draws < batch.rows.num_embeddings:
            distance = self.adaptive.cross_entropy(contexts, weights, noise, log_model)
        # Its gradient trains the mixture and nothing else; its value is no part of the loss.
        return losses + (distance - distance.detach()), {**sums, "bigram_weight": weights.sum()}

    def _loss(
        self, batch: TrainingBatch, proposal: NoiseDistribution
    ) -> tuple[Tensor, dict[str, Tensor], NoiseWords, Tensor]:
        """The loss, sums to log, the noise words, and log p of these."""
        generator = self.generator(self.flags.sampled_seed, batch.sample)
        num_words, num_draws = batch.rows.num_embeddings, self.flags.sampled_num_samples
        while True:
            exact = num_draws >= num_words
            drawn = all_words(num_words) if exact else proposal.draw(num_draws, generator)
            noise = drawn.to(batch.features.device)
            losses, log_model = sampled_softmax_loss(batch.features, batch.targets, noise, batch.rows)
            effective = effective_sample_size(log_model, noise)
            if exact:
                effective = torch.full_like(effective, num_words)
            if exact or self._is_enough(effective):
                sums = {"ess": effective.sum(), "samples": torch.full_like(effective, noise.num_draws).sum()}
                return losses, sums, noise, log_model
            num_draws *= 2

    def _is_enough(self, effective: Tensor) -> bool:
        least = self.flags.sampled_min_effective_size
        return least == 0 or bool(effective.mean() >= least)
