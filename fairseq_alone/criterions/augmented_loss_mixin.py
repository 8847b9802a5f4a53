"""What the criterions with the augmented loss share: forward pass, penalty and logging."""

from typing import Any, Self

from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.criterions.augmented_loss_flags import AugmentedLossFlags
from fairseq_alone.criterions.augmented_loss_target import AugmentedLossTarget, input_matrix
from fairseq_alone.criterions.features import output_is_split
from fairseq_alone.criterions.loss_parts import LossParts, log_part
from fairseq_alone.errors import UserError
from fairseq_alone.modules.augmented_loss import augmented_loss


class AugmentedLossMixin(LossParts):
    """Adds ``gamma * tau * KL(softmax(L l_target / tau) || softmax(logits / tau))`` to a cross-entropy criterion.

    ``L`` is the matrix that embeds the decoder's input words, unless the flags choose another target space. The penalty
    of a regularised output projection is added as well, if the model has one. With weight zero and no such projection
    the criterion is the one it extends.
    """

    _num_updates: int | None

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        criterion = super().build_criterion(cfg, task)
        criterion.set_up_augmented_loss(cfg, task.target_dictionary)
        return criterion

    def set_up_augmented_loss(self, flags: AugmentedLossFlags, dictionary: Dictionary) -> None:
        """Check and keep the flags of :class:`~fairseq_alone.criterions.augmented_loss_flags.AugmentedLossFlags`."""
        weight = flags.augmented_loss_weight
        if not 0.0 <= weight < float("inf"):
            raise UserError(f"--augmented-loss-weight must be at least 0, got {weight}")
        self.augmented_loss_weight = weight
        self.temperature_schedule = TemperatureSchedule(
            flags.augmented_loss_temperature,
            flags.augmented_loss_temperature_start,
            flags.augmented_loss_temperature_updates,
        )
        self.augmented_loss_target = AugmentedLossTarget(flags, dictionary)
        self._num_updates = None

    def check_model(self, model: nn.Module) -> None:
        """Raise UserError for a model whose output layer is split; called before the training."""
        if output_is_split(model):
            raise UserError(
                "--adaptive-softmax-cutoff does not work with the augmented loss, which needs the logits of all words: "
                "leave it out, or give --criterion adaptive_loss"
            )

    def set_num_updates(self, num_updates: int) -> None:
        """Tell how many updates were made; the trainer calls this after each, and when it resumes."""
        self._num_updates = num_updates

    @property
    def augmented_loss_temperature(self) -> float:
        """tau now. A criterion that never took part in a training uses that of the schedule's end."""
        if self._num_updates is None and not self.training:
            return self.temperature_schedule.end
        return self.temperature_schedule.at(self._num_updates or 0)

    def compute_loss(
        self, model: Any, net_output: tuple, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The whole loss, and the cross-entropy in it; the parts are kept for the log."""
        loss, nll_loss = super().compute_loss(model, net_output, sample, reduce=reduce)
        self._parts = {"nll_loss": nll_loss.data}
        if self.augmented_loss_weight > 0:
            augmented = self.compute_augmented_loss(model, net_output, sample, reduce=reduce)
            loss = loss + self.augmented_loss_weight * self.augmented_loss_temperature * augmented.view_as(loss)
            self._parts["augmented_loss"] = augmented.data
        output_layer: Any = getattr(getattr(model, "decoder", None), "output_projection", None)
        if reduce and hasattr(output_layer, "penalty"):
            # The trainer divides by the sample size. Values of single tokens (reduce=False) have no share in it.
            sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
            penalty = output_layer.penalty() * sample_size
            loss = loss + penalty
            self._parts["projection_penalty"] = penalty.data
        return loss, nll_loss

    def compute_augmented_loss(
        self, model: Any, net_output: tuple, sample: dict[str, Any], reduce: bool = True
    ) -> Tensor:
        """The divergence from the target distributions, not yet weighted: a sum, or one value for each token."""
        logits, targets = net_output[0], model.get_targets(sample, net_output)
        prefix = getattr(self, "ignore_prefix_size", 0)
        logits, targets = logits[:, prefix:], targets[:, prefix:].reshape(-1)
        target_space = self.augmented_loss_target
        values = augmented_loss(
            logits.reshape(-1, logits.size(-1)),
            targets,
            # fairseq-validate leaves the criterion on the CPU.
            target_space.matrix(lambda: input_matrix(model), self._num_updates or 0, self.training).to(logits.device),
            self.augmented_loss_temperature,
            self.padding_idx,
        )
        values = target_space.without_uncovered(values, targets)
        return values.sum() if reduce else values

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log the loss, its cross-entropy with perplexity, and the other parts, all in base 2."""
        LabelSmoothedCrossEntropyCriterion.reduce_metrics(logging_outputs)
        for part, size in (("augmented_loss", "ntokens"), ("projection_penalty", "sample_size")):
            log_part(logging_outputs, part, size)


class TemperatureSchedule:
    """tau, constant or raised in a straight line over the first updates.

    Args:
        end: tau after the schedule, positive.
        start: tau before the first update, positive, or None for a constant.
        num_updates: the update from which tau is ``end``; 0 for a constant.

    Raises:
        UserError: a value is outside its range, or a schedule has no start or no end; names the flag.
    """

    def __init__(self, end: float, start: float | None = None, num_updates: int = 0):
        if not 0.0 < end < float("inf"):
            raise UserError(f"--augmented-loss-temperature must be a positive number, got {end}")
        if num_updates < 0:
            raise UserError(f"--augmented-loss-temperature-updates must be at least 0, got {num_updates}")
        if start is not None and not 0.0 < start < float("inf"):
            raise UserError(f"--augmented-loss-temperature-start must be a positive number, got {start}")
        if start is not None and num_updates == 0:
            raise UserError(
                "--augmented-loss-temperature-start needs --augmented-loss-temperature-updates N, the update where the "
                "schedule ends"
            )
        if start is None and num_updates > 0:
            raise UserError("--augmented-loss-temperature-updates needs --augmented-loss-temperature-start")
        self.end, self.start, self.num_updates = end, end if start is None else start, num_updates

    def at(self, num_updates: int) -> float:
        """tau after ``num_updates`` updates."""
        if num_updates >= self.num_updates:
            return self.end
        return self.start + (self.end - self.start) * num_updates / self.num_updates
