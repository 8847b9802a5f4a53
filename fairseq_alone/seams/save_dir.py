"""``--save-dir``: one training at a time, and no empty folder behind a training that was refused."""

import atexit
import contextlib
import functools
import os
from typing import Any

from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils

from fairseq_alone.errors import UserError
from fairseq_alone.folder_lock import lock_folder, unlock_folders


def install() -> None:
    """Lock the folder before a training reads or writes it; remove it at the end if it was made for nothing."""
    _wrap_making()
    _wrap_resuming()


def _wrap_making() -> None:
    # fairseq makes the folder before it builds anything; what is wrong with the rest of the flags comes out later.
    original = checkpoint_utils.verify_checkpoint_directory

    @functools.wraps(original)
    def verify_checkpoint_directory(save_dir: str) -> None:
        made = missing_folders(save_dir)
        if made:
            atexit.register(remove_if_empty, made, os.getpid())
        try:
            original(save_dir)
        except OSError as error:
            raise UserError(f"--save-dir {save_dir}: cannot be written ({error.strerror or error})") from error

    checkpoint_utils.verify_checkpoint_directory = verify_checkpoint_directory


def _wrap_resuming() -> None:
    # The first place that knows all flags and which process of a job this is. Until here fairseq has read and written
    # nothing in the folder.
    original = checkpoint_utils.load_checkpoint

    @functools.wraps(original)
    def load_checkpoint(cfg: Any, trainer: Any, **kwargs: Any) -> Any:
        if not cfg.no_save and distributed_utils.is_master(trainer.cfg.distributed_training):
            lock_folder("--save-dir", cfg.save_dir)
        return original(cfg, trainer, **kwargs)

    checkpoint_utils.load_checkpoint = load_checkpoint


def missing_folders(folder: str) -> list[str]:
    """The folder and those above it that are not there, the innermost first."""
    missing = []
    folder = os.path.abspath(folder)
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def remove_if_empty(folders: list[str], process: int) -> None:
    """Remove folders that hold nothing, the first first. A process other than the one that made them leaves them."""
    if os.getpid() != process:
        return
    unlock_folders()
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
