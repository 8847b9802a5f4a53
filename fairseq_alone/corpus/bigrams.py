"""How often one word follows another in a text."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bigrams:
    """Pairs of a word and the one that follows it, sorted by the first, then by the second.

    Args:
        starts: (V + 1,), where the pairs of each first word begin.
        words: (B,), int32, the second words.
        counts: (B,), int64, how often each pair occurs.
    """

    starts: np.ndarray
    words: np.ndarray
    counts: np.ndarray


def count_bigrams(pieces: Iterable[np.ndarray], vocabulary: int, limit: int) -> Bigrams:
    """Count the pairs of a running text.

    The end of a sentence is a word that the next sentence's first one follows, as in what a model is given.

    Args:
        pieces: the text's words in order, each (N,) integers in [0, V).
        vocabulary: V.
        limit: how many different pairs are kept, at least 1. With more the rarest are dropped as they are counted
            (Manku and Motwani, 2002, count so), so memory is bounded by the limit and one piece.
    """
    keys, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    last = np.zeros(0, dtype=np.int64)
    for piece in pieces:
        words = np.concatenate([last, piece])
        last = words[-1:]
        found, times = np.unique(words[:-1] * vocabulary + words[1:], return_counts=True)
        keys, places = np.unique(np.concatenate([keys, found]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, times]), minlength=len(keys)).astype(np.int64)
        if len(keys) > limit:
            # A stable sort, so that the same pairs are kept everywhere.
            kept = np.sort(np.argsort(-counts, kind="stable")[:limit])
            keys, counts = keys[kept], counts[kept]
    firsts, words = np.divmod(keys, vocabulary)
    return Bigrams(np.searchsorted(firsts, np.arange(vocabulary + 1)), words.astype(np.int32), counts)
