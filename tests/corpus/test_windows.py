"""Windows of running text, against loops over words."""

import numpy as np
import pytest

from fairseq_alone.corpus.windows import (
    drawn_windows,
    kept_share,
    next_words,
    sentence_batches,
    subsampled,
    whole_windows,
)
from fairseq_alone.errors import SettingError

END, UNKNOWN = 2, 3
SENTENCES = [[4, 5, 6, 7, 8, 9], [5], [], [3, 4, 3, 6], [9, 8, 7, 6, 5, 4, 4, 5]]
TEXT = np.array([word for sentence in SENTENCES for word in [*sentence, END]], dtype=np.int32)
ALL = np.ones(10)


def drawn(kept=ALL, reach=2, length=4, seed=1):
    return drawn_windows(TEXT, END, UNKNOWN, kept, reach, length, np.random.default_rng(seed))


def pairs(rows, reach):
    """Each word with the words of its window, in the order of the text."""
    found = []
    for row in range(len(rows.counted)):
        for place in np.flatnonzero(rows.counted[row]):
            left, right = rows.left[row, place], rows.right[row, place]
            around = rows.words[row, place + reach - left : place + reach + right + 1].tolist()
            found.append((around.pop(left), tuple(around)))
    return found


@pytest.mark.parametrize("length", [1, 3, 4, 100])
def test_windows_of_one_size_are_those_of_a_loop(length):
    rows = drawn_windows(TEXT, END, UNKNOWN, ALL, 1, length, np.random.default_rng(1))
    known = [[word for word in sentence if word != UNKNOWN] for sentence in SENTENCES]
    expected = [
        (word, tuple(sentence[max(place - 1, 0) : place] + sentence[place + 1 : place + 2]))
        for sentence in known
        if len(sentence) > 1
        for place, word in enumerate(sentence)
    ]
    assert pairs(rows, 1) == expected
    assert rows.words.shape[1] == length + 2


def test_sizes_are_drawn_from_one_to_reach():
    sizes = dict.fromkeys(range(1, 4), 0)
    for seed in range(60):
        rows = drawn_windows(np.array([4] * 20 + [END]), END, UNKNOWN, ALL, 3, 20, np.random.default_rng(seed))
        for place in range(3, 17):
            assert rows.left[0, place] == rows.right[0, place]
            sizes[int(rows.left[0, place])] += 1
    assert sum(sizes.values()) == 840
    assert all(220 < count < 340 for count in sizes.values())


def test_words_that_are_left_out_are_not_in_windows_and_let_them_reach_further():
    kept = ALL.copy()
    kept[[5, 7]] = 0.0
    found = pairs(drawn(kept, reach=1), 1)
    assert found[:4] == [(4, (6,)), (6, (4, 8)), (8, (6, 9)), (9, (8,))]
    assert all(word not in (5, 7) for pair in found for word in (pair[0], *pair[1]))
    nothing = drawn(np.zeros(10))
    assert nothing.counted.shape == (1, 4)
    assert not nothing.counted.any()


def test_whole_windows_are_subsampled_like_drawn_ones():
    kept = ALL.copy()
    kept[[5, 7]] = 0.0
    left = subsampled(TEXT, END, UNKNOWN, kept, np.random.default_rng(1))
    assert left.tolist() == [4, 6, 8, 9, END, END, END, 4, 6, END, 9, 8, 6, 4, 4, END]
    half = [subsampled(TEXT, END, UNKNOWN, ALL / 2, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert half[0].tolist() == half[1].tolist() != half[2].tolist()


def test_frequent_words_are_kept_by_word2vecs_formula():
    # 0.01 / 0.5 = 0.02 and 0.01 / 0.4 = 0.025; the last word is rare.
    assert kept_share([0, 50, 40, 1], 0.01)[1:3] == pytest.approx([0.02**0.5 * 0.91**0.5 + 0.0182, 0.1735], abs=2e-3)
    assert kept_share([0, 50, 50], 0.01).tolist() == [1.0, *[pytest.approx(0.02**0.5 + 0.02)] * 2]
    assert kept_share([1, 2], 0.0).tolist() == [1.0, 1.0]
    for counts, threshold, problem in (([1], -1.0, "at least 0"), ([0, 0], 1e-4, "counts")):
        with pytest.raises(SettingError, match=problem):
            kept_share(counts, threshold)


def test_batches_are_whole_sentences_unless_one_is_too_long():
    ends = np.array([3, 5, 6, 16, 18])
    assert sentence_batches(ends, 6).tolist() == [0, 6, 12, 18]
    assert sentence_batches(ends, 5).tolist() == [0, 5, 6, 11, 16, 18]
    assert sentence_batches(ends, 100).tolist() == [0, 18]


@pytest.mark.parametrize(("reach", "length"), [(1, 4), (2, 5), (3, 100)])
def test_whole_windows_end_where_the_sentence_does(reach, length):
    rows = whole_windows(TEXT, END, reach, length)
    found = [
        rows.words[row, place : place + 2 * reach + 1].tolist()
        for row in range(len(rows.counted))
        for place in np.flatnonzero(rows.counted[row])
    ]
    padded = [[END] * reach + sentence + [END] * reach for sentence in SENTENCES]
    assert found == [s[place : place + 2 * reach + 1] for s in padded for place in range(len(s) - 2 * reach)]


@pytest.mark.parametrize(("before", "length"), [(1, 4), (3, 4), (4, 5)])
@pytest.mark.parametrize(("start", "stop"), [(0, 9), (2, 12), (9, len(TEXT))])
def test_each_word_has_those_before_it(before, length, start, stop):
    words, places = next_words(TEXT, start, stop, END, before, length)
    assert words.shape == places.shape == (-(-(stop - start) // length), before - 1 + length)
    assert places[places >= 0].tolist() == list(range(start, stop))
    text = [END] * before + TEXT.tolist()
    for row, column in zip(*np.nonzero(places >= 0), strict=True):
        place = places[row, column]
        assert words[row, column - before + 1 : column + 1].tolist() == text[place : place + before]
