"""Finds what a training left: a log, checkpoints, scores; in a folder of a recipe or of a plain fairseq-train."""

import glob
import os
import sys
from dataclasses import dataclass, replace

from fairseq_alone.cli.checkpoint_history import checkpoint_order, read_checkpoints
from fairseq_alone.cli.training_log import TrainingHistory, UnfinishedEpochError, read_training_log
from fairseq_alone.errors import UserError

RUN_HELP = (
    "what a training left: its log (of any --log-format, or the --log-file), a checkpoint, the --save-dir, or a folder "
    "with a log and checkpoints, such as WORK_DIR/runs/RUN_NAME of a recipe"
)

_LOG_ENDINGS = (".log", ".txt", ".out", ".json", ".jsonl")


@dataclass(frozen=True)
class TrainedRun:
    """The files of one training; None or empty for what there is not.

    Attributes:
        path: as it was given.
        log: what fairseq-train printed, or its ``--log-file``.
        checkpoints: the last first, then the best, then the others.
        averaged: the mean of checkpoints, as ``fairseq-alone evaluate`` writes it.
        scores: scores.json of ``fairseq-alone evaluate``.
    """

    path: str
    log: str | None = None
    checkpoints: tuple[str, ...] = ()
    averaged: str | None = None
    scores: str | None = None

    @property
    def files(self) -> list[str]:
        """All of them."""
        return [path for path in (self.log, *self.checkpoints, self.averaged, self.scores) if path is not None]


def find_run(path: str) -> TrainedRun:
    """Look at a file or a folder.

    Raises:
        UserError: it is not there, there are no files of a training in it, or more than one log.
    """
    if os.path.isfile(path):
        return TrainedRun(path, checkpoints=(path,)) if path.endswith(".pt") else TrainedRun(path, log=path)
    if not os.path.isdir(path):
        raise UserError(f"{path}: there is no such file or folder")
    # A checkpoint's name may have anything behind the word; a space or bracket in the folder's name means itself.
    for folder in (path, os.path.join(path, "checkpoints")):
        checkpoints = sorted(glob.glob(os.path.join(glob.escape(folder), "checkpoint*.pt")), key=checkpoint_order)
        if checkpoints:
            break
    averaged, scores = (_if_file(os.path.join(path, name)) for name in ("averaged.pt", "scores.json"))
    run = TrainedRun(path, _find_log(path), tuple(checkpoints), averaged, scores)
    if run.log is None and not checkpoints:
        raise UserError(
            f"{path}: holds no training: no log of fairseq-train (train.log, or another file that ends in "
            f"{', '.join(_LOG_ENDINGS)}) and no checkpoint*.pt, there or in checkpoints/"
        )
    return run


def read_history(run: TrainedRun) -> TrainingHistory:
    """The validations of a run, from the log, or from the checkpoints where the log does not tell.

    Raises:
        UserError: a file is unreadable, or a log, without checkpoints beside it, says nothing.
    """
    log = None
    if run.log is not None:
        try:
            log = read_training_log(run.log)
        except UserError:
            if not run.checkpoints:
                raise
    if log is not None and (not run.checkpoints or any(validation.nll is not None for validation in log.validations)):
        return log
    history = read_checkpoints(list(run.checkpoints))
    if log is None:
        return history
    # With --log-format none the log knows when a checkpoint was saved, and its loss.
    return replace(log, validations=history.validations or log.validations)


def finished(runs: list[tuple[str, TrainedRun]]) -> list[tuple[str, TrainedRun, TrainingHistory]]:
    """Runs and their histories, without those that have not finished an epoch; standard error names these.

    Args:
        runs: by name; one alone is not left out, but refused.

    Raises:
        UserError: none is left, or a file of one is unreadable.
    """
    kept = []
    for name, run in runs:
        try:
            kept.append((name, run, read_history(run)))
        except UnfinishedEpochError:
            if len(runs) == 1:
                raise
            print(f"{name}: no epoch was finished yet; left out", file=sys.stderr)
    if not kept:
        raise UserError("no epoch was finished yet in any of these runs")
    return kept


def run_names(paths: list[str]) -> list[str]:
    """Short different names: of each path the last part, or as many of the last parts as tell it from the others.

    Raises:
        UserError: a path is given twice.
    """
    parts = [os.path.realpath(path).split(os.sep) for path in paths]
    for position, path in enumerate(paths):
        if parts[position] in parts[:position]:
            raise UserError(f"{path} is given twice")
    names = []
    for own in parts:
        length = 1
        while sum(other[-length:] == own[-length:] for other in parts) > 1:
            length += 1
        names.append(os.sep.join(own[-length:]))
    return names


def _if_file(path: str) -> str | None:
    return path if os.path.isfile(path) else None


def _find_log(folder: str) -> str | None:
    """The log in a folder: ``train.log``, or the one other file that reads like a log."""
    if os.path.isfile(os.path.join(folder, "train.log")):
        return os.path.join(folder, "train.log")
    logs = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(_LOG_ENDINGS) and os.path.isfile(path):
            try:
                read_training_log(path)
            except UserError:
                continue
            logs.append(name)
    if len(logs) > 1:
        raise UserError(f"{folder}: holds {len(logs)} logs ({', '.join(logs)}); name the one that you mean")
    return os.path.join(folder, logs[0]) if logs else None
