"""Label-smoothed cross-entropy and distillation, for sequence to sequence."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)

from fairseq_alone.criterions.distillation_flags import DistillationFlags
from fairseq_alone.criterions.distillation_mixin import DistillationMixin


@dataclass
class LabelSmoothedCrossEntropyWithDistillationConfig(LabelSmoothedCrossEntropyCriterionConfig, DistillationFlags):
    """Flags of both losses."""


@register_criterion(
    "label_smoothed_cross_entropy_with_distillation", dataclass=LabelSmoothedCrossEntropyWithDistillationConfig
)
class LabelSmoothedCrossEntropyWithDistillation(DistillationMixin, LabelSmoothedCrossEntropyCriterion):
    """fairseq's ``label_smoothed_cross_entropy`` and the weighted distillation loss."""
