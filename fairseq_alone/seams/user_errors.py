"""Errors of the user as one sentence, whatever command of fairseq runs."""

import os
import re
import sys
from types import TracebackType
from typing import Any

from hydra.core.utils import JobReturn

from fairseq_alone.errors import UserError
from fairseq_alone.fairseq_mistakes import sentence_of


def install() -> None:
    """End with a sentence, without a traceback, where the user made a mistake that nobody caught."""
    _wrap_excepthook()
    _wrap_hydra()


def mistake(error: BaseException) -> str | None:
    """The sentence for an error that is a mistake of the user, or None."""
    if isinstance(error, UserError):
        return str(error)
    if type(error).__name__ == "ProcessRaisedException":
        # One of several processes failed; torch hands its traceback on as text.
        raised = re.search(rf"^{re.escape(UserError.__module__)}\.{UserError.__name__}: (.*)", str(error), re.MULTILINE)
        return raised.group(1) if raised else None
    return sentence_of(error)


def _wrap_excepthook() -> None:
    # fairseq's commands have no place to catch an error of a model.
    original = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sentence = mistake(error)
        if sentence is None:
            original(kind, error, traceback)
        else:
            print(f"{os.path.basename(sys.argv[0])}: error: {sentence}", file=sys.stderr)

    sys.excepthook = excepthook


def _wrap_hydra() -> None:
    # Hydra, in fairseq-hydra-train, catches what a job raised, prints a traceback and exits.
    original: Any = JobReturn.return_value  # a property

    def return_value(self: JobReturn) -> Any:
        error = self._return_value
        sentence = mistake(error) if isinstance(error, Exception) else None
        if sentence is None:
            return original.fget(self)
        raise SystemExit(f"{os.path.basename(sys.argv[0])}: error: {sentence}")

    replaced: Any = JobReturn
    replaced.return_value = property(return_value, original.fset)
