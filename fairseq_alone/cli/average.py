"""``fairseq-alone average``: the mean of checkpoints, as one small checkpoint.

Differences from fairseq's ``scripts/average_checkpoints.py``: sums in float64, copies integers (the fingerprint of
filters) instead of adding them, writes tied tensors once, leaves the optimizer's state out, and refuses checkpoints
that do not belong together.
"""

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

from tqdm import tqdm

from fairseq_alone import plugin
from fairseq_alone.checkpoints import load_checkpoint, same_bits
from fairseq_alone.cli.checkpoints import num_updates, tie_groups
from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success, require_writable
from fairseq_alone.model_settings import differing_settings, model_settings

if TYPE_CHECKING:
    from torch import Tensor

# Names that fairseq gives to checkpoints; the last number puts them in order.
_PATTERNS = {"update": r"checkpoint_(\d+)_(\d+)\.pt", "epoch": r"checkpoint(\d+)\.pt"}
_EXAMPLES = {"update": "checkpoint_EPOCH_UPDATE.pt", "epoch": "checkpointEPOCH.pt"}

# Parts of "extra_state" that describe one checkpoint and would be wrong for the mean, or are a second model.
_NOT_OF_THE_MEAN = ("metrics", "val_loss", "best", "ema", "ema_fp32_params")

