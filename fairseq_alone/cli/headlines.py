"""``fairseq-alone headlines``: pairs of sentence and headline in the one form that the recipe trains on."""

import argparse
import itertools
import json
import os
from collections.abc import Iterable, Iterator

from fairseq_alone.cli.check_corpus import sides
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import clean_lines, new_text_files
from fairseq_alone.units import SPACE, normalize_headline

# What the NAMAS scripts write for a rare word.
UNKNOWN = "<unk>"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``headlines``."""
    # argparse would print PREFIX last, where --output would take it for one of its own.
    parser.usage = (
        "fairseq-alone headlines PREFIX [PREFIX ...] --source-lang SOURCE --target-lang TARGET "
        "--output PREFIX2 [PREFIX2 ...] [--lowercase] [--drop-unknown PREFIX ...] "
        "[--json] [--quiet]"
    )
    parser.add_argument(
        "prefix", nargs="+", metavar="PREFIX", help="the files PREFIX.SOURCE and PREFIX.TARGET, of check-corpus"
    )
    parser.add_argument("--source-lang", required=True, metavar="SOURCE", help="suffix of the sentences")
    parser.add_argument("--target-lang", required=True, metavar="TARGET", help="suffix of the headlines")
    parser.add_argument(
        "--output",
        required=True,
        nargs="+",
        metavar="PREFIX2",
        help="write PREFIX2.SOURCE and PREFIX2.TARGET; one PREFIX2 for each PREFIX",
    )
    parser.add_argument("--lowercase", action="store_true", help="lower-case both sides (ROUGE does not see the case)")
    parser.add_argument(
        "--drop-unknown",
        nargs="+",
        default=[],
        metavar="PREFIX",
        help=f"drop the pairs of these corpora whose headline has the word {UNKNOWN}: a model that writes letters "
        "would learn to spell it",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the counts as JSON, one object a line for each PREFIX"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Write both files of each PREFIX2 and print the counts."""
    if len(args.prefix) != len(args.output):
        raise UserError(f"--output has {len(args.output)} prefixes for {len(args.prefix)}; give one for each")
    unknown = set(args.drop_unknown) - set(args.prefix)
    if unknown:
        raise UserError(f"--drop-unknown {min(unknown)}: is none of the corpora")
    inputs, outputs = (
        [path for name in names for path in sides(name, args.source_lang, args.target_lang)]
        for names in (args.prefix, args.output)
    )
    require_apart([("--output", path) for path in outputs], inputs)
    for prefix, output in zip(args.prefix, args.output, strict=True):
        inputs, outputs = (sides(name, args.source_lang, args.target_lang) for name in (prefix, output))
        pairs = read_pairs(inputs, args.quiet)
        counts = write_normalized(pairs, outputs, args.lowercase, prefix in args.drop_unknown)
        report = {"prefix": prefix, **counts}
        print(json.dumps(report) if args.json else summary(report))


def read_pairs(paths: list[str], quiet: bool) -> Iterator[tuple[str, str]]:
    """Yield ``(sentence, headline)``.

    Raises:
        UserError: a file cannot be read, or one has more lines than the other.
    """
    sentences, headlines = (clean_lines(path, quiet) for path in paths)
    for sentence, headline in itertools.zip_longest(sentences, headlines):
        if sentence is None or headline is None:
            raise UserError(f"{' and '.join(paths)} do not have as many lines; run check-corpus first")
        yield sentence, headline


def write_normalized(pairs: Iterable[tuple[str, str]], paths: list[str], lowercase: bool, drop_unknown: bool) -> dict:
    """Write the normalised pairs into two files, which appear together.

    Returns:
        ``pairs_read``, ``pairs_written``, ``unknown_in_headline`` (pairs dropped for it), ``empty_side`` (pairs written
        with one) and ``symbols_replaced``.

    Raises:
        UserError: every pair was dropped.
    """
    counts = {"pairs_read": 0, "pairs_written": 0, "unknown_in_headline": 0, "empty_side": 0, "symbols_replaced": 0}
    with new_text_files(*paths) as files:
        for pair in pairs:
            counts["pairs_read"] += 1
            if drop_unknown and UNKNOWN in pair[1].split():
                counts["unknown_in_headline"] += 1
                continue
            counts["pairs_written"] += 1
            counts["empty_side"] += not all(pair)
            for file, text in zip(files, pair, strict=True):
                counts["symbols_replaced"] += text.count(SPACE)
                file.write(normalize_headline(text, lowercase) + "\n")
        if not counts["pairs_written"]:
            raise UserError(f"{paths[1]}: every headline has {UNKNOWN}; nothing is left")
    return counts


def summary(report: dict) -> str:
    """One line for people."""
    name = os.path.basename(report["prefix"])
    text = f"{name}: {report['pairs_written']} of {report['pairs_read']} pairs written"
    if report["unknown_in_headline"]:
        text += f"; {report['unknown_in_headline']} dropped ({UNKNOWN} in the headline)"
    if report["empty_side"]:
        text += f"; {report['empty_side']} of them with an empty side (check-corpus drops such pairs)"
    if report["symbols_replaced"]:
        text += f"; {report['symbols_replaced']} times '{SPACE}' replaced by '_'"
    return text
