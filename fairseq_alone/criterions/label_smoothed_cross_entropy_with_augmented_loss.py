"""Label-smoothed cross-entropy and the augmented loss, for sequence to sequence."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)

from fairseq_alone.criterions.augmented_loss_flags import AugmentedLossFlags
from fairseq_alone.criterions.augmented_loss_mixin import AugmentedLossMixin


@dataclass
class LabelSmoothedCrossEntropyWithAugmentedLossConfig(LabelSmoothedCrossEntropyCriterionConfig, AugmentedLossFlags):
    """Flags of both losses."""


@register_criterion(
    "label_smoothed_cross_entropy_with_augmented_loss", dataclass=LabelSmoothedCrossEntropyWithAugmentedLossConfig
)
class LabelSmoothedCrossEntropyWithAugmentedLoss(AugmentedLossMixin, LabelSmoothedCrossEntropyCriterion):
    """fairseq's ``label_smoothed_cross_entropy`` plus the weighted augmented loss."""
