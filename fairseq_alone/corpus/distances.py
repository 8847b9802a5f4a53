"""How alike two embeddings order the distances between words (Press and Wolf, EACL 2017, section 5.1)."""

import numpy as np

from fairseq_alone.corpus.unit_vectors import UnitVectors
from fairseq_alone.corpus.word_pairs import spearman


def common_words(vectors: list[UnitVectors], count: int) -> list[str]:
    """The first words of the first embedding that all have; ``count`` of them at most."""
    first, *others = vectors
    return [word for word in first.place if all(word in other.place for other in others)][:count]


def distance_correlation(first: UnitVectors, second: UnitVectors, words: list[str]) -> float | None:
    """Spearman's rho of the cosine distances of all pairs of words, each pair once; None where it is not defined."""
    return spearman(_distances(first, words), _distances(second, words))


def _distances(vectors: UnitVectors, words: list[str]) -> np.ndarray:
    units = vectors.units[[vectors.place[word] for word in words]]
    return 1 - (units @ units.T)[np.triu_indices(len(words), 1)]  # (N * (N - 1) / 2,)
