"""``fairseq-alone headlines``: pairs of sentence and headline in the one form that the recipe trains on."""

import json
import os

from fairseq_alone.cli.characters import SPACE
from fairseq_alone.cli.check_corpus import input_files, read_lines, sides
from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success

HELP = "normalise pairs of sentence and headline (white space, case, '▁'; pairs whose headline has '<unk>')"

# What the NAMAS scripts write for a rare word.
UNKNOWN = "<unk>"


def add_arguments(parser) -> None:
    """Add the arguments of ``headlines``."""
    parser.add_argument("prefix", metavar="PREFIX", help="the files PREFIX.SOURCE and PREFIX.TARGET, of check-corpus")
    parser.add_argument("--source-lang", required=True, metavar="SOURCE", help="suffix of the sentences")
    parser.add_argument("--target-lang", required=True, metavar="TARGET", help="suffix of the headlines")
    parser.add_argument("--output", required=True, metavar="PREFIX2", help="write PREFIX2.SOURCE and PREFIX2.TARGET")
    parser.add_argument("--lowercase", action="store_true", help="lower-case both sides (ROUGE does not see the case)")
    parser.add_argument(
        "--drop-unknown",
        action="store_true",
        help=f"drop pairs whose headline has the word {UNKNOWN}: a model that writes letters would learn to spell it",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args) -> None:
    """Write both files and print the counts."""
    inputs = input_files(args.prefix, args.source_lang, args.target_lang, tsv=False)
    outputs = sides(args.output, args.source_lang, args.target_lang)
    if set(inputs) & set(outputs):
        raise UserError(f"--output {args.output}: would overwrite its input")
    report = {
        "prefix": args.prefix,
        "pairs_read": 0,
        "pairs_written": 0,
        "unknown_in_headline": 0,
        "symbols_replaced": 0,
    }
    with replaced_on_success(outputs[0]) as source_path, replaced_on_success(outputs[1]) as target_path:
        with (
            open(source_path, "w", encoding="utf-8", newline="\n") as source_file,
            open(target_path, "w", encoding="utf-8", newline="\n") as target_file,
        ):
            try:
                for pair in zip(*(read_lines(path, args.quiet) for path in inputs), strict=True):
                    report["pairs_read"] += 1
                    if args.drop_unknown and UNKNOWN in pair[1].split():
                        report["unknown_in_headline"] += 1
                        continue
                    report["symbols_replaced"] += sum(text.count(SPACE) for text in pair)
                    source, target = (normalize(text, args.lowercase) for text in pair)
                    source_file.write(source + "\n")
                    target_file.write(target + "\n")
                    report["pairs_written"] += 1
            except ValueError as error:
                if isinstance(error, UserError):
                    raise
                raise UserError(f"{' and '.join(inputs)} do not have as many lines; run check-corpus first") from None
        if not report["pairs_written"]:
            raise UserError(f"{inputs[1]}: every headline has {UNKNOWN}; nothing is left")
    print(json.dumps(report) if args.json else summary(report))


def normalize(text: str, lowercase: bool) -> str:
    """One space for any run of white space, ``_`` for ``▁`` (the symbol for the space in split text)."""
    text = " ".join(text.split()).replace(SPACE, "_")
    return text.lower() if lowercase else text


def summary(report: dict) -> str:
    """One line for people."""
    name = os.path.basename(report["prefix"])
    text = f"{name}: {report['pairs_written']} of {report['pairs_read']} pairs written"
    if report["unknown_in_headline"]:
        text += f"; {report['unknown_in_headline']} dropped ({UNKNOWN} in the headline)"
    if report["symbols_replaced"]:
        text += f"; {report['symbols_replaced']} times '{SPACE}' replaced by '_'"
    return text
