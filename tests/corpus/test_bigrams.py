"""Pairs of words, counted in pieces, against a plain count."""

from collections import Counter

import numpy as np
import pytest

from fairseq_alone.corpus.bigrams import count_bigrams

TEXT = np.random.default_rng(1).integers(0, 6, 300) ** 2 % 7
PAIRS = Counter(zip(TEXT[:-1].tolist(), TEXT[1:].tolist(), strict=True))


def found(bigrams):
    return {
        (first, int(bigrams.words[place])): int(bigrams.counts[place])
        for first in range(len(bigrams.starts) - 1)
        for place in range(bigrams.starts[first], bigrams.starts[first + 1])
    }


@pytest.mark.parametrize("size", [1, 2, 7, 300, 1000])
def test_pieces_of_any_size_give_every_pair(size):
    pieces = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    assert found(count_bigrams(pieces, 8, 10**6)) == dict(PAIRS)


def test_pairs_are_sorted():
    bigrams = count_bigrams([TEXT], 8, 10**6)
    assert list(found(bigrams)) == sorted(PAIRS)
    assert bigrams.starts[-1] == len(bigrams.words) == len(PAIRS)


def test_beyond_the_limit_the_most_frequent_are_kept():
    kept = found(count_bigrams([TEXT], 8, 5))
    assert sorted(kept.values()) == sorted(PAIRS.values())[-5:]
    # Of a text in pieces it is near that.
    pieces = np.array_split(TEXT, 3)
    assert set(found(count_bigrams(pieces, 8, 5))) & set(kept)
    assert len(found(count_bigrams(pieces, 8, 5))) == 5


def test_an_empty_text():
    assert found(count_bigrams([np.zeros(0, dtype=np.int64)], 8, 5)) == {}
