"""What criterions share that add another loss to a cross-entropy: its parts in the log."""

import math
from typing import Any

from fairseq.criterions import FairseqCriterion
from fairseq.logging import metrics
from torch import Tensor


class LossParts(FairseqCriterion):
    """Mixin, before a cross-entropy criterion: ``compute_loss`` leaves the parts of the loss in ``_parts``."""

    _parts: dict[str, Tensor]

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss, the sample size and the numbers to log; see fairseq's criterions."""
        loss, sample_size, logging_output = super().forward(model, sample, reduce=reduce)
        logging_output.update(self._parts)
        return loss, sample_size, logging_output


def log_part(logging_outputs: list[dict[str, Any]], part: str, size: str) -> None:
    """Log one part in base 2, if there is any: its sum over workers by their sum of ``size``."""
    if any(part in log for log in logging_outputs):
        total, count = (sum(log.get(name, 0) for log in logging_outputs) for name in (part, size))
        metrics.log_scalar(part, total / max(count, 1) / math.log(2), count, round=3)
