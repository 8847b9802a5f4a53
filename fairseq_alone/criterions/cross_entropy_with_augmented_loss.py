"""Cross-entropy and the augmented loss, for language models."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterion, CrossEntropyCriterionConfig

from fairseq_alone.criterions.augmented_loss_mixin import AugmentedLossFlags, AugmentedLossMixin


@dataclass
class CrossEntropyWithAugmentedLossConfig(CrossEntropyCriterionConfig, AugmentedLossFlags):
    """Flags of both losses."""


@register_criterion("cross_entropy_with_augmented_loss", dataclass=CrossEntropyWithAugmentedLossConfig)
class CrossEntropyWithAugmentedLoss(AugmentedLossMixin, CrossEntropyCriterion):
    """fairseq's ``cross_entropy`` plus the weighted augmented loss."""

    def __init__(
        self,
        task,
        sentence_avg,
        augmented_loss_weight,
        augmented_loss_temperature,
        augmented_loss_target_gradient,
    ):
        super().__init__(task, sentence_avg)
        self.set_up_augmented_loss(augmented_loss_weight, augmented_loss_temperature, augmented_loss_target_gradient)
