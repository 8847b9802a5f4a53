"""Cross-entropy and the augmented loss, for language models."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterion, CrossEntropyCriterionConfig

from fairseq_alone.criterions.augmented_loss_flags import AugmentedLossFlags
from fairseq_alone.criterions.augmented_loss_mixin import AugmentedLossMixin


@dataclass
class CrossEntropyWithAugmentedLossConfig(CrossEntropyCriterionConfig, AugmentedLossFlags):
    """Flags of both losses."""


@register_criterion("cross_entropy_with_augmented_loss", dataclass=CrossEntropyWithAugmentedLossConfig)
class CrossEntropyWithAugmentedLoss(AugmentedLossMixin, CrossEntropyCriterion):
    """fairseq's ``cross_entropy`` plus the weighted augmented loss."""
