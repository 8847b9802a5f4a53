"""Text files, UTF-8: what a line is, which characters nobody can see, and files that are written whole or not at all.

Only a line feed ends a line (carriage returns before it go with it): text may hold other separators that Unicode knows.
Byte order marks (U+FEFF) are removed, and standard error says how many and where. They stand in line 1, but also where
files were joined: at the start of a later line after ``cat``, behind a tab after ``paste``.
"""

import contextlib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from tqdm import tqdm

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success

_MARKS_AT_START = re.compile("(?:^|(?<=\t))\ufeff+")
_MARKS_ANYWHERE = re.compile("\ufeff+")

# How such a file begins.
_GZIP = b"\x1f\x8b"

# Control and format characters (zero-width space and joiners, soft hyphen, marks of direction), spaces and separators.
_INVISIBLE = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp"))

# Control characters and the line and paragraph separators of Unicode. Many tools (str.splitlines, codecs readers) take
# some of them for the end of a line, which would shift one side of the corpus against the other.
_SEPARATORS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")


def is_blank(text: str) -> bool:
    """Whether there is nothing to see: no character, or only those of Unicode's categories Cc, Cf, Zs, Zl and Zp."""
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


def clean_text(text: str) -> str:
    """Control characters and line separators become spaces, the ends are stripped; blank text becomes empty."""
    return "" if is_blank(text) else text.translate(_SEPARATORS).strip()


def read_lines(path: str) -> list[str]:
    """The lines of a file, without their ends. A blank line (see `is_blank`) is ``""``; an empty file has no lines.

    Raises:
        UserError: no such file, or bytes that are not UTF-8; names file and line.
    """
    return [line for _, line in numbered_lines(path)]


def read_standard_input() -> list[str]:
    """What `read_lines` gives of a file, of standard input, which is UTF-8 whatever the locale."""
    lines = _decoded_lines(sys.stdin.buffer, "standard input", _MARKS_AT_START, True)
    return ["" if is_blank(line) else line for _, line in lines]


def numbered_lines(path: str, quiet: bool = True) -> Iterator[tuple[int, str]]:
    """Yield ``(number from 1, line)``, the lines as in `read_lines`, with constant memory and a progress bar."""
    for number, line in _decoded(path, quiet, _MARKS_AT_START):
        yield number, "" if is_blank(line) else line


def clean_lines(path: str, quiet: bool = True, tell: bool = True) -> Iterator[str]:
    """Yield the lines of a corpus, each through `clean_text`, with constant memory. See `numbered_corpus_lines`."""
    for _, line in numbered_corpus_lines(path, quiet, tell):
        yield clean_text(line)


def numbered_corpus_lines(path: str, quiet: bool = True, tell: bool = True) -> Iterator[tuple[int, str]]:
    """Yield ``(number from 1, line)`` of a corpus, as it is but for marks: none is left, within a line neither.

    Args:
        path: the file.
        quiet: show no progress bar.
        tell: say on standard error how many marks were removed.

    Raises:
        UserError: the file cannot be read, is empty, or has a line that is not UTF-8.
    """
    number = 0
    for number, line in _decoded(path, quiet, _MARKS_ANYWHERE, tell):
        yield number, line
    if number == 0:
        raise UserError(f"{path}: the file is empty")


def _decoded(path: str, quiet: bool, marks: re.Pattern, tell: bool = True) -> Iterator[tuple[int, str]]:
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by the with statement below)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    options = {"unit": "B", "unit_scale": True, "leave": False, "disable": quiet or not sys.stderr.isatty()}
    with file, tqdm(total=os.fstat(file.fileno()).st_size, desc=os.path.basename(path), **options) as bar:
        yield from _decoded_lines(file, path, marks, tell, bar.update)


def _decoded_lines(
    file: Iterable[bytes],
    path: str,
    marks: re.Pattern,
    tell: bool,
    progress: Callable[[int], object] = lambda count: None,
) -> Iterator[tuple[int, str]]:
    removed = first = 0
    for number, raw in enumerate(file, start=1):
        progress(len(raw))
        try:
            line = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            if number == 1 and raw.startswith(_GZIP):
                raise UserError(f"{path}: is compressed by gzip; unpack it first") from error
            raise UserError(
                f"{path}, line {number}: not UTF-8 (byte {error.start + 1} of the line is 0x{raw[error.start]:02x})"
            ) from error
        without = marks.sub("", line)
        if without != line:
            removed += len(line) - len(without)
            first = first or number
        yield number, without
    if removed and tell:
        mark = "byte order mark" if removed == 1 else "byte order marks"
        print(f"{path}: {removed} {mark} removed, first in line {first}", file=sys.stderr)


def count_empty(path: str, lines: list[str], strict: bool = False) -> int:
    """How many lines are empty; standard error says it, too.

    Args:
        path: where the lines are from.
        lines: as `read_lines` gives them.
        strict: refuse empty lines.

    Raises:
        UserError: ``strict``, and a line is empty; names file and line.
    """
    empty = [number for number, line in enumerate(lines, start=1) if not line]
    if empty and strict:
        raise UserError(f"{path}, line {empty[0]}: empty, which --strict refuses")
    if empty:
        lines_found = "empty line" if len(empty) == 1 else "empty lines"
        print(f"{path}: {len(empty)} {lines_found}, the first is line {empty[0]}", file=sys.stderr)
    return len(empty)


@contextlib.contextmanager
def new_text_files(*paths: str) -> Iterator[list[TextIO]]:
    """Yield a list of open files to write to; they appear under their names together, when the block has succeeded."""
    with contextlib.ExitStack() as stack:
        # All are opened before the first is renamed.
        parts = [stack.enter_context(replaced_on_success(path)) for path in paths]
        yield [stack.enter_context(open(part, "w", encoding="utf-8", newline="\n")) for part in parts]


def write_lines(path: str, lines: Iterable[str]) -> None:
    """Write a file of these lines, each given without its end."""
    with new_text_files(path) as [file]:
        file.writelines(line + "\n" for line in lines)


def write_text(path: str, text: str) -> None:
    """Write a file that holds ``text`` and nothing else."""
    with new_text_files(path) as [file]:
        file.write(text)


def write_json(path: str, value: object) -> None:
    """Write a value as JSON for people and programs: indented, letters as they are, a line end at the end."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
