"""One process at a time writes to a folder: a lock of the operating system, which ends with the process."""

import atexit
import errno
import fcntl
import logging
import os
import socket

from fairseq_alone.errors import UserError

#: Holds the lock and says whose it is. Checkpoints have other names, and ``ls`` does not show it.
LOCK_FILE = ".fairseq_alone.lock"

logger = logging.getLogger(__name__)

# File systems that know no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)

# Folder and open file of each lock that this process holds.
_held: dict[str, int] = {}


def lock_folder(flag: str, folder: str) -> None:
    """Take the lock of a folder until this process ends. Taking it again is no error.

    The lock belongs to this process alone: children do not inherit it. Where the file system has no locks, a warning
    is logged.

    Args:
        flag: what the user calls the folder.
        folder: must be there.

    Raises:
        UserError: another process holds it; names the process and its host.
    """
    folder = os.path.realpath(folder)
    if folder in _held:
        return
    path = os.path.join(folder, LOCK_FILE)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 1000).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(
                f"{flag} {folder}: another training writes to it ({holder or 'it does not say which process'}): wait "
                f"for it, end it, or give another {flag}"
            ) from error
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            logger.warning("%s %s: this file system has no locks; start one training at a time", flag, folder)
            return
        if _is_file_of(descriptor, path):
            break
        # The holder before us removed the file after we opened it.
        os.close(descriptor)
    os.truncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    _held[folder] = descriptor


def unlock_folders() -> None:
    """Give back every lock of this process and remove its file."""
    while _held:
        folder, descriptor = _held.popitem()
        path = os.path.join(folder, LOCK_FILE)
        # Removed while it is locked, so it is nobody else's. The folder may be gone.
        if _is_file_of(descriptor, path):
            os.remove(path)
        os.close(descriptor)


def _is_file_of(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _forget_in_child() -> None:
    # Else a lock would last as long as any worker that loads data.
    while _held:
        os.close(_held.popitem()[1])


os.register_at_fork(after_in_child=_forget_in_child)
atexit.register(unlock_folders)
