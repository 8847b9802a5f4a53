"""``fairseq-alone path``: the folder to give to fairseq's ``--user-dir``."""

import argparse
import os

import fairseq_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``path`` takes no arguments."""


def run(args: argparse.Namespace) -> None:
    """Print the absolute folder of the installed package."""
    print(os.path.dirname(os.path.abspath(fairseq_alone.__file__)))
