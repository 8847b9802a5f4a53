"""WORK/runs/NAME: one training, what it was trained with, and what was made of it.

===================  ====================================================================
checkpoints/         fairseq's
train.log            fairseq's output, JSON lines between messages
settings             what tells it apart from other runs
command              the command of the last start
done                 the settings again, when the training has ended
lock                 held as long as any process of the training lives
===================  ====================================================================
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success

# The settings do not say so, as those of earlier versions did not; sentences do.
_RANDOM_START = "start=random"

_RESULTS = (
    *("scores.json", "evaluate.settings", "averaged.pt", "generated.txt", "headline_scores.json"),
    *("headline_scores.md", "lengths.png", "test.hyp.*", "headlines/*.settings"),
    *("input.txt", "output.txt"),
)


class RunFolder:
    """The folder of one run; making the object makes no folder.

    Args:
        work: the prepared folder.
        name: of the run.

    Raises:
        UserError: the name is not a good name of a folder.
    """

    def __init__(self, work: Path, name: str):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UserError(
                f"RUN may have letters, digits, '.', '_' and '-' and starts with a letter or digit, got '{name}'"
            )
        self._lie_at(work / "runs" / name, "RUN")

    @classmethod
    def at(cls, path: Path) -> "RunFolder":
        """A folder of a training that lies anywhere; sentences call it OUT."""
        run = cls.__new__(cls)
        run._lie_at(path, "OUT")
        return run

    def _lie_at(self, path: Path, argument: str) -> None:
        self.name, self.path, self._argument = path.name, path, argument
        self.checkpoints = self.path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "checkpoint_last.pt"
        self.log = self.path / "train.log"

    @property
    def is_done(self) -> bool:
        """Whether the training has ended."""
        return (self.path / "done").is_file()

    def require_trained(self) -> list[str]:
        """A note if the training has not ended. Raises UserError when there is no such run, or no checkpoint at all."""
        if not self.path.is_dir():
            runs = self.path.parent
            others = ", ".join(sorted(other.name for other in runs.iterdir())) if runs.is_dir() else ""
            has = f"{runs} has {others}" if others else "run fairseq-alone train first"
            raise UserError(f"{self.path}: there is no such run; {has}")
        if not self.last_checkpoint.is_file():
            raise UserError(f"{self.last_checkpoint} is missing; run fairseq-alone train first")
        return [] if self.is_done else [f"the training of {self.path} has not finished; this is the state so far"]

    @property
    def settings(self) -> list[str]:
        """What it was trained with, line by line; nothing before it is trained."""
        file = self.path / "settings"
        return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []

    def refuse_other_settings(self, settings: list[str]) -> None:
        """Raise UserError when the run was trained with other settings; the sentence names them.

        A training that was stopped before its first checkpoint left nothing, so it may begin with any.
        """
        old = self.settings
        if not old or not (self.is_done or any(self.path.rglob("*.pt"))):
            return
        # Runs of earlier versions do not say what their preset was.
        if not any(line.startswith("preset_flags=") for line in old):
            settings = [line for line in settings if not line.startswith("preset_flags=")]
        there, now = _other(old, settings), _other(settings, old)
        if there or now:
            told = [" ".join(_without_shared_words(one, other)) for one, other in ((there, now), (now, there))]
            raise UserError(
                f"{self.path} was trained with other settings (there: {told[0] or 'nothing'}; now: "
                f"{told[1] or 'nothing'}); choose another {self._argument}, or delete that folder"
            )

    def write_settings(self, settings: list[str]) -> None:
        """Write what is trained, for :meth:`refuse_other_settings`."""
        self._write("settings", settings)

    @contextlib.contextmanager
    def started(self, settings: list[str], command: list[str]) -> Iterator[TextIO]:
        """Make the folder, write what is trained, and yield the lock's file, to be handed on to the processes.

        A block that raises :class:`RefusedError` leaves no folder behind if there was none before.

        Raises:
            UserError: another training of this run goes on.
        """
        is_new = not self.path.exists()
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"another fairseq-alone train is training {self.path} now") from None
            self.forget_results()
            self.write_settings(settings)
            self._write("command", [shlex.join(command)])
            try:
                yield lock
            except RefusedError:
                if is_new:
                    shutil.rmtree(self.path)
                    with contextlib.suppress(OSError):
                        self.path.parent.rmdir()
                raise
        self._write("done", settings)

    def forget_results(self) -> None:
        """Remove what was made of the checkpoints, before a training goes on: it must not stand beside later ones."""
        for pattern in _RESULTS:
            for path in self.path.glob(pattern):
                path.unlink()
        # Without a checkpoint the training begins anew, so the epochs of an earlier one must not stay in its log.
        if self.log.is_file() and not self.last_checkpoint.is_file():
            old = self.log.with_name("train.log.old")
            if old.exists():
                numbers = (path.name.split("~")[1] for path in self.path.glob("train.log.old.~*~"))
                os.replace(old, f"{old}.~{max(map(int, numbers), default=0) + 1}~")
            os.replace(self.log, old)

    def last_epoch(self) -> int | None:
        """Of the checkpoints of epochs, the last one's; None if there are none."""
        names = (path.name for path in self.checkpoints.glob("checkpoint*.pt"))
        numbers = (re.fullmatch(r"checkpoint(\d+)\.pt", name) for name in names)
        return max((int(number[1]) for number in numbers if number), default=None)

    def _write(self, name: str, lines: list[str]) -> None:
        with replaced_on_success(str(self.path / name)) as part:
            Path(part).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _other(settings: list[str], others: list[str]) -> list[str]:
    """The lines in which settings differ from others."""

    def starts(lines: list[str]) -> bool:
        return any(line.startswith("start=") for line in lines)

    unsaid = [_RANDOM_START] if starts(others) and not starts(settings) else []
    return [line for line in settings if line not in others] + unsaid


def _without_shared_words(lines: list[str], others: list[str]) -> list[str]:
    """Of lines of the form ``name=value name=value``, the words that no other line has; other lines as they are."""
    shared = {word for line in others for word in line.split()}

    def told(line: str) -> str:
        words = line.split()
        if not all("=" in word for word in words):
            return line
        return " ".join(word for word in words if word not in shared)

    return [short for line in lines if (short := told(line))]


class RefusedError(UserError):
    """fairseq would not even begin: a flag that it does not know, or a setting that does not fit."""
