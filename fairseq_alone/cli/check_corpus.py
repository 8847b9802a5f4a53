"""Check parallel corpora, and write a clean copy of them, before anything is trained on them."""

import argparse
import array
import json
from collections.abc import Iterator

from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import clean_lines, clean_text, new_text_files, numbered_corpus_lines

# How many numbers of dropped lines are shown on the screen. --json gives all of them.
LINES_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fairseq-alone check-corpus`` to its parser."""
    # argparse would print PREFIX last, where --output would take it for one of its own.
    parser.usage = (
        "fairseq-alone check-corpus PREFIX [PREFIX ...] --source-lang SOURCE --target-lang TARGET "
        "--output PREFIX2 [PREFIX2 ...] [--tsv] [--json] [--quiet]"
    )
    parser.add_argument(
        "prefix",
        nargs="+",
        metavar="PREFIX",
        help="a corpus: the files PREFIX.SOURCE and PREFIX.TARGET, one sentence a line",
    )
    parser.add_argument(
        "--source-lang", required=True, metavar="SOURCE", help="suffix of the source side, for example en"
    )
    parser.add_argument(
        "--target-lang", required=True, metavar="TARGET", help="suffix of the target side, for example de"
    )
    parser.add_argument(
        "--output",
        required=True,
        nargs="+",
        metavar="PREFIX2",
        help="write PREFIX2.SOURCE and PREFIX2.TARGET; one PREFIX2 for each PREFIX",
    )
    parser.add_argument(
        "--tsv",
        action="store_true",
        help="a corpus is one file instead, PREFIX.tsv, with SENTENCE<tab>SENTENCE on each line",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the counts as JSON, one object a line for each PREFIX"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def read_tab_separated(path: str, quiet: bool, tell: bool = True) -> Iterator[tuple[str, str]]:
    """Yield pairs of clean strings, one for each line of a UTF-8 file with two columns, with constant memory.

    Raises:
        UserError: as `clean_lines`; or a line does not have exactly one tab.
    """
    for number, line in numbered_corpus_lines(path, quiet, tell):
        columns = line.split("\t")
        if len(columns) != 2:
            raise UserError(f"{path}, line {number}: must be SENTENCE<tab>SENTENCE, but has {len(columns) - 1} tabs")
        yield clean_text(columns[0]), clean_text(columns[1])


def sides(prefix: str, source_lang: str, target_lang: str) -> list[str]:
    """The two files of a corpus."""
    return [f"{prefix}.{source_lang}", f"{prefix}.{target_lang}"]


def input_files(prefix: str, source_lang: str, target_lang: str, tsv: bool) -> list[str]:
    """The files that a corpus is read from: two, or one with two columns."""
    return [f"{prefix}.tsv"] if tsv else sides(prefix, source_lang, target_lang)


def check(prefix: str, source_lang: str, target_lang: str, quiet: bool = True, tsv: bool = False) -> array.array:
    """Read both sides of a corpus and find the pairs with an empty side (nothing that can be seen).

    Memory grows by eight bytes for each such pair, and not with the corpus.

    Returns:
        the line numbers, from 1, of the pairs with an empty side.

    Raises:
        UserError: a file is missing, empty or not UTF-8, the line counts differ, a line of a ``.tsv`` file does not
            have two columns, or every pair has an empty side.
    """
    files = input_files(prefix, source_lang, target_lang, tsv)
    # One side after the other: with both in step, a bad byte would hide behind a difference in length.
    columns = [
        read_tab_separated(path, quiet) if tsv else ((line,) for line in clean_lines(path, quiet)) for path in files
    ]
    empty, counts = [], []
    for rows in columns:
        numbers, number = array.array("Q"), 0
        for number, row in enumerate(rows, start=1):
            if not all(row):
                numbers.append(number)
        empty.append(numbers)
        counts.append(number)
    if len(set(counts)) > 1:
        raise UserError(f"{files[0]} has {counts[0]} lines, but {files[1]} has {counts[1]}: they must be parallel")
    dropped = array.array("Q", sorted(set().union(*empty)))
    if len(dropped) == counts[0]:
        raise UserError(f"{' and '.join(files)}: every pair has an empty side")
    return dropped


def write_clean(
    prefix: str,
    source_lang: str,
    target_lang: str,
    output: str,
    dropped: array.array,
    quiet: bool = True,
    tsv: bool = False,
) -> dict:
    """Write the clean copy of a checked corpus under the prefix ``output``, without the pairs of ``dropped``.

    Returns:
        ``prefix``, ``pairs_read``, ``pairs_written``, ``pairs_dropped`` (int), ``dropped_lines`` (line numbers from 1)
        and ``files`` (the two files written).
    """
    inputs, outputs = input_files(prefix, source_lang, target_lang, tsv), sides(output, source_lang, target_lang)
    skipped = set(dropped)
    with new_text_files(*outputs) as files:
        number = 0
        # `check` has told of byte order marks.
        if tsv:
            pairs = read_tab_separated(inputs[0], quiet, tell=False)
        else:
            pairs = zip(*(clean_lines(path, quiet, tell=False) for path in inputs), strict=True)
        for number, pair in enumerate(pairs, start=1):
            if number not in skipped:
                for file, line in zip(files, pair, strict=True):
                    file.write(line + "\n")
    return {
        "prefix": prefix,
        "pairs_read": number,
        "pairs_written": number - len(dropped),
        "pairs_dropped": len(dropped),
        "dropped_lines": list(dropped),
        "files": outputs,
    }


def check_corpora(
    prefixes: list[str], source_lang: str, target_lang: str, outputs: list[str], quiet: bool = True, tsv: bool = False
) -> list[dict]:
    """Check all corpora; when all are good, write a clean copy of each. Returns one report each, see `write_clean`.

    Raises:
        UserError: as in `check`; or ``outputs`` does not fit ``prefixes``, has no folder, or is also an input.
    """
    if source_lang == target_lang:
        raise UserError(f"--source-lang and --target-lang are both '{source_lang}'")
    if len(prefixes) != len(outputs):
        raise UserError(f"--output has {len(outputs)} prefixes for {len(prefixes)} corpora; give one for each")
    inputs = [path for prefix in prefixes for path in input_files(prefix, source_lang, target_lang, tsv)]
    written = [("--output", path) for output in outputs for path in sides(output, source_lang, target_lang)]
    require_apart(written, inputs)
    dropped = [check(prefix, source_lang, target_lang, quiet, tsv) for prefix in prefixes]
    return [
        write_clean(prefix, source_lang, target_lang, output, lines, quiet, tsv)
        for prefix, output, lines in zip(prefixes, outputs, dropped, strict=True)
    ]


def summary(report: dict) -> str:
    """One line for people: the counts, and where the dropped pairs were."""
    text = (
        f"{report['prefix']}: {report['pairs_read']} pairs read, {report['pairs_dropped']} dropped (an empty side), "
        f"{report['pairs_written']} written"
    )
    lines = report["dropped_lines"]
    if lines:
        more = ", ..." if len(lines) > LINES_SHOWN else ""
        text += f"; dropped lines: {', '.join(map(str, lines[:LINES_SHOWN]))}{more}"
    return text


def run(args: argparse.Namespace) -> None:
    """Run ``fairseq-alone check-corpus``."""
    reports = check_corpora(args.prefix, args.source_lang, args.target_lang, args.output, args.quiet, args.tsv)
    for report in reports:
        print(json.dumps(report) if args.json else summary(report))
