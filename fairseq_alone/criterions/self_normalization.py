"""Cross-entropy and self-normalisation, for language models."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterion, CrossEntropyCriterionConfig

from fairseq_alone.criterions.self_normalization_flags import SelfNormalizationFlags
from fairseq_alone.criterions.self_normalization_mixin import SelfNormalizationMixin


@dataclass
class SelfNormalizationConfig(CrossEntropyCriterionConfig, SelfNormalizationFlags):
    """Flags of both losses."""


@register_criterion("self_normalization", dataclass=SelfNormalizationConfig)
class SelfNormalization(SelfNormalizationMixin, CrossEntropyCriterion):
    """fairseq's ``cross_entropy`` plus the weighted square of log Z."""
