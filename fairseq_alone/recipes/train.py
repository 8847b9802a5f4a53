"""``fairseq-alone train``: one training, from what the user chose to the command of fairseq."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.recipes import fairseq_command, workers
from fairseq_alone.recipes.fixed_flags import TRAINING, refuse_fixed
from fairseq_alone.recipes.language_model_training import language_model_training
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.train_options import TrainOptions
from fairseq_alone.recipes.translation_training import translation_training
from fairseq_alone.recipes.word_vectors_training import word_vectors_training
from fairseq_alone.recipes.work_folder import open_work

_TRAININGS = {
    "translation": translation_training,
    "headlines": translation_training,
    "language_model": language_model_training,
    "word_vectors": word_vectors_training,
}


@dataclass(frozen=True)
class Plan:
    """A training that can be started.

    Args:
        run: its folder.
        settings: lines that tell it apart from other runs.
        sentences: for the user.
        command: of fairseq, without the rank.
        commands: with it, one for each process to start here.
        first_rank: of these processes; that of rank 0 writes the folder.
        max_epoch, max_update: where it ends; 0 = no limit.
    """

    run: RunFolder
    settings: list[str]
    sentences: list[str]
    command: list[str]
    commands: list[list[str]]
    first_rank: int
    max_epoch: int
    max_update: int


def plan_training(work: Path | str, name: str, options: TrainOptions, dry_run: bool = False) -> Plan | None:
    """Check everything and work out the commands; nothing is written.

    Returns:
        None if the run has ended already.

    Raises:
        UserError: bad input, or the run was trained with other settings.
    """
    folder = open_work(work)
    run = RunFolder(folder.path, name)
    refuse_fixed(options.flags, TRAINING[folder.recipe])
    options.require_known(folder.recipe)
    training = _TRAININGS[folder.recipe](folder, options)
    run.refuse_other_settings(training.settings)
    if run.is_done and not dry_run:
        return None
    gpus = 0 if options.cpu else workers.count_gpus()
    found = workers.find_workers(os.environ, gpus, options.workers, training.fp16, dry_run)
    batch = training.divide(found)
    command = [
        *(*fairseq_command.fairseq_command("train"), str(folder.path / "data-bin")),
        *("--user-dir", fairseq_command.user_dir(), *training.flags(batch, found, run.checkpoints)),
        *(*found.flags, *options.flags),
    ]
    return Plan(
        run,
        training.settings,
        [*training.notes, *batch.sentences],
        command,
        [command + rank for rank in found.rank_flags()],
        found.first_rank,
        training.max_epoch,
        training.max_update,
    )


def printed(plan: Plan) -> str:
    """The arithmetic and the commands."""
    return "\n".join([*plan.sentences, *(f"command: {shlex.join(command)}" for command in plan.commands)])
