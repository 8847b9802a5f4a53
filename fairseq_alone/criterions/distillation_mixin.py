"""What the criterions with distillation share: the teacher, the loss and logging."""

from typing import Any, Self

from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.criterions.distillation_flags import DistillationFlags
from fairseq_alone.criterions.distillation_teacher import DistillationTeacher
from fairseq_alone.criterions.features import output_is_split
from fairseq_alone.criterions.loss_parts import LossParts, log_part
from fairseq_alone.errors import UserError
from fairseq_alone.modules.distillation import distillation_loss


class DistillationMixin(LossParts):
    """Makes ``(1 - w) * cross-entropy + w * T^2 * KL(teacher || model)`` of a cross-entropy criterion.

    In validation there is no teacher, and with weight zero neither: the criterion is the one it extends. So the best
    checkpoint is the best without a teacher, and a trained model needs the teacher's file no more.
    """

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        criterion = super().build_criterion(cfg, task)
        criterion.set_up_distillation(cfg, task)
        return criterion

    def set_up_distillation(self, flags: DistillationFlags, task: FairseqTask) -> None:
        """Check and keep the flags of :class:`~fairseq_alone.criterions.distillation_flags.DistillationFlags`."""
        weight, temperature = flags.distillation_weight, flags.distillation_temperature
        if not 0.0 <= weight <= 1.0:
            raise UserError(f"--distillation-weight must be from 0 to 1, got {weight}")
        if not 0.0 < temperature < float("inf"):
            raise UserError(f"--distillation-temperature must be a positive number, got {temperature}")
        if weight > 0 and not flags.distillation_teacher:
            raise UserError("--distillation-teacher CHECKPOINT is missing: the model to learn from")
        self.distillation_weight, self.distillation_temperature = weight, temperature
        self.teacher = DistillationTeacher(flags.distillation_teacher or "", task) if weight > 0 else None

    def check_model(self, model: nn.Module) -> None:
        """Read the teacher, and raise UserError where that or this model does not work; called before the training."""
        if output_is_split(model):
            raise UserError(
                "--adaptive-softmax-cutoff does not work with distillation, which needs the logits of all words"
            )
        if self.teacher is not None:
            self.teacher.read()

    def compute_loss(
        self, model: Any, net_output: tuple, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The whole loss, and the cross-entropy in it; the parts are kept for the log."""
        loss, nll_loss = super().compute_loss(model, net_output, sample, reduce=reduce)
        self._parts = {"nll_loss": nll_loss.data}
        if self.teacher is not None and self.training:
            distilled = self.compute_distillation_loss(model, net_output, sample, reduce=reduce)
            weight = self.distillation_weight
            loss = (1.0 - weight) * loss + weight * distilled.view_as(loss)
            self._parts["distillation_loss"] = distilled.data
        return loss, nll_loss

    def compute_distillation_loss(
        self, model: Any, net_output: tuple, sample: dict[str, Any], reduce: bool = True
    ) -> Tensor:
        """The divergence from the teacher times ``T^2``, not yet weighted: a sum, or one value for each token."""
        assert self.teacher is not None  # else there is nothing to compute
        prefix = getattr(self, "ignore_prefix_size", 0)
        logits, targets = net_output[0][:, prefix:], model.get_targets(sample, net_output)[:, prefix:]
        teachers = self.teacher.logits(model, sample["net_input"])[:, prefix:]
        values = distillation_loss(
            logits.reshape(-1, logits.size(-1)),
            teachers.reshape(-1, teachers.size(-1)),
            self.distillation_temperature,
            targets.reshape(-1),
            self.padding_idx,
        )
        return values.sum() if reduce else values

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log the loss, its cross-entropy with perplexity, and the distillation loss, all in base 2."""
        LabelSmoothedCrossEntropyCriterion.reduce_metrics(logging_outputs)
        log_part(logging_outputs, "distillation_loss", "ntokens")
