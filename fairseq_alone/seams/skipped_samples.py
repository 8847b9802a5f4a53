"""``fairseq-eval-lm`` and samples that are longer than the model allows."""

import functools
from typing import Any

from fairseq.data import FairseqDataset
from fairseq.tasks.language_modeling import LanguageModelingTask

from fairseq_alone.errors import UserError


def install() -> None:
    """Refuse to evaluate a part of the data."""
    # fairseq leaves such samples out with a warning. Where all are too long it prints a perplexity of 1.00.
    original = LanguageModelingTask.eval_lm_dataloader

    @functools.wraps(original)
    def eval_lm_dataloader(
        self: LanguageModelingTask, dataset: Any, *args: Any, max_positions: int | None = None, **kwargs: Any
    ) -> Any:
        require_all_fit(dataset, max_positions, getattr(self.args, "sample_break_mode", None))
        return original(self, dataset, *args, max_positions=max_positions, **kwargs)

    LanguageModelingTask.eval_lm_dataloader = eval_lm_dataloader


def require_all_fit(dataset: FairseqDataset, max_positions: int | None, break_mode: str | None) -> None:
    """Raise UserError when samples are longer than the model allows, or there are none.

    Args:
        dataset: fairseq's.
        max_positions: the most tokens of a sample, or None for no limit.
        break_mode: ``--sample-break-mode``.
    """
    if len(dataset) == 0:
        raise UserError("the data set holds no samples, so there is nothing to evaluate")
    if max_positions is None:
        return
    _, too_long = dataset.filter_indices_by_size(dataset.ordered_indices(), max_positions)
    if len(too_long):
        mode = "" if break_mode in (None, "none") else "--sample-break-mode none "
        raise UserError(
            f"{len(too_long)} of {len(dataset)} samples are longer than the {max_positions} tokens that the model "
            f"allows, and fairseq would leave them out: give {mode}--tokens-per-sample {max_positions}"
        )
