"""``fairseq-alone neighbours``: the words whose vectors are nearest to those of given words."""

import argparse
import json

from fairseq_alone.cli.vector_arguments import VECTORS_HELP
from fairseq_alone.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``neighbours``."""
    parser.add_argument("vectors", metavar="VECTORS", help=VECTORS_HELP)
    parser.add_argument("words", nargs="+", metavar="WORD")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="neighbours of each word; default: 10")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="only the first N words of the file; 0: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object: WORD: [[NEIGHBOUR, COSINE], ...]")


def run(args: argparse.Namespace) -> None:
    """Print the neighbours and their cosines."""
    from fairseq_alone.corpus.unit_vectors import UnitVectors
    from fairseq_alone.corpus.vector_reader import read_vectors

    if args.count < 1:
        raise UserError(f"--count must be at least 1, got {args.count}")
    if args.limit < 0:
        raise UserError(f"--limit must be at least 0, got {args.limit}")
    vectors = UnitVectors.of(read_vectors(args.vectors, quiet=False).first(args.limit))
    for word in args.words:
        if word not in vectors.place:
            raise UserError(f"{args.vectors}: has no vector of {word}")
    found = {word: vectors.nearest(word, args.count) for word in args.words}
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for word, near in found.items():
        print(f"{word}: {', '.join(f'{other} {cosine:.2f}' for other, cosine in near)}")
