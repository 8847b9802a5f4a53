"""Label-smoothed cross-entropy and self-normalisation, for sequence to sequence."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)

from fairseq_alone.criterions.self_normalization_flags import SelfNormalizationFlags
from fairseq_alone.criterions.self_normalization_mixin import SelfNormalizationMixin


@dataclass
class LabelSmoothedCrossEntropyWithSelfNormalizationConfig(
    LabelSmoothedCrossEntropyCriterionConfig, SelfNormalizationFlags
):
    """Flags of both losses."""


@register_criterion(
    "label_smoothed_cross_entropy_with_self_normalization",
    dataclass=LabelSmoothedCrossEntropyWithSelfNormalizationConfig,
)
class LabelSmoothedCrossEntropyWithSelfNormalization(SelfNormalizationMixin, LabelSmoothedCrossEntropyCriterion):
    """fairseq's ``label_smoothed_cross_entropy`` plus the weighted square of log Z."""
