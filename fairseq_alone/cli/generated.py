"""Reads what fairseq-generate printed, and finds out whether a text file is of the sentences that it translated."""

import html
import re
import sys
import unicodedata
from collections.abc import Collection, Iterator

from fairseq_alone.errors import UserError
from fairseq_alone.text_files import read_lines

# fairseq leaves out a last batch whose size is not a multiple of 8: so many sentences at most.
_LOST_BY_BATCHING = 7
# What stands for a word that was not in the dictionary; on T- lines it is <<unk>>.
_UNKNOWN = "<unk>"

SAME, MOVED, OTHER = "same", "moved", "other"


class Generated:
    """The output of fairseq-generate.

    Args:
        path: the file; it is read at once.

    Raises:
        UserError: no such file, or bytes that are not UTF-8.
    """

    def __init__(self, path: str):
        self.path = path
        self.lines = read_lines(path)

    def hypotheses(self) -> Iterator[tuple[int, int, str, str]]:
        """Yield the ``H-`` lines in the order of the file.

        Yields:
            ``(line of the file from 1, number of the sentence, score, text)``.

        Raises:
            UserError: a broken ``H-`` line.
        """
        for line_number, line in enumerate(self.lines, start=1):
            if not line.startswith("H-"):
                continue
            fields = line.split("\t", 2)
            if len(fields) != 3 or not fields[0][2:].isdecimal():
                raise UserError(
                    f"{self.path}, line {line_number}: not 'H-number<tab>score<tab>text'; was the output cut off?"
                )
            yield line_number, int(fields[0][2:]), fields[1], fields[2]

    def texts(self, letter: str) -> dict[int, str]:
        """The text of the ``S-`` or ``T-`` lines, by the number of the sentence."""
        matches = (re.match(rf"{letter}-(\d+)\t(.*)", line) for line in self.lines)
        return {int(match[1]): match[2] for match in matches if match}

    def require_every_sentence(
        self, numbers: Collection[int], letter: str, path: str, lines: list[str], strict: bool = False
    ) -> None:
        """Check that there is a hypothesis for each line of a text file and none besides, and that the texts agree.

        Args:
            numbers: the sentences that have a hypothesis.
            letter: what to compare the text file with: ``T`` for references, ``S`` for sources.
            path: the text file.
            lines: what it holds.
            strict: refuse another text of the same length, which otherwise gets a note on standard error.

        Raises:
            UserError: a hypothesis is missing or too many; says which file is at fault, as far as that can be known.
        """
        missing = sorted(set(range(len(lines))) - set(numbers))
        place = place_of(self.texts(letter), lines)
        problems: dict[str | None, str] = {
            MOVED: f"the {letter}- lines of {self.path} are in {path}, but in other lines; give the text that the "
            "binarised data was made from (check-corpus drops pairs: then it is its copy)",
            OTHER: f"the {letter}- lines of {self.path} are another text than {path}; give the text that the "
            "binarised data was made from",
        }
        problem = problems.get(place)
        if len(numbers) != len(lines):
            problem = problem or _problem_of_counts(len(lines) - len(numbers), missing, place, path)
            raise UserError(
                f"{self.path} has hypotheses for {len(numbers)} sentences, but {path} has {len(lines)} lines: {problem}"
            )
        if missing:
            raise UserError(f"{self.path}: H-{missing[0]} is missing; the numbers must run from 0 to {len(lines) - 1}")
        if problem and strict:
            raise UserError(f"{problem} (--strict)")
        if problem:
            print(f"warning: {problem}", file=sys.stderr)


def _problem_of_counts(too_few: int, missing: list[int], place: str | None, path: str) -> str:
    """Why the counts differ, where the texts agree or cannot be compared."""
    if 0 < too_few <= _LOST_BY_BATCHING:
        advice = "run fairseq-generate with --required-batch-size-multiple 1 on the whole test set"
        return f"H-{missing[0]} is missing; {advice}"
    if place is None:
        return f"{path} looks like another file than the one that was translated"
    if too_few > 0:
        return f"H-{missing[0]} is missing; was the output cut off, or were sentences skipped as too long?"
    return f"{path} ends too early; the texts agree as far as it goes"


def place_of(printed: dict[int, str], lines: list[str]) -> str | None:
    """Where the sentences of fairseq-generate's output are in a text file.

    Letters and digits are compared, so that tokens, subwords, case and XML entities do not matter. Sentences with
    unknown words are left out.

    Args:
        printed: number of the sentence (from 0) -> its text.
        lines: of the text file.

    Returns:
        ``OTHER`` when at least half of the sentences are in no line; ``MOVED`` when some are in another line than their
        own; else ``SAME``. A sentence beyond the end of the file counts only if it is in a line. None when there is
        nothing to compare.
    """
    letters = {number: _letters(text) for number, text in printed.items() if _UNKNOWN not in text}
    letters = {number: text for number, text in letters.items() if text}
    if not letters:
        return None
    wanted = dict(enumerate(map(_letters, lines)))
    there = set(wanted.values())
    own = sum(wanted.get(number) == text for number, text in letters.items())
    moved = sum(wanted.get(number) != text and text in there for number, text in letters.items())
    beyond = sum(number not in wanted and text not in there for number, text in letters.items())
    if 2 * (own + moved) <= len(letters) - beyond:
        return OTHER
    return MOVED if moved else SAME


def _letters(text: str) -> str:
    # NFKC is what SentencePiece does by default; the Moses tokeniser writes entities such as &quot;.
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", html.unescape(text)).casefold()))
