"""Noise-contrastive estimation (Gutmann and Hyvarinen, 2010; Mnih and Teh, 2012)."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Optional, Self

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterionConfig
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.criterions.noise_flags import FIXED_PROPOSALS, noise_distribution, require_noise_flags
from fairseq_alone.criterions.sampled_mixin import SampledCriterion, TrainingBatch
from fairseq_alone.criterions.target_words import target_counts
from fairseq_alone.errors import UserError
from fairseq_alone.modules.noise import NoiseDistribution
from fairseq_alone.modules.sampled_losses import noise_contrastive_loss


@dataclass
class NoiseContrastiveEstimationConfig(CrossEntropyCriterionConfig):
    """The noise, and what the scores are normalised by."""

    nce_num_samples: int = field(
        default=1000, metadata={"help": "k: noise words drawn for each batch, which serve all of its positions"}
    )
    nce_proposal: ChoiceEnum(FIXED_PROPOSALS) = field(  # type: ignore[valid-type]
        default="unigram", metadata={"help": "the distribution that they are drawn from"}
    )
    nce_power: float = field(default=1.0, metadata={"help": "the unigram's counts to this power, from 0 to 1"})
    nce_seed: int = field(default=1, metadata={"help": "seed of the draws"})
    nce_log_normalizer: Optional[float] = field(  # noqa: UP045 (fairseq reads the type)
        default=None,
        metadata={
            "help": "log Z of all contexts, which scores are reduced by; default: log V, so that a new model's "
            "distribution has a sum near 1"
        },
    )
    nce_learn_normalizer: bool = field(
        default=False, metadata={"help": "train log Z, one number that begins at --nce-log-normalizer"}
    )


@register_criterion("noise_contrastive_estimation", dataclass=NoiseContrastiveEstimationConfig)
class NoiseContrastiveEstimation(SampledCriterion):
    """In training, a word is told from noise words; in validation fairseq's ``cross_entropy``, normalised."""

    name = "noise_contrastive_estimation"
    means = ("log_z",)

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        criterion = super().build_criterion(cfg, task)
        require_noise_flags("nce", cfg.nce_num_samples, cfg.nce_seed, cfg.nce_power)
        start = cfg.nce_log_normalizer
        if start is not None and not math.isfinite(start):
            raise UserError(f"--nce-log-normalizer must be a finite number, got {start}")
        criterion.flags = cfg
        criterion.log_normalizer = torch.tensor([math.log(len(task.target_dictionary)) if start is None else start])
        if cfg.nce_learn_normalizer:
            # fairseq trains and saves parameters of criterions; its legacy_ddp fails on those without a dimension.
            criterion.log_normalizer = nn.Parameter(criterion.log_normalizer)
        return criterion

    def check_model(self, model: nn.Module) -> None:
        """Prepare model and noise. Raises UserError for an output layer that does not work here."""
        super().check_model(model)
        _ = self.noise

    @cached_property
    def noise(self) -> NoiseDistribution:
        """What noise is drawn from."""
        return noise_distribution(self.flags.nce_proposal, self.flags.nce_power, target_counts(self.task))

    def training_loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (N,); log Z once for each word."""
        words = self.noise.draw(self.flags.nce_num_samples, self.generator(self.flags.nce_seed, batch.sample))
        log_normalizer = self.log_normalizer.to(batch.features.device).float()
        losses = noise_contrastive_loss(
            batch.features,
            batch.targets,
            words.to(batch.features.device),
            batch.rows,
            self.noise.log_expected(batch.targets, words.num_draws),
            log_normalizer,
        )
        return losses, {"log_z": log_normalizer * len(losses)}
