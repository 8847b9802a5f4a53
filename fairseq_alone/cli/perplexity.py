"""``fairseq-alone perplexity``: how likely a language model finds each line of a text, and all of it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from fairseq_alone.cli.model_arguments import add_machine, load_model
from fairseq_alone.cli.source_arguments import add_source
from fairseq_alone.errors import UserError
from fairseq_alone.text_files import read_lines, read_standard_input

if TYPE_CHECKING:
    from fairseq_alone.inference.language_model import LanguageModel, TextScore

_LINES_AT_A_TIME = 1_000
_NOTE = "note: trained on text that goes on from line to line; --carry-state reads so, else each line begins anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``perplexity``."""
    add_source(parser, also=", a folder for CTranslate2")
    parser.add_argument("--input", metavar="FILE", help="text, a sentence a line; default: standard input")
    add_machine(parser)
    parser.add_argument(
        "--carry-state",
        action="store_true",
        help="begin each line with the state that the one before left, as a training with --carry-state does",
    )
    parser.add_argument("--lines", action="store_true", help="print LOG_PROBABILITY<TAB>UNITS<TAB>PERPLEXITY of each")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Score, and print."""
    from fairseq_alone.inference.language_model import LanguageModel, perplexity

    lines = read_lines(args.input) if args.input is not None else read_standard_input()
    model = load_model(args)
    if not isinstance(model, LanguageModel):
        raise UserError(f"{args.model}: is no language model; see fairseq-alone translate")
    if args.carry_state:
        with tqdm(desc="scoring", unit=" words", disable=True if args.quiet else None, leave=False) as bar:
            scores = model.score_running(lines, bar.update)
    else:
        if model.carries_state:
            print(_NOTE, file=sys.stderr)
        scores = _score_lines(model, lines, args.quiet)
    if args.lines:
        for score in scores:
            print(f"{score.log_probability:.4f}\t{score.units}\t{score.perplexity:.2f}")
        sys.stdout.flush()
    units = sum(score.units for score in scores)
    print(
        f"perplexity {perplexity(scores):.2f} over {units:,} words and ends of lines",
        file=sys.stderr if args.lines else sys.stdout,
    )


def _score_lines(model: LanguageModel, lines: list[str], quiet: bool) -> list[TextScore]:
    """Each by itself."""
    scores: list[TextScore] = []
    with tqdm(total=len(lines), desc="scoring", disable=True if quiet else None, leave=False) as bar:
        for start in range(0, len(lines), _LINES_AT_A_TIME):
            texts = lines[start : start + _LINES_AT_A_TIME]
            scores += model.score(texts)
            bar.update(len(texts))
    return scores
