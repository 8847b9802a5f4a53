"""fairseq's reading of checkpoints: always with the safe loader, and errors become one sentence."""

import functools
import types
from typing import Any

import torch
from fairseq import checkpoint_utils

from fairseq_alone.checkpoints import allow_checkpoint_types, file_errors, load_safely, require_fairseq_state
from fairseq_alone.errors import UserError


def install() -> None:
    """Load safely, and say what is wrong with a file that cannot be loaded."""
    allow_checkpoint_types()
    _load_files_safely()
    _wrap_checkpoint_loading()


def _load_files_safely() -> None:
    # A newer fairseq asks torch for the unsafe loader, which runs code from the file. All of fairseq's reading of
    # checkpoints is in this one module, and only this module sees the substitute.
    def load(file: Any, map_location: Any = None, **asked: Any) -> Any:
        path = getattr(file, "name", file)
        if isinstance(file, (str, bytes)):
            with file_errors(path), open(file, "rb") as opened:
                return load_safely(opened, path, map_location)
        return load_safely(file, path, map_location)

    substitute = types.ModuleType("torch")
    vars(substitute).update(load=load, __getattr__=functools.partial(getattr, torch))
    checkpoint_utils.torch = substitute


def _wrap_checkpoint_loading() -> None:
    # fairseq lets the errors of opening a file and of a missing key through as they are.
    original = checkpoint_utils.load_checkpoint_to_cpu

    @functools.wraps(original)
    def load_checkpoint_to_cpu(path: str, *args: Any, **kwargs: Any) -> dict:
        with file_errors(path):
            try:
                state = original(path, *args, **kwargs)
            except KeyError as error:
                raise UserError(f"{path}: not a fairseq checkpoint: it has no `{error.args[0]}`") from error
        require_fairseq_state(path, state)
        return state

    checkpoint_utils.load_checkpoint_to_cpu = load_checkpoint_to_cpu
