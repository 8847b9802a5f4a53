"""``fairseq-alone demo``: the translation recipe in miniature."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of ``demo``."""
    parser.add_argument("work", nargs="?", default="demo", metavar="WORK", help="folder for everything; default: demo")


def run(args: argparse.Namespace) -> None:
    """Do all of it."""
    from fairseq_alone.recipes.demo import demo

    demo(Path(args.work))
