"""The commands of fairseq, as this Python runs them."""

import os
import sys

import fairseq_alone

#: Has glibc keep freed memory. It gives every tensor of over 32 MB back and asks for it anew, zeroed, in every update.
#: Other C libraries do not read it.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(10**11)}


def fairseq_command(tool: str) -> list[str]:
    """``train`` is fairseq-train."""
    return [sys.executable, "-m", f"fairseq_cli.{tool}"]


def user_dir() -> str:
    """The package, for ``--user-dir``."""
    return os.path.dirname(os.path.abspath(fairseq_alone.__file__))
