"""The commands of fairseq, as this Python runs them."""

import os
import sys

import fairseq_alone


def fairseq_command(tool: str) -> list[str]:
    """``train`` is fairseq-train."""
    return [sys.executable, "-m", f"fairseq_cli.{tool}"]


def user_dir() -> str:
    """The package, for ``--user-dir``."""
    return os.path.dirname(os.path.abspath(fairseq_alone.__file__))
