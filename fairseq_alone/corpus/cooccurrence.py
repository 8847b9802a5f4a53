"""How often words stand near each other, within a text and across the two sides of a parallel one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fairseq_alone.corpus.text import Corpus, chunks

# Words that are counted at once. The memory of a piece is about 100 bytes a word of it, times the window.
_CHUNK_WORDS = 2**19


@dataclass(frozen=True)
class Counts:
    """Weighted counts of words and their contexts; each is (V, V), rows are words.

    Args:
        right: contexts to the right of a word, in the same sentence.
        across: contexts on the other side of the sentence pair; None for one text.
        frequency: (V,), how often each word occurs.
    """

    right: sparse.csr_array
    across: sparse.csr_array | None
    frequency: np.ndarray

    @property
    def blocks(self) -> list[sparse.csr_array]:
        """Contexts to the left, to the right and across, each (V, V)."""
        near = [self.right.T.tocsr(), self.right]
        return near if self.across is None else [*near, self.across]


def count(
    corpus: Corpus, window: int, lines: np.ndarray | None = None, progress: Callable[[int], object] = lambda _: None
) -> Counts:
    """Count.

    A word has as contexts the ``window`` words on either side in its sentence, with weight 1 / distance, and every word
    of the other side of the pair, with weight 1 / the length of that side.

    Args:
        corpus: one text, or two that translate each other.
        window: how far a context may be, at least 1.
        lines: the lines to count, ascending; None is all.
        progress: is told how many lines were counted since it was told last.
    """
    size = corpus.vocabulary
    lines = np.arange(corpus.num_lines) if lines is None else lines
    right, across = _Sum(size), _Sum(size)
    frequency = np.zeros(size)
    for piece in chunks(corpus, lines, _CHUNK_WORDS):
        for words, lengths in piece:
            frequency += np.bincount(words, minlength=size)
            right.add(_neighbours(words, lengths, window, size))
        if len(piece) == 2:
            across.add(_translations(piece[0], piece[1], size))
        progress(len(piece[0][1]))
    return Counts(right.total(), across.total() if len(corpus.texts) == 2 else None, frequency)


class _Sum:
    """A sum of many sparse matrices (V, V), of which each is added to one of about its own size, as in merge sort."""

    def __init__(self, size: int):
        self._parts = [sparse.csr_array((size, size))]

    def add(self, matrix: sparse.csr_array) -> None:
        self._parts.append(matrix)
        while len(self._parts) > 1 and self._parts[-2].nnz < 2 * self._parts[-1].nnz:
            self._merge()

    def total(self) -> sparse.csr_array:
        """The sum; nothing can be added after it."""
        while len(self._parts) > 1:
            self._merge()
        return self._parts.pop()

    def _merge(self) -> None:
        last = self._parts.pop()
        self._parts[-1] = self._parts[-1] + last


def _neighbours(words: np.ndarray, lengths: np.ndarray, window: int, size: int) -> sparse.csr_array:
    """Pairs (word, word to its right) of the sentences that stand end to end in ``words``."""
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    rows, columns, weights = [], [], []
    for distance in range(1, min(window, len(words) - 1) + 1):
        same = sentence[:-distance] == sentence[distance:]
        rows.append(words[:-distance][same])
        columns.append(words[distance:][same])
        weights.append(np.full(int(same.sum()), 1.0 / distance))
    if not rows:
        return sparse.csr_array((size, size))
    return _sparse(np.concatenate(weights), np.concatenate(rows), np.concatenate(columns), (size, size))


def _translations(
    source: tuple[np.ndarray, np.ndarray], target: tuple[np.ndarray, np.ndarray], size: int
) -> sparse.csr_array:
    """Pairs of a word and a word of the other side, for both sides."""
    (source_lines, source_weights), (target_lines, target_weights) = (
        (_lines(*side, size), 1.0 / np.maximum(side[1], 1)) for side in (source, target)
    )
    # (N, V)^T x (N, V): every pair of words of a line, each side's context weighted by 1 / its length.
    of_source = (sparse.diags_array(target_weights) @ source_lines).T @ target_lines
    of_target = (sparse.diags_array(source_weights) @ target_lines).T @ source_lines
    return (of_source + of_target).tocsr()


def _lines(words: np.ndarray, lengths: np.ndarray, size: int) -> sparse.csr_array:
    """How often each line has each word, (lines, V)."""
    line = np.repeat(np.arange(len(lengths)), lengths)
    return _sparse(np.ones(len(words)), line, words, (len(lengths), size))


def _sparse(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Values that share a place are added up."""
    return sparse.coo_array((values, (rows, columns)), shape=shape).tocsr()
