"""Counts against a loop over words."""

import numpy as np
import pytest
from made_up import Sentences, loop, pair, text

from fairseq_alone.corpus import cooccurrence
from fairseq_alone.corpus.cooccurrence import count
from fairseq_alone.corpus.text import Corpus, Text

CORPORA = {"one": Corpus((text(),)), "joined": pair(joined=True), "separate": pair(joined=False)}


def dense(matrix):
    return matrix.toarray()


def test_counts_of_a_pair_by_hand():
    sides = (Text(Sentences([np.array([0, 1, 0])]), 2, ["a", "b"], 0), Text(Sentences([np.array([1])]), 2, ["c"], 0))
    counts = count(Corpus(sides), window=2)
    left, right, across = map(dense, counts.blocks)
    #                 a    b  c    d: "a b a" has one b behind a, one a behind b, and a second a two words behind.
    assert right.tolist() == [[0.5, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert left.tolist() == right.T.tolist()
    # The other side of a has one word; that of d has three, of which two are a.
    np.testing.assert_allclose(across, [[0, 0, 0, 2], [0, 0, 0, 1], [0, 0, 0, 0], [2 / 3, 1 / 3, 0, 0]])
    assert counts.frequency.tolist() == [2, 1, 0, 1]


@pytest.mark.parametrize("window", [1, 4, 20])
@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("chunk", [1, 17, 2**19])
def test_counts_are_those_of_a_loop_whatever_the_pieces(name, window, chunk, monkeypatch):
    monkeypatch.setattr(cooccurrence, "_CHUNK_WORDS", chunk)
    corpus, told = CORPORA[name], []
    counts = count(corpus, window, progress=told.append)
    right, across, frequency = loop(corpus, window, range(corpus.num_lines))
    np.testing.assert_allclose(dense(counts.right), right, rtol=1e-12)
    np.testing.assert_allclose(dense(counts.blocks[0]), right.T, rtol=1e-12)
    assert (counts.across is None) == (name == "one")
    if counts.across is not None:
        np.testing.assert_allclose(dense(counts.across), across, rtol=1e-12)
    assert counts.frequency.tolist() == frequency.tolist()
    assert sum(told) == corpus.num_lines
    assert len(told) == (30 if chunk == 1 else 1 if chunk == 2**19 else len(told))


def test_only_the_given_lines_count():
    corpus, lines = CORPORA["joined"], np.array([3, 4, 20])
    counts = count(corpus, 4, lines)
    right, across, frequency = loop(corpus, 4, lines)
    np.testing.assert_allclose(dense(counts.right), right)
    np.testing.assert_allclose(dense(counts.across), across)
    assert counts.frequency.tolist() == frequency.tolist()


def test_an_empty_side_is_no_context():
    sides = [Text(Sentences(map(np.array, lines)), 3, [], 0) for lines in ([[0, 1], [2]], [[], [1]])]
    for side in sides:
        side.sentences[:] = [line.astype(np.int64) for line in side.sentences]
    counts = count(Corpus(tuple(sides), joined=True), 4)
    assert dense(counts.across).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
