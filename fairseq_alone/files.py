"""Files that appear whole or not at all, and are known to be writable before any work is done for them."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator

from fairseq_alone.errors import UserError


def require_writable(flag: str, path: str | None) -> None:
    """Raise UserError, which names the flag, when no file can be written at ``path``. None is no file.

    A file is made beside it and removed again: what a folder's mode says does not count for everybody and everywhere.
    """
    if path is None:
        return
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise UserError(f"{flag} {path}: is a folder")
    if not os.path.isdir(folder):
        raise UserError(f"{flag} {path}: there is no folder {folder}")
    _require_open(flag, path, folder, f".{os.path.basename(path)}.")


def require_folder(flag: str, path: str) -> None:
    """Raise UserError, which names the flag, when ``path`` is no folder to write into and none can be made there."""
    folder = os.path.abspath(path)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise UserError(f"{flag} {path}: {folder} is no folder")
    _require_open(flag, path, folder)


def _require_open(flag: str, path: str, folder: str, prefix: str = ".") -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=".part")
    except OSError as error:
        raise UserError(f"{flag} {path}: no file can be made in {folder} ({error.strerror})") from error
    os.close(handle)
    os.remove(temporary)


def require_apart(outputs: Iterable[tuple[str, str | None]], inputs: Iterable[str | None]) -> None:
    """Refuse to lose a file: check, before any work is done, that no output is an input or another output.

    Args:
        outputs: flag and path of each; a path of None is no file, here and in the inputs.
        inputs: paths that must stay as they are.

    Raises:
        UserError: names the flag of an output that cannot be written or would replace one of the other files.
    """
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for flag, output in outputs:
        require_writable(flag, output)
        if output is None:
            continue
        if os.path.realpath(output) in taken:
            raise UserError(f"{flag} {output}: would overwrite an input or another output")
        taken.add(os.path.realpath(output))


@contextlib.contextmanager
def replaced_on_success(path: str) -> Iterator[str]:
    """Yield the name of a new file beside ``path``; rename it to ``path`` when the block ends without an error.

    If the block fails, the new file is removed and an older ``path`` stays as it was.
    """
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.", suffix=".part")
    os.close(handle)
    _open_to_others(temporary, 0o666)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def require_new_folder(path: str) -> None:
    """Raise UserError when there is something at ``path`` but an empty folder, or no folder to put it into."""
    path = os.path.abspath(path)
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise UserError(f"{path}: is there already; name a new folder")
    if not os.path.isdir(os.path.dirname(path)):
        raise UserError(f"{path}: there is no folder {os.path.dirname(path)}")


@contextlib.contextmanager
def folder_replaced_on_success(path: str) -> Iterator[str]:
    """Yield a new empty folder beside ``path``; rename it to ``path`` when the block ends without an error.

    If the block fails, the new folder is removed and nothing is left.

    Raises:
        UserError: there is something at ``path``, or no folder to put it into.
    """
    path = os.path.abspath(path)
    require_new_folder(path)
    temporary = tempfile.mkdtemp(dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}.", suffix=".part")
    _open_to_others(temporary, 0o777)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _open_to_others(path: str, mode: int) -> None:
    """What tempfile makes is private; give it the mode that an ordinary file or folder would have."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, mode & ~umask)
