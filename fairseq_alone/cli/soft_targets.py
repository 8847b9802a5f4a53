"""``fairseq-alone soft-targets``: the words that the augmented loss teaches in place of a word."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

from fairseq_alone.cli.fairseq_log import log_hidden
from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.errors import UserError

if TYPE_CHECKING:
    from fairseq_alone.inference.soft_targets import SoftTarget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``soft-targets``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="whose word vectors give the distributions")
    parser.add_argument("data", metavar="DATA", help="the folder of the binarised data, for its dictionary")
    parser.add_argument("words", nargs="*", metavar="WORD", help="of the dictionary; default: ten, frequent to rare")
    parser.add_argument(
        "--temperature",
        nargs="+",
        type=float,
        default=[1.0],
        metavar="TAU",
        help="of --augmented-loss-temperature, one or more; default: 1, as for training",
    )
    parser.add_argument("--top", type=int, default=5, metavar="N", help="words that are named; default: 5")
    parser.add_argument(
        "--vectors",
        metavar="FILE",
        help="take these vectors, as --augmented-loss-target-vectors does, not the model's: word2vec's text",
    )
    parser.add_argument("--json", action="store_true", help="print one object for each word and temperature")


def run(args: argparse.Namespace) -> None:
    """Compute the distributions, and print them."""
    from fairseq_alone.corpus.vector_file import read_word_vectors
    from fairseq_alone.criterions.augmented_loss_target import input_matrix
    from fairseq_alone.inference.over_data import load_over_data
    from fairseq_alone.inference.soft_targets import sample_words, soft_targets

    if args.top < 1:
        raise UserError(f"--top must be at least 1, got {args.top}")
    for temperature in args.temperature:
        if not 0.0 < temperature < math.inf:
            raise UserError(f"--temperature must be a positive number, got {temperature:g}")
    with log_hidden():
        model, task = load_over_data(args.checkpoint, args.data)
    dictionary = task.target_dictionary
    ids = [_id_of(word, dictionary) for word in args.words] or sample_words(dictionary)
    matrix = read_word_vectors(args.vectors, dictionary)[0] if args.vectors else input_matrix(model)
    rows = [row for tau in args.temperature for row in zip(ids, soft_targets(matrix, ids, tau, args.top), strict=True)]
    if args.json:
        print(json.dumps([_described(word, found, dictionary) for word, found in rows], ensure_ascii=False, indent=1))
    else:
        print(_table(rows, dictionary))


def _id_of(word: str, dictionary: Any) -> int:
    found = dictionary.index(word)
    if found == dictionary.unk() and word != dictionary.unk_word:
        raise UserError(f"{word}: the dictionary has no such word")
    return found


def _described(word: int, found: SoftTarget, dictionary: Any) -> dict:
    return {
        "word": dictionary[word],
        "temperature": found.temperature,
        "probability": found.own,
        "perplexity": found.perplexity,
        "words": [{"word": dictionary[other], "probability": value} for other, value in found.words],
    }


def _table(rows: list[tuple[int, SoftTarget]], dictionary: Any) -> str:
    cells = [["word", "most likely", "tau", "its own probability", "perplexity"]]
    for word, found in rows:
        likely = ", ".join(f"{dictionary[other]} {value:.3g}" for other, value in found.words)
        cells.append(
            [dictionary[word], likely, f"{found.temperature:g}", f"{found.own:.3g}", f"{found.perplexity:,.1f}"]
        )
    flat = f"Of {len(dictionary):,} words. A perplexity near that is a flat target: little but smoothing is taught."
    return f"{markdown_table(cells, left_aligned=2)}\n\n{flat}"
