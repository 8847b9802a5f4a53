"""What the training of a recipe consists of, before it is known where it runs; and what translation and language models
share of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.recipes.batch import Batch
from fairseq_alone.recipes.workers import Workers


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        settings: lines ``name=value`` that tell its runs apart.
        notes: sentences for the user.
        max_epoch, max_update: where it ends; 0 = no limit.
        divide: the batch, for given workers.
        flags: of fairseq-train, for a batch, workers and a folder of checkpoints; without those of the workers.
        fp16: in half precision on a GPU.
    """

    settings: list[str]
    notes: list[str]
    max_epoch: int
    max_update: int
    divide: Callable[[Workers], Batch]
    flags: Callable[[Batch, Workers, Path], list[str]]
    fp16: bool


def is_zero(weight: str) -> bool:
    """Whether the augmented loss is off."""
    return float(weight) == 0


def no_effect(embedding: str, **options: str | None) -> list[str]:
    """A note for each option of another kind of embedding that was given."""
    kinds = {
        "factorized_dim": ("factorized",),
        "share": ("alone_share", "codes", "tensor_product"),
        "inter_dim": ("alone", "alone_binary", "alone_real", "factorized"),
    }
    return [
        f"note: --{name.replace('_', '-')} has no effect with --embedding {embedding}"
        for name, value in options.items()
        if value is not None and embedding not in kinds[name]
    ]
