"""Word vectors of length one: cosines are products then, and the nearest words have the largest."""

from dataclasses import dataclass

import numpy as np

from fairseq_alone.corpus.vector_file import NamedVectors


@dataclass(frozen=True)
class UnitVectors:
    """Words by their directions.

    Args:
        words: V of them, the most frequent first. They may repeat; then the first counts.
        units: (V, D), float32, each of length one, or zeros for a word without a vector.
        place: the number of each word that has a vector.
    """

    words: list[str]
    units: np.ndarray
    place: dict[str, int]

    @classmethod
    def of(cls, named: NamedVectors) -> "UnitVectors":
        """Scale vectors to length one; a vector of zeros counts as none."""
        lengths = np.linalg.norm(named.vectors, axis=1, keepdims=True)
        place: dict[str, int] = {}
        for number, (word, length) in enumerate(zip(named.words, lengths.ravel().tolist(), strict=True)):
            if length > 0:
                place.setdefault(word, number)
        return cls(named.words, named.vectors / np.where(lengths > 0, lengths, 1), place)

    def first(self, count: int) -> "UnitVectors":
        """The first words; 0 is all."""
        if not count:
            return self
        place = {word: number for word, number in self.place.items() if number < count}
        return UnitVectors(self.words[:count], self.units[:count], place)

    def nearest(self, word: str, count: int) -> list[tuple[str, float]]:
        """The nearest other words and their cosines, the nearest first; empty for a word that has no vector."""
        if word not in self.place:
            return []
        known = np.linalg.norm(self.units, axis=1) > 0
        known[self.place[word]] = False
        cosines = np.where(known, self.units @ self.units[self.place[word]], -np.inf)
        order = (-cosines).argsort(kind="stable")[: min(count, int(known.sum()))]
        return [(self.words[other], float(cosines[other])) for other in order]
