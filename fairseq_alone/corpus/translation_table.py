"""Which words translate which: the first model of IBM (Brown et al., 1993), from parallel text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairseq_alone.corpus.text import Corpus, chunks

# Of both sides together, that are aligned at a time.
_WORDS_AT_A_TIME = 50_000


@dataclass(frozen=True)
class TranslationTable:
    """Probabilities ``t(target | source)`` of the pairs that occur in a line together, sorted by the source.

    Args:
        sources: (P,), int64.
        targets: (P,), int64.
        probabilities: (P,), float64; those of one source add up to one.
    """

    sources: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray

    def most_likely(self, count: int, without: np.ndarray) -> dict[int, list[int]]:
        """For each source word its targets, the most likely first, at most so many; others than some."""
        kept = ~np.isin(self.targets, without)
        order = np.lexsort((self.targets[kept], -self.probabilities[kept], self.sources[kept]))
        sources, targets = self.sources[kept][order], self.targets[kept][order]
        distinct, starts = np.unique(sources, return_index=True)
        ends = np.append(starts, len(sources))[1:]
        return {
            int(source): targets[start : min(start + count, end)].tolist()
            for source, start, end in zip(distinct, starts, ends, strict=True)
        }


def translation_table(
    corpus: Corpus, lines: np.ndarray, iterations: int = 5, progress: Callable[[], object] = lambda: None
) -> TranslationTable:
    """Estimate it by expectation maximisation, from equal probabilities.

    Each target word comes from one word of its line, or from none: such an empty word stands in every line and takes
    what goes with nothing. Ends of sentences take no part.

    Args:
        corpus: two texts.
        lines: the numbers of the lines to read, ascending.
        iterations: at least 1.
        progress: called after each iteration.
    """
    source, target = corpus.texts
    pieces = [
        _Links.of(
            _without_ends(*first, corpus.first_row(0), source.words),
            _without_ends(*second, corpus.first_row(1), target.words),
            empty=source.vocabulary,
            vocabulary=target.vocabulary,
        )
        for first, second in chunks(corpus, lines, _WORDS_AT_A_TIME)
    ]
    keys = np.unique(np.concatenate([np.unique(piece.keys) for piece in pieces]))
    for piece in pieces:
        # In place of a pair its number, which takes half of the memory.
        piece.keys = np.searchsorted(keys, piece.keys).astype(np.int32)
    sources, targets = np.divmod(keys, target.vocabulary)
    probabilities = np.ones(len(keys))
    for _ in range(iterations):
        counts = np.zeros(len(keys))
        for piece in pieces:
            counts += piece.expected_counts(probabilities)
        probabilities = counts / np.bincount(sources, counts)[sources]
        progress()
    words = sources < source.vocabulary  # not the empty one
    return TranslationTable(sources[words], targets[words], probabilities[words])


def _without_ends(words: np.ndarray, lengths: np.ndarray, first_row: int, names: list[str]) -> tuple:
    """Words by their own numbers and the lengths of their lines, without the last word of each, the end symbol."""
    lines = np.repeat(np.arange(len(lengths)), lengths)
    kept = words - first_row != names.index("</s>")
    return words[kept] - first_row, np.bincount(lines[kept], minlength=len(lengths))


@dataclass
class _Links:
    """Every target word of some lines with every source word of its line; those of one target word are neighbours.

    Args:
        keys: (L,), of each link the pair that it is.
        starts: (T,), where the links of each target word begin.
        sizes: (T,), how many there are, at least one.
    """

    keys: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, source: tuple, target: tuple, empty: int, vocabulary: int) -> "_Links":
        (source_words, source_lengths), (target_words, target_lengths) = source, target
        # The empty word is the first of each line.
        ends = np.cumsum(source_lengths)
        source_words = np.insert(source_words, ends - source_lengths, empty)
        first_words = np.concatenate([[0], (ends + np.arange(1, len(ends) + 1))[:-1]])
        line_of_target = np.repeat(np.arange(len(target_lengths)), target_lengths)
        sizes = (source_lengths + 1)[line_of_target]
        starts = np.cumsum(sizes) - sizes
        within = np.arange(sizes.sum()) - np.repeat(starts, sizes)
        linked = source_words[np.repeat(first_words[line_of_target], sizes) + within]
        return cls(linked * vocabulary + np.repeat(target_words, sizes), starts, sizes)

    def expected_counts(self, probabilities: np.ndarray) -> np.ndarray:
        """How often each pair is expected, (P,)."""
        if not len(self.keys):
            return np.zeros(len(probabilities))
        of_links = probabilities[self.keys]
        shares = of_links / np.repeat(np.add.reduceat(of_links, self.starts), self.sizes)
        return np.bincount(self.keys, shares, minlength=len(probabilities))
