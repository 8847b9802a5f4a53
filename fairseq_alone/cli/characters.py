"""``fairseq-alone characters``: text as one token a character, and back."""

import argparse
from collections.abc import Callable, Iterator

from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import clean_lines, write_lines
from fairseq_alone.units import join_characters, split_characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``characters``."""
    parser.usage = "fairseq-alone characters INPUT [INPUT ...] --output OUTPUT [OUTPUT ...] [--join] [--quiet]"
    parser.add_argument("input", nargs="+", metavar="INPUT", help="text, one sentence a line")
    parser.add_argument(
        "--output", required=True, nargs="+", metavar="OUTPUT", help="files to write, line by line; one for each INPUT"
    )
    parser.add_argument("--join", action="store_true", help="INPUT is split: put the words together again")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Write each OUTPUT."""
    if len(args.input) != len(args.output):
        raise UserError(f"--output has {len(args.output)} files for {len(args.input)}; give one for each")
    require_apart([("--output", path) for path in args.output], args.input)
    convert = join_characters if args.join else split_characters
    for source, target in zip(args.input, args.output, strict=True):
        write_lines(target, converted(source, convert, args.quiet))


def converted(path: str, convert: Callable[[str], str], quiet: bool) -> Iterator[str]:
    """Yield the clean lines of a file, each through ``convert``.

    Raises:
        UserError: the file cannot be read, or ``convert`` raises ValueError; names file and line.
    """
    for number, line in enumerate(clean_lines(path, quiet), start=1):
        try:
            yield convert(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
