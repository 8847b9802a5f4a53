"""Commands that read models: ``--path`` and ``--model-overrides`` are checked before anything is written."""

import ast
import functools
from argparse import ArgumentParser
from typing import Any

from fairseq import options, utils
from fairseq.file_io import PathManager

from fairseq_alone.errors import UserError


def install() -> None:
    """Check before the command makes its ``--results-path`` and loads data."""
    # fairseq-generate makes the folder first thing after its flags are parsed.
    original = options.parse_args_and_arch

    @functools.wraps(original)
    def parse_args_and_arch(
        parser: ArgumentParser, input_args: list[str] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        parsed = original(parser, input_args, *args, **kwargs)
        # Given flags are those of a program, which may set the path afterwards. A training has no such flag.
        if input_args is None and hasattr(parsed, "model_overrides"):
            whole = not getattr(parsed, "checkpoint_suffix", "") and getattr(parsed, "checkpoint_shard_count", 1) == 1
            require_checkpoints(parsed.path, whole)
            require_overrides(parsed.model_overrides)
        return parsed

    options.parse_args_and_arch = parse_args_and_arch


def require_checkpoints(paths: str | None, whole: bool = True) -> None:
    """Raise UserError when ``--path`` is missing or names files that are not there.

    Args:
        paths: the flag, one path or several with ``:`` between.
        whole: whether the files have these very names; not so for models in several pieces.
    """
    if not paths:
        raise UserError("--path is missing: give the checkpoint to read, or several with : between them")
    for path in utils.split_paths(paths):
        if whole and not PathManager.exists(path):
            raise UserError(f"--path {path or paths}: there is no such checkpoint")


def require_overrides(text: str) -> None:
    """Raise UserError when ``--model-overrides`` is no dictionary."""
    try:
        overrides = ast.literal_eval(text)
    except (SyntaxError, ValueError) as error:
        overrides = error
    if not isinstance(overrides, dict):
        cause = overrides if isinstance(overrides, Exception) else None
        raise UserError(f"--model-overrides must be like \"{{'dropout': 0.1}}\", got {text}") from cause
