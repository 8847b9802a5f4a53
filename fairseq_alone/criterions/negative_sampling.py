"""Negative sampling (Mikolov et al., 2013): for word vectors, not for probabilities."""

import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterionConfig
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.criterions.batch_generator import batch_generator
from fairseq_alone.criterions.noise_flags import noise_distribution, require_noise_flags
from fairseq_alone.criterions.sampled_mixin import SampledCriterion, TrainingBatch, require_at_least
from fairseq_alone.criterions.target_words import target_counts
from fairseq_alone.criterions.window_negative_sampling import window_kind, window_negative_sampling
from fairseq_alone.modules.noise import NoiseDistribution, unigram_weights
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
    negative_row_samples: int = field(
        default=64,
        metadata={
            "help": "for --arch cbow and skip_gram, in place of --negative-shared-samples: words drawn for each row of "
            "--tokens-per-sample words"
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
        require_at_least("negative-row-samples", cfg.negative_row_samples, 1)
        criterion.flags = cfg
        return criterion

    def check_model(self, model: nn.Module) -> None:
        """Prepare model and noise. Raises UserError for an output layer that does not work here."""
        super().check_model(model)
        if window_kind(model) is None:
            logger.warning(
                "--criterion negative_sampling learns word vectors and no language model: its scores are no logarithms "
                "of probabilities, and the perplexity in validation is no measure of them"
            )
        _ = self.noise

    @cached_property
    def noise(self) -> NoiseDistribution:
        """What negative words are drawn from."""
        return noise_distribution("unigram", self.flags.negative_power, target_counts(self.task))

    @cached_property
    def words(self) -> NoiseDistribution:
        """The same without symbols that are no words, and words that the text does not have."""
        counts = target_counts(self.task)
        counts[: self.task.target_dictionary.nspecial] = 0
        weights = unigram_weights(counts, self.flags.negative_power)
        return NoiseDistribution(np.where(counts > 0, weights, 0.0))

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss, the sample size and the numbers to log; see fairseq's criterions.

        Of skip-gram and CBOW, validation has this loss, too, with the same noise each time.
        """
        kind = window_kind(model)
        if kind is None:
            return super().forward(model, sample, reduce=reduce)
        flags, inputs = self.flags, sample["net_input"]["src_tokens"]
        generator = batch_generator(flags.negative_seed, self.num_updates if self.training else 0, sample)
        noise = self.words.draw_rows(len(inputs), flags.negative_row_samples, generator).to(inputs.device)
        loss = window_negative_sampling(model, kind, sample, noise, flags.negative_num_samples)
        log = {
            "loss": loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "sample_size": sample["ntokens"],
            # Also in validation, where it is no cross-entropy either.
            "trained_ntokens": sample["ntokens"],
        }
        return loss, sample["ntokens"], log

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
