"""Steps of a preparation: each makes one outcome, whole or not at all, and is skipped when it is there."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from fairseq_alone.errors import UserError

SPLITS = ("train", "valid", "test")


@contextlib.contextmanager
def outcome(path: Path, is_folder: bool = True) -> Iterator[Path]:
    """Yield ``PATH.part``, an empty folder or the name of a file; rename it when the block ends without an error."""
    part = path.with_name(f"{path.name}.part")
    remove(part)
    if is_folder:
        part.mkdir()
    yield part
    part.rename(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def say(sentence: str) -> None:
    """What happens now."""
    print(sentence, flush=True)


def run_logged(log: Path, command: list[str]) -> None:
    """Run a command with its messages in a file.

    Raises:
        UserError: it failed; with the end of its messages.
    """
    # The same bytes on every machine, whatever its language.
    environment = {**os.environ, "PYTHONUTF8": "1", "LC_ALL": "C"}
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise UserError(f"{' '.join(command[1:3])} failed (all its messages: {log}):\n{last}")


def count_lines(path: Path) -> int:
    """Line feeds of a file."""
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def require_same_lines(folder: Path, clean: Path, names: list[str]) -> None:
    """Raise UserError when a file has not as many lines as its clean text: the two sides must stay parallel."""
    for name in names:
        if count_lines(folder / name) != count_lines(clean / name):
            raise UserError(f"{folder / name} does not have as many lines as {clean / name}")
