"""The console command ``fairseq-alone``: one module of this folder for each subcommand.

A subcommand module offers ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args)``. ``run`` raises
:class:`~fairseq_alone.errors.UserError` for bad input.
"""

import argparse
import importlib
import os
import sys

from fairseq_alone import compat
from fairseq_alone.errors import UserError

COMMANDS = (
    "average",
    "characters",
    "check-corpus",
    "compare",
    "demo",
    "download-wmt16",
    "duc2004",
    "evaluate",
    "generate",
    "headlines",
    "language-models",
    "path",
    "plot",
    "prepare",
    "report",
    "rerank",
    "rouge",
    "score",
    "score-headlines",
    "train",
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``fairseq-alone`` with all its subcommands."""
    parser = argparse.ArgumentParser(
        prog="fairseq-alone",
        description="Tools for Transformers whose embedding table is computed instead of stored.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"fairseq_alone.cli.{name.replace('-', '_')}")
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv=None) -> int:
    """Run one subcommand. Returns the exit status: 0, or 1 after bad input (argparse itself exits with 2)."""
    command = "fairseq-alone"
    try:
        compat.require_fairseq()
        args = build_parser().parse_args(argv)
        command += f" {args.command}"
        args.run(args)
        sys.stdout.flush()
    except UserError as error:
        print(f"{command}: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output, `head` for example, has seen enough. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
