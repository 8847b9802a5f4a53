"""``fairseq-alone demo``: the translation recipe in miniature."""

from pathlib import Path


def add_arguments(parser) -> None:
    """Add the argument of ``demo``."""
    parser.add_argument("work", nargs="?", default="demo", metavar="WORK", help="folder for everything; default: demo")


def run(args) -> None:
    """Do all of it."""
    from fairseq_alone.recipes.demo import demo

    demo(Path(args.work))
