"""Reads what fairseq-train wrote with ``--log-format json``: reports in JSON, one a line, between other messages."""

import json
import os
import re
from dataclasses import dataclass

from fairseq_alone.errors import UserError

# The report of a log line, with or without fairseq's "time | INFO | valid | " before it.
_REPORT = re.compile(r"(?:^|\| )(\{.*\})\s*$")


@dataclass(frozen=True)
class Validation:
    """One validation: after which epoch and update, ``loss`` (label smoothing included, base 2) and perplexity."""

    epoch: int
    update: int
    loss: float
    ppl: float
    hours: float  # of training (not of validation) up to here


@dataclass(frozen=True)
class TrainingLog:
    """The history of one run.

    Attributes:
        validations: by rising update.
        updates: optimizer updates of the whole training.
        train_seconds: time spent in training steps, fairseq's ``train_wall``, summed over epochs. Time that an
            interrupted epoch took before it was done again is not in it.
    """

    validations: list[Validation]
    updates: int
    train_seconds: float


def read_training_log(path: str) -> TrainingLog:
    """Read a log that one or more fairseq-train processes appended to.

    A training that was stopped and resumed does part of its updates again: of two reports for the same epoch or
    update, the later wins. Other lines, and a last line cut off in the middle, are skipped.

    Raises:
        UserError: there is no such file, or it holds no report at all.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such log; train with --log-format json into this file")
    epochs = {}  # epoch -> (updates, seconds)
    validations = {}  # update -> (epoch, loss, perplexity)
    with open(path, encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            report = parse_report(line)
            if "train_num_updates" in report and "train_train_wall" in report:
                epochs[report["epoch"]] = (int(report["train_num_updates"]), float(report["train_train_wall"]))
            elif "valid_num_updates" in report and "valid_loss" in report and "valid_ppl" in report:
                loss, ppl = float(report["valid_loss"]), float(report["valid_ppl"])
                validations[int(report["valid_num_updates"])] = (report["epoch"], loss, ppl)
    if not epochs and not validations:
        raise UserError(f"{path}: no epoch was finished, or the log is not from fairseq-train --log-format json")
    return TrainingLog(
        validations=[
            Validation(epoch, update, loss, ppl, _seconds_until(update, epochs) / 3600)
            for update, (epoch, loss, ppl) in sorted(validations.items())
        ],
        updates=max([updates for updates, _ in epochs.values()] + list(validations)),
        train_seconds=sum(seconds for _, seconds in epochs.values()),
    )


def parse_report(line: str) -> dict:
    """The report of a log line; empty for any other line."""
    match = _REPORT.search(line)
    if match is None:
        return {}
    try:
        report = json.loads(match.group(1))
    except ValueError:  # a printed configuration, or a line cut off
        return {}
    return report if isinstance(report.get("epoch"), int) else {}


def _seconds_until(update: int, epochs: dict[int, tuple[int, float]]) -> float:
    """Training time up to ``update``, interpolated inside its epoch (fairseq reports the time at epochs' ends only)."""
    total, start = 0.0, 0
    for _, (end, seconds) in sorted(epochs.items()):
        if update <= end:
            return total + seconds * (update - start) / max(end - start, 1)
        total, start = total + seconds, end
    return total


def log_of_run(run_dir: str) -> str:
    """The log of a run of a recipe. Raises UserError when there is no such folder."""
    if not os.path.isdir(run_dir):
        raise UserError(f"{run_dir}: there is no such folder")
    return os.path.join(run_dir, "train.log")


def run_names(run_dirs: list[str]) -> list[str]:
    """Short different names: the last part of each path, or the whole path where two last parts agree.

    Raises:
        UserError: a folder is given twice.
    """
    paths = [os.path.realpath(run_dir) for run_dir in run_dirs]
    for position, path in enumerate(paths):
        if path in paths[:position]:
            raise UserError(f"{run_dirs[position]} is given twice")
    names = [os.path.basename(path) for path in paths]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]
