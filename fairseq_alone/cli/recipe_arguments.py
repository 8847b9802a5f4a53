"""Arguments that the commands of the recipes share."""

import argparse
from collections.abc import Sequence
from typing import Any


def take_flags_after_dashes(parser: argparse.ArgumentParser) -> None:
    """Let the parser put the words after ``--`` into ``flags``, whatever stands before it.

    argparse itself takes them for more positional arguments, and refuses them behind a flag.
    """
    original = parser.parse_known_args

    def parse_known_args(args: Sequence[str], namespace: Any = None) -> tuple[Any, list[str]]:
        words: list[str] = list(args)
        flags: tuple[str, ...] = ()
        if "--" in words:
            at = words.index("--")
            words, flags = words[:at], tuple(words[at + 1 :])
        namespace, rest = original(words, namespace)
        namespace.flags = flags
        return namespace, rest

    # argparse has no hook for it.
    parser.parse_known_args = parse_known_args  # type: ignore[method-assign, assignment]


def add_work_and_run(parser: argparse.ArgumentParser) -> None:
    """The two that say where."""
    parser.add_argument("work", metavar="WORK", help="folder that fairseq-alone prepare wrote")
    parser.add_argument("name", metavar="RUN", help="name of the run; it is in WORK/runs/RUN")


def add_cpu(parser: argparse.ArgumentParser) -> None:
    """The one about the machine."""
    parser.add_argument("--cpu", action="store_true", help="use no GPU")
