"""The student's training with distillation, by ``fairseq-train``: its command, and its folder as that of a run."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_alone.compression.measure import epoch_iterator
from fairseq_alone.compression.settings import TeacherTraining
from fairseq_alone.compression.student import Student
from fairseq_alone.errors import UserError
from fairseq_alone.recipes import fairseq_command
from fairseq_alone.recipes.batch import divide
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.train import Plan
from fairseq_alone.recipes.workers import count_gpus, find_workers

# Of all updates, those in which the learning rate rises: the optimizer begins anew.
_WARM_UP = 0.1
# An interruption loses at most so many updates.
_SAVE_UPDATES = 2000


@dataclass(frozen=True)
class Finetuning:
    """What a user chooses; None is the default.

    Args:
        updates: how many; then ``epochs`` does not count.
        epochs: how many.
        lr: the largest learning rate.
        weight: of the distillation, from 0 to 1.
        temperature: of the distillation.
        max_tokens: that fit on one worker at a time; None is the teacher's.
        effective_tokens: of one update, all workers together; None is the teacher's.
        seed: of dropout and the order of batches.
        workers: processes; None is the GPUs, or 1.
        cpu: use no GPU.
        flags: of fairseq-train, after all others.
    """

    updates: int | None
    epochs: int
    lr: float
    weight: float
    temperature: float
    max_tokens: int | None = None
    effective_tokens: int | None = None
    seed: int = 1
    workers: str | None = None
    cpu: bool = False
    flags: tuple[str, ...] = ()

    def settings(self) -> list[str]:
        """Lines that tell trainings apart."""
        until = f"updates={self.updates}" if self.updates else f"epochs={self.epochs}"
        names = ("lr", "weight", "temperature", "effective_tokens", "seed")
        return [until, *(f"{name}={getattr(self, name)}" for name in names), f"flags={' '.join(self.flags)}"]


def plan_finetuning(
    folder: RunFolder,
    student: Student,
    task: Any,
    data: str,
    training: TeacherTraining,
    chosen: Finetuning,
    settings: list[str],
) -> Plan:
    """Work out the command. The folder has ``teacher.pt`` and ``student.pt``.

    Args:
        folder: of the run.
        student: before its training.
        task: fairseq's, with the folder of the data.
        data: that folder.
        training: the teacher's.
        chosen: what the user chose.
        settings: lines that tell this run apart.

    Raises:
        UserError: the workers cannot share a batch.
    """
    gpus = 0 if chosen.cpu else count_gpus()
    found = find_workers({}, gpus, chosen.workers, training.fp16)
    if training.carries_state and (chosen.max_tokens or chosen.effective_tokens):
        raise UserError(
            "--max-tokens and --effective-tokens do not work with a model whose state is carried on: its text is read "
            "as the teacher's was"
        )
    unit = "tokens" if chosen.max_tokens or chosen.effective_tokens else training.unit
    in_all = chosen.effective_tokens or training.batch
    batch = divide(in_all, chosen.max_tokens or min(in_all, training.most), found, unit)
    limit = {"max_tokens" if unit == "tokens" else "max_sentences": batch.size}
    updates = chosen.updates or chosen.epochs * _updates_of_an_epoch(
        task, student.trained.model, found.count, batch.update_freq, limit
    )
    until = ["--max-update", str(updates)] if chosen.updates else ["--max-epoch", str(chosen.epochs)]
    command = [
        *(*fairseq_command.fairseq_command("train"), data, "--user-dir", fairseq_command.user_dir()),
        *(*student.flags, *_criterion(student, folder.path, chosen), "--optimizer", "adam", *training.flags),
        *("--lr", str(chosen.lr), "--lr-scheduler", "polynomial_decay", "--total-num-update", str(updates)),
        *("--warmup-updates", str(int(_WARM_UP * updates)), *until),
        *("--max-tokens" if unit == "tokens" else "--batch-size", str(batch.size)),
        *("--update-freq", str(batch.update_freq), "--required-batch-size-multiple", "1", "--seed", str(chosen.seed)),
        *("--finetune-from-model", str(folder.path / "student.pt"), "--save-dir", str(folder.checkpoints)),
        *("--no-epoch-checkpoints", *_saving(training)),
        *("--log-format", "json", "--log-interval", "50", *found.flags, *chosen.flags),
    ]
    return Plan(
        folder,
        settings,
        list(batch.sentences),
        command,
        [command + rank for rank in found.rank_flags()],
        found.first_rank,
        0 if chosen.updates else chosen.epochs,
        chosen.updates or 0,
    )


def _saving(training: TeacherTraining) -> list[str]:
    """Within an epoch, too; but the state of a teacher that carries one is in no checkpoint."""
    if training.carries_state:
        return []
    return ["--save-interval-updates", str(_SAVE_UPDATES), "--keep-interval-updates", "1"]


def _criterion(student: Student, folder: Path, chosen: Finetuning) -> list[str]:
    """The teacher's criterion, as far as it is one of fairseq's, with distillation."""
    known = student.trained.config.get("criterion") or {}
    smoothed = str(known.get("_name", "")).startswith("label_smoothed") or student.trained.kind != "language_model"
    flags = ["--criterion", f"{'label_smoothed_' if smoothed else ''}cross_entropy_with_distillation"]
    if smoothed:
        flags += ["--label-smoothing", str(known.get("label_smoothing", 0.1))]
        flags += ["--ignore-prefix-size", str(known["ignore_prefix_size"])] if known.get("ignore_prefix_size") else []
    flags += ["--sentence-avg"] if known.get("sentence_avg") is True else []
    flags += ["--distillation-teacher", str(folder / "teacher.pt"), "--distillation-weight", str(chosen.weight)]
    return [*flags, "--distillation-temperature", str(chosen.temperature)]


def _updates_of_an_epoch(task: Any, model: Any, workers: int, update_freq: int, limit: dict[str, int]) -> int:
    return math.ceil(len(epoch_iterator(task, model, "train", shards=workers, **limit)) / update_freq)
