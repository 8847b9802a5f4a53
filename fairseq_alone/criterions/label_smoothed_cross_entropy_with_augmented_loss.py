"""Label-smoothed cross-entropy and the augmented loss, for sequence to sequence."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)

from fairseq_alone.criterions.augmented_loss_mixin import AugmentedLossFlags, AugmentedLossMixin


@dataclass
class LabelSmoothedCrossEntropyWithAugmentedLossConfig(LabelSmoothedCrossEntropyCriterionConfig, AugmentedLossFlags):
    """Flags of both losses."""


@register_criterion(
    "label_smoothed_cross_entropy_with_augmented_loss", dataclass=LabelSmoothedCrossEntropyWithAugmentedLossConfig
)
class LabelSmoothedCrossEntropyWithAugmentedLoss(AugmentedLossMixin, LabelSmoothedCrossEntropyCriterion):
    """fairseq's ``label_smoothed_cross_entropy`` plus the weighted augmented loss."""

    def __init__(
        self,
        task,
        sentence_avg,
        label_smoothing,
        augmented_loss_weight,
        augmented_loss_temperature,
        augmented_loss_target_gradient,
        ignore_prefix_size=0,
        report_accuracy=False,
    ):
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        self.set_up_augmented_loss(augmented_loss_weight, augmented_loss_temperature, augmented_loss_target_gradient)
