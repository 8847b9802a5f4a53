"""What the criterions with self-normalisation share: forward pass, penalty and logging."""

import math
from typing import Any, Self

from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.criterions.batch_generator import batch_generator
from fairseq_alone.criterions.features import OutputRows, features_of, output_is_split
from fairseq_alone.criterions.loss_parts import LossParts
from fairseq_alone.criterions.self_normalization_flags import SelfNormalizationFlags
from fairseq_alone.errors import UserError
from fairseq_alone.modules.self_normalization import (
    choose_positions,
    infrequently_normalized_loss,
    self_normalized_loss,
    target_scores_and_log_z,
)


class SelfNormalizationMixin(LossParts):
    """Adds ``alpha * log^2 Z`` to a cross-entropy criterion; with weight zero it is the one it extends.

    With a share below one, training computes the logits of so many positions only; see
    :func:`~fairseq_alone.modules.self_normalization.infrequently_normalized_loss`. Validation always normalises all.
    """

    num_updates = 0

    @classmethod
    def build_criterion(cls, cfg: Any, task: FairseqTask) -> Self:
        """Build the criterion from its flags. Raises UserError, which names the flag."""
        criterion = super().build_criterion(cfg, task)
        criterion.set_up_self_normalization(cfg)
        return criterion

    def set_up_self_normalization(self, flags: SelfNormalizationFlags) -> None:
        """Check and keep the flags."""
        self.weight, self.share = flags.self_normalization_weight, flags.self_normalization_share
        self.seed = flags.self_normalization_seed
        if not 0.0 <= self.weight < math.inf:
            raise UserError(f"--self-normalization-weight must be at least 0, got {self.weight}")
        if not 0.0 < self.share <= 1.0:
            raise UserError(f"--self-normalization-share must be more than 0 and at most 1, got {self.share}")
        if self.seed < 0:
            raise UserError(f"--self-normalization-seed must be at least 0, got {self.seed}")

    def check_model(self, model: nn.Module) -> None:
        """Raise UserError for a model whose output layer does not give what is needed; called before the training."""
        if output_is_split(model):
            raise UserError(
                "--adaptive-softmax-cutoff does not work with self-normalisation, which needs the logits of all words"
            )
        if self.share < 1.0:
            OutputRows(model, "self_normalization with --self-normalization-share below 1")

    def set_num_updates(self, num_updates: int) -> None:
        """Tell how many updates were made; the trainer calls this after each, and when it resumes."""
        self.num_updates = num_updates

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss, the sample size and the numbers to log; see fairseq's criterions."""
        if not self.training or self.share == 1.0:
            return super().forward(model, sample, reduce=reduce)
        loss = self._infrequently_normalized(model, sample, reduce)
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        sizes = {"ntokens": sample["ntokens"], "nsentences": sample["target"].size(0), "sample_size": sample_size}
        return loss, sample_size, {"loss": loss.data, **sizes, **self._parts}

    def compute_loss(
        self, model: Any, net_output: tuple, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The whole loss, and the cross-entropy in it; log Z is kept for the log."""
        logits, targets = self._without_prefix(net_output[0]), self._without_prefix(sample["target"])
        logits, targets = logits.reshape(-1, logits.size(-1)), targets.reshape(-1)  # (N, V), (N,)
        target_scores, log_z = target_scores_and_log_z(logits, targets)
        nll_loss = log_z - target_scores
        loss = self_normalized_loss(self._smoothed(nll_loss, logits, log_z), log_z, self.weight)
        padding = targets.eq(self.padding_idx)
        loss, nll_loss = loss.masked_fill(padding, 0.0), nll_loss.masked_fill(padding, 0.0)
        loss, nll_loss = (loss.sum(), nll_loss.sum()) if reduce else (loss, nll_loss)
        self._parts = {"nll_loss": nll_loss.data, **_sums(log_z[~padding])}
        return loss, nll_loss

    def _smoothed(self, nll_loss: Tensor, logits: Tensor, log_z: Tensor) -> Tensor:
        """fairseq's label-smoothed loss (N,) of the cross-entropy (N,), where this criterion smooths."""
        smoothing = getattr(self, "eps", 0.0)
        if not smoothing:
            return nll_loss
        words = logits.size(1)
        each = smoothing / (words - 1)
        of_all_words = words * log_z - logits.sum(1, dtype=log_z.dtype)
        return (1.0 - smoothing - each) * nll_loss + each * of_all_words

    def _infrequently_normalized(self, model: Any, sample: dict[str, Any], reduce: bool) -> Tensor:
        features, net_output = features_of(model, sample["net_input"])
        features = self._without_prefix(features)
        targets = self._without_prefix(model.get_targets(sample, net_output))
        kept = targets.ne(self.padding_idx)
        features, known = features[kept], targets[kept]  # (N, D), (N,)
        generator = batch_generator(self.seed, self.num_updates, sample)
        chosen = choose_positions(len(known), self.share, generator).to(known.device)
        # The logits first: where they build the whole matrix of an update, the rows are looked up in it.
        scores = model.decoder.output_layer(features[chosen])  # (M, V)
        rows = OutputRows(model, "self_normalization").rows(known)  # (N, D)
        target_scores = (features.float() * rows.float()).sum(1)
        loss, nll_loss, log_z = infrequently_normalized_loss(
            target_scores, known, scores, chosen, self.weight, getattr(self, "eps", 0.0)
        )
        self._parts = {"nll_loss": nll_loss.sum().data, **_sums(log_z)}
        return loss.sum() if reduce else loss.new_zeros(targets.shape).masked_scatter(kept, loss).view(-1)

    def _without_prefix(self, values: Tensor) -> Tensor:
        """Without the first words of each sentence, (B, T, ...), which ``--ignore-prefix-size`` leaves out."""
        return values[:, getattr(self, "ignore_prefix_size", 0) :]

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log the loss and its cross-entropy with perplexity in base 2, and mean and deviation of log Z in nats."""
        LabelSmoothedCrossEntropyCriterion.reduce_metrics(logging_outputs)
        total, squares, count = (sum(log.get(name, 0) for log in logging_outputs) for name in _SUMS)
        if count:
            metrics.log_scalar("log_z", total / count, count, round=3)
            # A name with this first letter is not printed.
            metrics.log_scalar("_log_z_squares", squares / count, count)
            metrics.log_derived("log_z_deviation", _deviation)


_SUMS = ("log_z_sum", "log_z_squares", "log_z_count")


def _sums(log_z: Tensor) -> dict[str, Any]:
    values = log_z.detach().double()
    return dict(zip(_SUMS, (values.sum(), values.square().sum(), values.numel()), strict=True))


def _deviation(meters: dict[str, Any]) -> float:
    variance = meters["_log_z_squares"].avg - meters["log_z"].avg ** 2
    return round(math.sqrt(max(0.0, float(variance))), 3)
