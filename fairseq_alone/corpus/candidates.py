"""Candidate lists (Jean et al., ACL 2015, section 3.2): the words that a translation may have, by its source."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fairseq_alone.errors import UserError
from fairseq_alone.text_files import numbered_lines, write_lines


@dataclass(frozen=True)
class Candidates:
    """Words of every translation, and those that a source word brings.

    Args:
        frequent: the most frequent words of the target.
        likely: for each source word its most likely targets.
    """

    frequent: list[str]
    likely: dict[str, list[str]]

    def write(self, path: str) -> None:
        """Write a line for each source word: it, a tab, its targets with spaces between; the first has no source."""
        lines = [f"\t{' '.join(self.frequent)}"]
        lines += [f"{word}\t{' '.join(targets)}" for word, targets in self.likely.items()]
        write_lines(path, lines)


def read_candidates(path: str, source: dict[str, int], target: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Read what :meth:`Candidates.write` wrote.

    Args:
        path: the file.
        source: the numbers of the source words.
        target: those of the target words.

    Returns:
        The most frequent target words, (K,); and those of each source word, (V, K'), where -1 is none. int64.

    Raises:
        UserError: the file is missing, malformed or of other dictionaries; names the line.
    """
    frequent: np.ndarray | None = None
    likely: dict[int, list[int]] = {}
    for number, line in numbered_lines(path, quiet=False):
        where = f"{path}, line {number}"
        word, tab, targets = line.rstrip("\n").partition("\t")
        if not tab or (not word) != (number == 1):
            raise UserError(f"{where}: expected a source word, a tab and its targets; see fairseq-alone candidates")
        numbers = _numbers(targets.split(" ") if targets else [], target, where)
        if not word:
            frequent = np.array(numbers, dtype=np.int64)
        else:
            likely[_numbers([word], source, where)[0]] = numbers
    if frequent is None:
        raise UserError(f"{path}: is empty; see fairseq-alone candidates")
    table = np.full((len(source), max(map(len, likely.values()), default=0)), -1, dtype=np.int64)
    for row, numbers in likely.items():
        table[row, : len(numbers)] = numbers
    return frequent, table


def _numbers(words: Iterable[str], known: dict[str, int], where: str) -> list[int]:
    for word in words:
        if word not in known:
            raise UserError(f"{where}: the dictionary has no word {word}; were the candidates made from other data?")
    return [known[word] for word in words]
