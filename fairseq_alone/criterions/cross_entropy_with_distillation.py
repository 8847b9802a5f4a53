"""Cross-entropy and distillation, for language models."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterion, CrossEntropyCriterionConfig

from fairseq_alone.criterions.distillation_flags import DistillationFlags
from fairseq_alone.criterions.distillation_mixin import DistillationMixin


@dataclass
class CrossEntropyWithDistillationConfig(CrossEntropyCriterionConfig, DistillationFlags):
    """Flags of both losses."""


@register_criterion("cross_entropy_with_distillation", dataclass=CrossEntropyWithDistillationConfig)
class CrossEntropyWithDistillation(DistillationMixin, CrossEntropyCriterion):
    """fairseq's ``cross_entropy`` and the weighted distillation loss."""