_FEW_CHECKPOINTS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which checkpoints, and where the mean goes."""
    parser.add_argument("checkpoints", nargs="*", metavar="CHECKPOINT", help="checkpoints to average, in any order")
    parser.add_argument("--last", type=int, metavar="N", help="average the last N checkpoints of --dir instead")
    parser.add_argument("--dir", metavar="DIR", help="fairseq-train's --save-dir, for --last")
    parser.add_argument(
        "--by",
        choices=sorted(_PATTERNS),
        help="which checkpoints of --dir: those written every so many updates (checkpoint_EPOCH_UPDATE.pt) or at the "
        "end of each epoch (checkpointEPOCH.pt); needed when --dir holds both; checkpoint_best.pt and "
        "checkpoint_last.pt never count",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="checkpoint to write")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def run(args: argparse.Namespace) -> None:
    """Average and write; says what was averaged."""
    if args.checkpoints and (args.last is not None or args.dir is not None):
        raise UserError("give either checkpoints or --last N --dir DIR, not both")
    if args.checkpoints:
        if args.by:
            raise UserError("--by chooses among the checkpoints of --dir; leave it out when checkpoints are given")
        paths = args.checkpoints
    elif args.last is None or args.dir is None:
        raise UserError("give checkpoints, or both --last N and --dir DIR")
    else:
        paths = last_checkpoints(args.dir, args.last, args.by)
    updates = average(paths, args.output, quiet=args.quiet)
    if not args.quiet:
        megabytes = os.path.getsize(args.output) / 1e6
        for path in paths:
            print(path)
        print(f"{args.output}: mean of {len(paths)} checkpoints, up to update {updates}, {megabytes:.1f} MB")


def last_checkpoints(folder: str, count: int, by: str | None = None) -> list[str]:
    """The last checkpoints of a folder in numeric order, oldest first.

    Args:
        folder: fairseq-train's ``--save-dir``.
        count: how many, at least 1.
        by: ``"update"`` or ``"epoch"``; None takes the only kind that the folder holds.

    Raises:
        UserError: no such folder, too few checkpoints, or both kinds and ``by`` does not say which.
    """
    if count < 1:
        raise UserError(f"--last must be at least 1, got {count}")
    if not os.path.isdir(folder):
        raise UserError(f"--dir {folder}: there is no such folder")
    found = {}
    for kind, pattern in _PATTERNS.items():
        matches = [match for match in (re.fullmatch(pattern, name) for name in os.listdir(folder)) if match]
        matches.sort(key=lambda match: [int(number) for number in reversed(match.groups())])
        found[kind] = [os.path.join(folder, match.string) for match in matches]
    if by is None:
        if found["update"] and found["epoch"]:
            raise UserError(
                f"--dir {folder} holds checkpoints of updates and of epochs: choose with --by update or --by epoch"
            )
        by = "update" if found["update"] else "epoch"
        wanted = _EXAMPLES[by] if found[by] else " or ".join(_EXAMPLES.values())
    else:
        wanted = _EXAMPLES[by]
    if len(found[by]) < count:
        raise UserError(f"--last {count}: {folder} holds only {len(found[by])} checkpoints named {wanted}")
    return found[by][-count:]


def average(paths: list[str], output: str, quiet: bool = False) -> int:
    """Write the mean of checkpoints to ``output``, whole or not at all.

    Floating tensors are averaged in float64 and written in their own dtype; integer tensors must agree and are copied.
    Everything else but the optimizer's state comes from the checkpoint with the most updates.

    Args:
        paths: checkpoints of one model; each is loaded alone, beside one float64 sum.
        output: file to write, none of ``paths``.
        quiet: no progress bar.

    Returns:
        The highest number of updates among the checkpoints.

    Raises:
        UserError: a file is unreadable, given twice, has a value that is not finite, or differs from the first in
            settings, names, shapes, dtypes or integers; or ``output`` is one of them or cannot be written.
    """
    import torch

    # Each family of embeddings knows which of its settings checkpoints must share.
    plugin.register()
    real_paths = [os.path.realpath(path) for path in paths]
    for position, path in enumerate(paths):
        if real_paths[position] in real_paths[:position]:
            raise UserError(f"{path} is given twice")
    require_writable("--output", output)
    if os.path.realpath(output) in real_paths:
        # The mean has no optimizer state, so the training could not go on from the replaced file.
        raise UserError(f"--output {output} is one of the checkpoints; choose another name")

    mean = _Mean()
    show_bar = not quiet and len(paths) > _FEW_CHECKPOINTS and sys.stderr.isatty()
    for path in tqdm(paths, desc="averaging", unit="checkpoint", disable=not show_bar):
        mean.add(path)
    checkpoint = mean.checkpoint()
    try:
        # torch.save names the archive inside after the file; given an open file, equal inputs give equal bytes.
        with replaced_on_success(output) as temporary, open(temporary, "wb") as file:
            torch.save(checkpoint, file)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written ({error.strerror or error})") from error
    return num_updates(checkpoint)


class _Mean:
    """A running sum of checkpoints of one model."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.sums: dict[str, Tensor] = {}  # float64, each distinct floating tensor, under the first of its names
        self.last: dict = {}  # the checkpoint with the most updates, without its tensors

    def add(self, path: str) -> None:
        """Load a checkpoint, compare it with the first, add its tensors."""
        checkpoint = load_checkpoint(path)
        model = checkpoint["model"]
        for name, tensor in model.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise UserError(f"{path}: {name} holds values that are not finite (NaN or infinity)")
        if not self.paths:
            self._start(path, checkpoint)
        else:
            self._compare_settings(path, model_settings(checkpoint))
            self._compare_tensors(path, model)
        for name, total in self.sums.items():
            total += model[name]
        if not self.last or num_updates(checkpoint) >= num_updates(self.last):
            extra = checkpoint.get("extra_state") or {}
            checkpoint["extra_state"] = {name: value for name, value in extra.items() if name not in _NOT_OF_THE_MEAN}
            self.last = {
                key: value for key, value in checkpoint.items() if key not in ("model", "last_optimizer_state")
            }
        self.paths.append(path)

    def checkpoint(self) -> dict:
        """The mean, with tied names sharing one tensor."""
        means = {name: (total / len(self.paths)).to(self.kinds[name][1]) for name, total in self.sums.items()}
        stored = {**means, **self.integers}
        model = {name: stored[self.first_name[name]] for name in self.kinds}
        names = [os.path.basename(path) for path in self.paths]
        return {**self.last, "model": model, "extra_state": {**self.last["extra_state"], "averaged_from": names}}

    def _start(self, path: str, checkpoint: dict) -> None:
        model = checkpoint["model"]
        self.settings = model_settings(checkpoint)
        self.kinds = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in model.items()}
        self.groups = tie_groups(path, checkpoint)
        self.first_name = {name: names[0] for names in self.groups for name in names}
        # Copies, because a stored tensor may be a view of something larger.
        distinct = {names[0]: model[names[0]] for names in self.groups}
        self.integers = {name: tensor.clone() for name, tensor in distinct.items() if not tensor.is_floating_point()}
        self.sums = {
            name: tensor.new_zeros(tensor.shape).double()
            for name, tensor in distinct.items()
            if tensor.is_floating_point()
        }

    def _compare_settings(self, path: str, settings: dict) -> None:
        for flag, ours, theirs in differing_settings(self.settings, settings):
            self._differ(path, flag, ours, theirs)

    def _compare_tensors(self, path: str, model: dict) -> None:
        for name in sorted(self.kinds.keys() ^ model.keys()):
            self._differ(path, name, *("present" if name in tensors else "absent" for tensors in (self.kinds, model)))
        for name, (shape, dtype) in self.kinds.items():
            if tuple(model[name].shape) != shape:
                self._differ(path, f"the shape of {name}", shape, tuple(model[name].shape))
            if model[name].dtype != dtype:
                self._differ(path, f"the type of {name}", dtype, model[name].dtype)
        for name, integers in self.integers.items():
            if name.endswith("filter_version"):
                self._compare_fingerprints(path, name, model[name])
            elif not integers.equal(model[name]):
                raise UserError(f"{name} differs between {self.paths[0]} and {path}")
        for names in self.groups:
            for name in names[1:]:
                if not same_bits(model[names[0]], model[name]):
                    raise UserError(f"{names[0]} and {name} are one tensor in {self.paths[0]}, but differ in {path}")

    def _compare_fingerprints(self, path: str, name: str, fingerprint: "Tensor") -> None:
        from fairseq_alone.modules.filters import fingerprint_difference, read_fingerprint

        try:
            problem = fingerprint_difference(fingerprint, self.integers[name])
            if not problem:
                return
            ours, theirs = read_fingerprint(self.integers[name]), read_fingerprint(fingerprint)
        except ValueError as error:
            raise UserError(f"{path} or {self.paths[0]}: {name}: {error}") from error
        for setting in ours:
            if ours[setting] != theirs[setting]:
                label = "vocabulary size" if setting == "num_embeddings" else setting
                self._differ(path, f"the {label} of the filters ({name})", ours[setting], theirs[setting])
        raise UserError(f"the filters ({name}) differ between {self.paths[0]} and {path}, though their settings agree")

    def _differ(self, path: str, what: str, ours: object, theirs: object) -> NoReturn:
        raise UserError(
            f"the checkpoints do not belong together: {what} is {ours} in {self.paths[0]} and {theirs} in {path}"
        )
