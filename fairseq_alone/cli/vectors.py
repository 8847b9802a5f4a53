"""``fairseq-alone vectors``: the word vectors of a trained model as a file that word2vec's tools read."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from fairseq_alone.cli.fairseq_log import log_hidden
from fairseq_alone.cli.source_arguments import add_source, given_of
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart

if TYPE_CHECKING:
    from fairseq_alone.corpus.vector_file import NamedVectors
    from fairseq_alone.inference.word_vectors import ModelVectors

_ENDINGS = (".txt", ".vec", ".bin")

# Missing words that are named; --json has all.
_NAMED = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vectors``."""
    add_source(parser)
    parser.add_argument(
        "--embedding",
        choices=("encoder", "decoder", "output"),
        required=True,
        help="what the encoder reads, what the decoder or the language model reads, or the rows of the output layer",
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="FILE.txt or FILE.vec, text; FILE.bin, word2vec's binary form"
    )
    parser.add_argument(
        "--words",
        metavar="FILE",
        help="only these words, one a line; each is split as the model's text is, and has the mean of its pieces' "
        "vectors; default: all entries of the dictionary, pieces as they are",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Read the model, write the file, and say how many words it has."""
    from fairseq_alone.corpus.vector_file import write_vectors
    from fairseq_alone.inference.word_vectors import model_vectors

    if not args.output.endswith(_ENDINGS):
        raise UserError(f"--output {args.output}: must end in {', '.join(_ENDINGS[:-1])} (text) or .bin (binary)")
    require_apart([("--output", args.output)], [args.model, args.words, args.bpe_codes, args.sentencepiece])
    words = None if args.words is None else _words(args.words)
    with log_hidden():
        model = model_vectors(args.model, args.embedding, given_of(args))
    named, missing = (model.entries(), []) if words is None else _of_words(model, words, args.words)
    write_vectors(args.output, named.words, named.vectors)
    facts = {"file": args.output, "words": len(named), "dim": named.dim, "missing": missing}
    if args.json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    if missing:
        some = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        print(f"note: {len(missing):,} of {args.words} have no vector: {some}", file=sys.stderr)
    print(f"{args.output}: {len(named):,} vectors of {named.dim} values, {args.embedding} of {args.model}")


def _words(path: str) -> list[str]:
    from fairseq_alone.text_files import numbered_lines

    words = []
    for number, line in numbered_lines(path):
        fields = line.split()
        if len(fields) > 1:
            raise UserError(f"{path}, line {number}: expected one word")
        words += fields
    if not words:
        raise UserError(f"{path}: holds no word")
    return words


def _of_words(model: ModelVectors, words: list[str], path: str) -> tuple[NamedVectors, list[str]]:
    named, missing = model.of_words(words)
    if not len(named):
        raise UserError(f"{path}: {model.path} has no vector of any of its words")
    return named, missing
