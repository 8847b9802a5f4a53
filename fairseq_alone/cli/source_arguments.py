"""Arguments of the commands that take a trained model: a run, a bundle, a compact file or a checkpoint."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairseq_alone.inference.opening import Given


def add_source(parser: argparse.ArgumentParser, also: str = "") -> None:
    """What is used, and what a checkpoint does not know of itself. ``also``: what else it may be."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"a run (WORK/runs/RUN), a bundle, a compact file{also} or a checkpoint",
    )
    group = parser.add_argument_group("for a checkpoint that no recipe trained")
    group.add_argument("--data", metavar="DATA_BIN", help="the binarised data, for its dictionaries")
    group.add_argument("--bpe-codes", metavar="FILE", help="the merges of subword-nmt")
    group.add_argument("--sentencepiece", metavar="FILE", help="the model of SentencePiece")
    group.add_argument("--moses", action="store_true", help="the text was split by Moses's tokeniser first")
    group.add_argument("--split", action="store_true", help="the text is in the model's units already, and stays so")


def given_of(args: argparse.Namespace) -> Given:
    """What was said. Raises UserError when two of it contradict each other or a file cannot be read."""
    from fairseq_alone.inference.given_files import given_files

    return given_files(args.data, args.bpe_codes, args.sentencepiece, args.moses, args.split)
