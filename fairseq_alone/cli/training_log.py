"""Reads what fairseq-train printed, or wrote with ``--log-file``: any ``--log-format``, as far as it says something."""

import json
import math
import os
import re
from dataclasses import dataclass
from typing import Any

from fairseq_alone.errors import UserError

# The report of a JSON log, with or without fairseq's "time | INFO | valid | " before it.
_JSON = re.compile(r"(?:^\ufeff?|\| )(\{.*\})\s*$")
# The same as text: "epoch 001 | valid on 'valid' subset | loss 6.5 | ppl 90.51 | num_updates 10".
_TEXT = re.compile(r"(?:^\ufeff?|\| )epoch (\d+) \| (?:valid on '([^']+)' subset \| )?((?:[^|]+\| )+[^|]+)$")
# All that is left of a validation with --log-format none.
_SAVED = re.compile(r"Saved checkpoint .*\(epoch (\d+) @ (\d+) updates, score ([-\d.e+]+)\)")
_METRIC = re.compile(r"'best_checkpoint_metric': '(\w+)'")
_PARAMETERS = re.compile(r"num\. shared model params: .*\(num\. trained: ([\d,]+)\)")


# What fairseq-train writes before its first report, and after an epoch.
_TRAINS, _ENDED = "| fairseq_cli.train |", ("| end of epoch ", "Saved checkpoint ")


class UnfinishedEpochError(UserError):
    """A training that has not reached the end of its first epoch."""


# Epoch, loss, nll and ppl of a validation.
_Reported = tuple[int, float, float | None, float | None]


@dataclass(frozen=True)
class Validation:
    """One validation. What is not known is None.

    Attributes:
        epoch, update: after which it was made.
        loss: what is trained, on the validation set, in base 2: label smoothing and the augmented loss are part of it.
        nll: cross-entropy in bits per token.
        ppl: perplexity, from the cross-entropy alone.
        hours: time of training (not of validation) up to here.
    """

    epoch: int
    update: int
    loss: float | None
    nll: float | None
    ppl: float | None
    hours: float | None = None


@dataclass(frozen=True)
class TrainingHistory:
    """The history of one run.

    Attributes:
        validations: by rising update.
        updates: optimizer updates of the whole training.
        train_seconds: time spent in training steps, fairseq's ``train_wall``, summed over epochs. Time that an
            interrupted epoch took before it was done again is not in it. None: not known.
        parameters: trained values of the model; None: not known.
    """

    validations: list[Validation]
    updates: int
    train_seconds: float | None = None
    parameters: int | None = None


def read_training_log(path: str) -> TrainingHistory:
    """Read a log that one or more fairseq-train processes appended to.

    A training that was stopped and resumed does part of its updates again: of two reports for the same epoch or
    update, the later wins. Other lines, and a last line cut off in the middle, are skipped. Of several validation sets
    that called ``valid`` counts, or else the first.

    Raises:
        UnfinishedEpochError: the first epoch goes on.
        UserError: there is no such file, or it holds no report at all.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such log")
    epochs = {}  # epoch -> (updates, seconds)
    reported: dict[str, dict[int, _Reported]] = {}  # by validation set and update
    saved: dict[int, _Reported] = {}  # the same, of the messages about checkpoints
    metric, parameters = "loss", None
    trains = ended = False
    with open(path, encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            trains = trains or _TRAINS in line
            ended = ended or any(sign in line for sign in _ENDED)
            subset, epoch, values = _report(line.rstrip())
            if subset == "train" and "train_wall" in values:
                epochs[epoch] = (int(values["num_updates"]), values["train_wall"])
            elif subset and subset != "train" and "loss" in values:
                validations = reported.setdefault(subset, {})
                validations[int(values["num_updates"])] = (epoch, values["loss"], *_entropy(values))
            elif match := _SAVED.search(line):
                saved[int(match[2])] = (int(match[1]), float(match[3]), None, None)
            elif match := _PARAMETERS.search(line):
                parameters = int(match[1].replace(",", ""))
            elif match := _METRIC.search(line):
                metric = match[1]
    validations = reported.get("valid") or next(iter(reported.values()), {})
    if not validations and metric == "loss":
        validations = saved
    if not epochs and not validations:
        if trains and not ended:
            raise UnfinishedEpochError(f"{path}: no epoch was finished yet")
        raise UserError(
            f"{path}: fairseq-train did not write this, or without numbers (with --log-format none a --log-file has "
            "none: name the --save-dir)"
        )
    return TrainingHistory(
        validations=[
            Validation(epoch, update, loss, nll, ppl, _seconds_until(update, epochs) / 3600 if epochs else None)
            for update, (epoch, loss, nll, ppl) in sorted(validations.items())
        ],
        updates=max([updates for updates, _ in epochs.values()] + list(validations)),
        train_seconds=sum(seconds for _, seconds in epochs.values()) if epochs else None,
        parameters=parameters,
    )


def json_report(line: str) -> dict:
    """The report of a line of a JSON log, of any kind; empty for other lines."""
    match = _JSON.search(line)
    try:
        report = json.loads(match[1]) if match else {}
    except ValueError:  # a printed configuration, or a line cut off
        return {}
    return report if isinstance(report.get("epoch"), int) else {}


def _report(line: str) -> tuple[str | None, int, dict[str, float]]:
    """Data set, epoch and numbers of a report about an epoch or a validation; for other lines no data set."""
    if match := _TEXT.search(line):
        pairs = [pair.split() for pair in match[3].split(" | ")]
        values = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
        subset, epoch = match[2] or "train", int(match[1])
    else:
        report = json_report(line)
        subset = next((name[: -len("_num_updates")] for name in report if name.endswith("_num_updates")), None)
        if subset is None:
            return None, 0, {}
        values, epoch = {name.removeprefix(f"{subset}_"): value for name, value in report.items()}, report["epoch"]
    numbers = {name: number for name, value in values.items() if (number := _number(value)) is not None}
    return (subset if "num_updates" in numbers else None), epoch, numbers


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _entropy(values: dict[str, float]) -> tuple[float | None, float | None]:
    """Cross-entropy in bits and perplexity: fairseq's ``cross_entropy`` calls the former its loss, others log both."""
    nll, ppl = values.get("nll_loss"), values.get("ppl")
    if nll is None and ppl is not None and 0 < ppl < float("inf"):
        nll = math.log2(ppl)
    if ppl is None and nll is not None:
        ppl = 2**nll
    return nll, ppl


def _seconds_until(update: int, epochs: dict[int, tuple[int, float]]) -> float:
    """Training time up to ``update``, interpolated inside its epoch (fairseq reports the time at epochs' ends only)."""
    total, start = 0.0, 0
    for _, (end, seconds) in sorted(epochs.items()):
        if update <= end:
            return total + seconds * (update - start) / max(end - start, 1)
        total, start = total + seconds, end
    return total
