"""``fairseq-alone path``: the folder to give to fairseq's ``--user-dir``."""

import os

import fairseq_alone


def add_arguments(parser) -> None:
    """``path`` takes no arguments."""


def run(args) -> None:
    """Print the absolute folder of the installed package."""
    print(os.path.dirname(os.path.abspath(fairseq_alone.__file__)))
