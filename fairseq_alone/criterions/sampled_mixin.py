"""What criterions share that train without the softmax over all words, and validate with it."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.logging import metrics
from torch import Tensor, nn

from fairseq_alone.criterions.batch_generator import batch_generator
from fairseq_alone.criterions.features import OutputRows, features_of, need_few_rows
from fairseq_alone.criterions.loss_parts import log_part
from fairseq_alone.errors import UserError


@dataclass(frozen=True)
class TrainingBatch:
    """What a loss gets to know of a batch; padding is left out, so N is the number of words to predict.

    Args:
        features: (N, D), of any floating type.
        targets: (N,), integer in [0, V).
        contexts: (N,), the word before each target; for skip-gram the one that it is predicted from.
        rows: the vectors of the output layer.
        sample: fairseq's batch.
    """

    features: Tensor
    targets: Tensor
    contexts: Tensor
    rows: OutputRows
    sample: dict[str, Any]


class SampledCriterion(CrossEntropyCriterion):
    """fairseq's ``cross_entropy`` in validation; in training the loss of the subclass, which sees features, no logits.

    A subclass gives its registered name and :meth:`training_loss`. For language models and for translation.
    """

    #: The name that the criterion is registered with, for sentences about it.
    name: ClassVar[str]
    #: Sums over the words of a batch that :meth:`training_loss` gives, which are logged as a mean.
    means: ClassVar[tuple[str, ...]] = ()
    #: Those that are logged in base 2, as losses are.
    losses: ClassVar[tuple[str, ...]] = ()
    #: Whether training reads the vectors of a few words only, so that a computed embedding need not make its matrix.
    needs_few_rows: ClassVar[bool] = True

    num_updates = 0

    def training_loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each word, (N,), and sums over all of them to log: those of ``means`` and ``losses``."""
        raise NotImplementedError

    def check_model(self, model: nn.Module) -> None:
        """Prepare a model for the training. Raises UserError for an output layer that does not work here."""
        OutputRows(model, self.name)
        if self.needs_few_rows:
            need_few_rows(model)

    def set_num_updates(self, num_updates: int) -> None:
        """Tell how many updates were made; the trainer calls this after each, and when it resumes."""
        self.num_updates = num_updates

    def generator(self, seed: int, sample: dict[str, Any]) -> torch.Generator:
        """The source of all that is drawn for a batch; see :func:`batch_generator`."""
        return batch_generator(seed, self.num_updates, sample)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss, the sample size and the numbers to log; see fairseq's criterions."""
        if not self.training:
            return super().forward(model, sample, reduce=reduce)
        net_input = sample["net_input"]
        features, net_output = features_of(model, net_input)
        targets = model.get_targets(sample, net_output)
        kept = targets.ne(self.padding_idx)
        contexts = (
            sample["contexts"] if "contexts" in sample else net_input.get("prev_output_tokens", net_input["src_tokens"])
        )
        batch = TrainingBatch(features[kept], targets[kept], contexts[kept], OutputRows(model, self.name), sample)
        values, sums = self.training_loss(batch)
        total = values.sum()
        sample_size = targets.size(0) if self.sentence_avg else sample["ntokens"]
        log = {
            "loss": total.data,
            "ntokens": sample["ntokens"],
            "nsentences": targets.size(0),
            "sample_size": sample_size,
            # Tells reduce_metrics that the loss is no cross-entropy.
            "trained_ntokens": sample["ntokens"],
            **{name: value.data for name, value in sums.items()},
        }
        if not reduce:
            total = values.new_zeros(targets.shape).masked_scatter(kept, values).view(-1)
        return total, sample_size, log

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log the loss in base 2. Only in validation it is the cross-entropy, and has a perplexity."""
        if not any("trained_ntokens" in log for log in logging_outputs):
            CrossEntropyCriterion.reduce_metrics(logging_outputs)
            return
        # A batch may have no word to predict: of short sentences, subsampling can leave nothing.
        trained = max(sum(log.get("trained_ntokens", 0) for log in logging_outputs), 1)
        log_part(logging_outputs, "loss", "sample_size")
        for name in cls.losses:
            log_part(logging_outputs, name, "ntokens")
        for name in cls.means:
            if any(name in log for log in logging_outputs):
                total = sum(log.get(name, 0) for log in logging_outputs)
                metrics.log_scalar(name, total / trained, trained, round=3)


def require_at_least(flag: str, value: float, least: float) -> None:
    """Raise UserError, which names the flag, unless the value is finite and at least ``least``."""
    if not least <= value < math.inf:
        raise UserError(f"--{flag} must be at least {least:g}, got {value:g}")
