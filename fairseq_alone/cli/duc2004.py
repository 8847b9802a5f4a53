"""``fairseq-alone duc2004``: check a copy of the DUC 2004 task 1 test set, and write it as the recipe wants it."""

import argparse
import os

from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart, require_writable
from fairseq_alone.text_files import clean_lines, write_lines
from fairseq_alone.units import normalize_headline

SENTENCES = 500
REFERENCES = 4
HOW_TO_GET_IT = (
    "DUC 2004 is licensed: ask NIST for it with the forms of https://duc.nist.gov/data.html; then let "
    "https://github.com/facebookarchive/NAMAS (DUC/setup.sh) make clean_2004/ from it, and give that folder here"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``duc2004``."""
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="input.txt, and task1_ref0.txt to task1_ref3.txt there or in references/, as the NAMAS scripts write them",
    )
    parser.add_argument("--source", metavar="FILE", help="write the sentences here; default: only check")
    parser.add_argument("--references", metavar="PREFIX", help=f"write PREFIX.0 to PREFIX.{REFERENCES - 1}")
    parser.add_argument("--lowercase", action="store_true", help="lower-case all text, like the training data")
    parser.add_argument(
        "--hide-digits", action="store_true", help="'#' for each digit of the sentences, like NAMAS's training data"
    )


def run(args: argparse.Namespace) -> None:
    """Check all files, then write them."""
    files = find_files(args.folder)
    require_writable("--references", args.references)
    copies = [f"{args.references}.{number}" for number in range(REFERENCES)] if args.references else []
    require_apart([*(("--references", path) for path in copies), ("--source", args.source)], files)
    source, *references = map(read_all, files)
    source = [normalize_headline(line, args.lowercase) for line in source]
    if args.hide_digits:
        source = ["".join("#" if letter.isdecimal() else letter for letter in line) for line in source]
    if args.source:
        write_lines(args.source, source)
    for path, lines in zip(copies, references if copies else [], strict=True):
        write_lines(path, [normalize_headline(line, args.lowercase) for line in lines])
    print(f"{args.folder}: {SENTENCES} sentences, {REFERENCES} references each")


def find_files(folder: str) -> list[str]:
    """The sentences, then the references.

    Raises:
        UserError: a file is missing.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: there is no such folder. {HOW_TO_GET_IT}")
    subfolder = os.path.join(folder, "references")
    references = subfolder if os.path.isdir(subfolder) else folder
    paths = [os.path.join(folder, "input.txt")]
    paths += [os.path.join(references, f"task1_ref{number}.txt") for number in range(REFERENCES)]
    for path in paths:
        if not os.path.isfile(path):
            raise UserError(f"{path}: there is no such file. {HOW_TO_GET_IT}")
    return paths


def read_all(path: str) -> list[str]:
    """The clean lines of one file.

    Raises:
        UserError: not UTF-8, not 500 lines, or an empty line.
    """
    lines = list(clean_lines(path))
    if len(lines) != SENTENCES:
        raise UserError(f"{path} has {len(lines)} lines; the test set of DUC 2004 task 1 has {SENTENCES}")
    for number, line in enumerate(lines, start=1):
        if not line:
            raise UserError(f"{path}, line {number}: empty")
    return lines
