"""How the student is trained: as the teacher was, where its checkpoint says how, but with a smaller learning rate."""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from fairseq_alone.checkpoints import load_checkpoint

# Of a teacher whose checkpoint does not say it.
_DEFAULT_TOKENS = 4096
_DEFAULT_STREAMS = 20  # that a model reads side by side whose state is carried on; of the recipe
_DEFAULT_LR = 5e-4

#: The student's largest learning rate beside the teacher's last; the better of two that were tried, docs/compress.md.
LR_FACTOR = 0.5


@dataclass(frozen=True)
class TeacherTraining:
    """What a checkpoint tells of its training.

    Args:
        lr: the learning rate at its end; of other schedules than the inverse square root a tenth of the largest.
        batch: tokens, or sequences, of one update of all workers together.
        most: of one worker at a time.
        unit: "tokens" or "sequences".
        flags: of the optimizer.
        fp16: whether it was in half precision.
        carries_state: whether each sequence began with the state of the one before (``--task truncated_bptt_lm``).
    """

    lr: float
    batch: int
    most: int
    unit: str
    flags: list[str]
    fp16: bool
    carries_state: bool


def teacher_training(path: str | None, carries_state: bool = False) -> TeacherTraining:
    """Read it from the teacher's checkpoint.

    Args:
        path: the checkpoint; None is a teacher that has none, a compact file for example.
        carries_state: see :class:`TeacherTraining`.
    """
    state: dict[str, Any] = {} if path is None else load_checkpoint(path, mmap=True)
    groups = {name: _plain(values) for name, values in (state.get("cfg") or {}).items()}
    optimization, dataset = groups.get("optimization", {}), groups.get("dataset", {})
    workers = groups.get("distributed_training", {}).get("distributed_world_size") or 1
    micro_batches = (optimization.get("update_freq") or [1])[-1] * workers
    tokens, sequences = dataset.get("max_tokens"), dataset.get("batch_size")
    if carries_state:
        tokens, sequences = None, sequences or _DEFAULT_STREAMS
    most, unit = (sequences, "sequences") if sequences and not tokens else (tokens or _DEFAULT_TOKENS, "tokens")
    optimizer = groups.get("optimizer", {})
    flags = []
    if optimizer.get("_name") == "adam":
        flags += ["--adam-betas", str(optimizer["adam_betas"]), "--weight-decay", str(optimizer["weight_decay"])]
    flags += ["--clip-norm", str(optimization.get("clip_norm") or 0.0)]
    updates = (state.get("optimizer_history") or [{}])[-1].get("num_updates", 0)
    return TeacherTraining(
        lr=_last_lr(optimization, groups.get("lr_scheduler", {}), updates),
        batch=most * micro_batches,
        most=most,
        unit=unit,
        flags=flags,
        fp16=bool(groups.get("common", {}).get("fp16")),
        carries_state=carries_state,
    )


def _last_lr(optimization: dict[str, Any], scheduler: dict[str, Any], updates: int) -> float:
    if not optimization.get("lr"):
        return _DEFAULT_LR
    largest = float(optimization["lr"][0])
    warm_up = scheduler.get("warmup_updates") or 0
    if scheduler.get("_name") == "inverse_sqrt" and warm_up and updates > warm_up:
        return float(largest * (warm_up / updates) ** 0.5)
    return largest / 10


def _plain(group: Any) -> dict[str, Any]:
    return vars(group) if isinstance(group, Namespace) else group if isinstance(group, dict) else {}
