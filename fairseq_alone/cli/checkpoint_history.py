"""The validations of a training, as its checkpoints tell them."""

import math
import os

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli.checkpoints import num_updates
from fairseq_alone.cli.training_log import TrainingHistory, Validation

# val_loss has three digits.
_ROUNDING = 6e-4

# Without label smoothing and the like the loss is the cross-entropy.
_PLAIN_CRITERIONS = ("cross_entropy", "adaptive_loss")


def read_checkpoints(paths: list[str]) -> TrainingHistory:
    """Read the validation after which each checkpoint was written. Checkpoints without one count for the updates.

    fairseq keeps the value of ``--best-checkpoint-metric``, and sums of the loss and its parts over all validations
    so far: the difference of two checkpoints is one validation, if there was no other between them.

    Raises:
        UserError: a file is unreadable.
    """
    by_update = {}
    for path in paths:
        checkpoint = load_checkpoint(path, mmap=True)
        by_update[num_updates(checkpoint)] = _facts(checkpoint)
    validations = []
    before: dict = {}
    for update, (epoch, metric, value, criterion, meters) in sorted(by_update.items()):
        known = _part_values(metric, value, meters, before)
        if criterion in _PLAIN_CRITERIONS:
            known.setdefault("nll_loss", known.get("loss"))
        if value is not None and known:
            nll = known.get("nll_loss")
            validations.append(Validation(epoch, update, known.get("loss"), nll, None if nll is None else 2**nll))
        before = meters
    return TrainingHistory(validations, updates=max(by_update))


def _facts(checkpoint: dict) -> tuple:
    """Epoch, name and value of the metric, name of the criterion, and ``(last, sum, count)`` by part of the loss."""
    extra = checkpoint.get("extra_state") or {}
    iterator = extra.get("train_iterator") or {}
    # At the end of an epoch fairseq counts it as done: it names the next.
    epoch = int(iterator.get("epoch", 0)) - (iterator.get("iterations_in_epoch") == 0)
    settings = checkpoint.get("cfg") or {}
    metric = (settings.get("checkpoint") or {}).get("best_checkpoint_metric", "loss")
    criterion = settings.get("criterion")
    name = criterion.get("_name") if isinstance(criterion, dict) else getattr(criterion, "_name", None)
    meters = {
        key: tuple(float(state[part]) for part in ("val", "sum", "count"))
        for _, key, kind, state in (extra.get("metrics") or {}).get("valid", ())
        if kind == "AverageMeter" and key in ("loss", "nll_loss") and state["val"] is not None
    }
    return epoch, metric, extra.get("val_loss"), name, meters


def _part_values(metric: str, value: float | None, meters: dict, before: dict) -> dict[str, float | None]:
    """``loss`` and ``nll_loss`` of the validation whose metric has this value, as far as they are known."""
    if value is None:
        return {}
    of_last_batch = {part: last for part, (last, _, _) in meters.items()}
    since_before = {}
    for part, (_, total, count) in meters.items():
        _, old_total, old_count = before.get(part, (0, 0, 0))
        if count > old_count:
            since_before[part] = (total - old_total) / (count - old_count)
    # The sums tell nothing if there was another validation in between; the last batch only if it was all.
    for parts in (since_before, of_last_batch):
        if "nll_loss" in parts:
            parts["ppl"] = 2 ** parts["nll_loss"]
        tolerance = max(_ROUNDING, 1e-5 * value) if metric != "ppl" else max(6e-3, 1e-4 * value)
        if metric in parts and abs(parts[metric] - value) <= tolerance:
            return {part: parts[part] for part in ("loss", "nll_loss") if part in parts}
    if metric == "ppl":
        return {"nll_loss": math.log2(value)}
    return {metric: value} if metric in ("loss", "nll_loss") else {}


def checkpoint_order(path: str) -> tuple:
    """Sorts names of checkpoints so that ``checkpoint_last.pt`` comes first and ``checkpoint_best.pt`` next."""
    name = os.path.basename(path)
    return name != "checkpoint_last.pt", name != "checkpoint_best.pt", name
