"""Errors of the user as one sentence, whatever command of fairseq runs."""

import os
import sys

from fairseq_alone.errors import UserError


def install() -> None:
    """Print a UserError that nobody caught as its sentence, without a traceback."""
    # fairseq's commands have no place to catch an error of a model.
    original = sys.excepthook

    def excepthook(kind, error, traceback):
        if isinstance(error, UserError):
            print(f"{os.path.basename(sys.argv[0])}: error: {error}", file=sys.stderr)
        else:
            original(kind, error, traceback)

    sys.excepthook = excepthook
