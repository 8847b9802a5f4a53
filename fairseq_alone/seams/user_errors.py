"""Errors of the user as one sentence, whatever command of fairseq runs."""

import os
import sys

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn

from fairseq_alone.errors import UserError


def install() -> None:
    """Print a UserError that nobody caught as its sentence, without a traceback."""
    # fairseq's commands have no place to catch an error of a model.
    original = sys.excepthook

    def excepthook(kind, error, traceback):
        if isinstance(error, UserError):
            _print_sentence(error)
        else:
            original(kind, error, traceback)

    sys.excepthook = excepthook
    if HydraConfig.initialized():
        _print_from_hydra()


def _print_from_hydra() -> None:
    # fairseq-hydra-train: hydra catches every error of the job, and prints it when it reads the job's result.
    original = JobReturn.return_value

    def return_value(self):
        if isinstance(self._return_value, UserError):
            _print_sentence(self._return_value)
            raise SystemExit(1)
        return original.fget(self)

    JobReturn.return_value = original.getter(return_value)


def _print_sentence(error: UserError) -> None:
    print(f"{os.path.basename(sys.argv[0])}: error: {error}", file=sys.stderr)
