"""Spelling by hand: marks of subwords, special entries, long entries, rare characters."""

import pytest
import torch

from fairseq_alone.modules.spelling import (
    BEGIN,
    END,
    GOES_ON,
    RARE,
    SPACE,
    awaited_spelling,
    character_type,
    numbers_of,
    places_of,
    spell,
    spelling_of,
)


def words_of(spelling):
    starts, lengths = places_of(spelling.characters, spelling.num_characters - len(spelling.code_points))
    pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
    return [spelling.characters[start : start + length].tolist() for start, length in pairs]


def test_marks_of_subwords():
    """Two special entries have 6 and 7; then come the letters in the order of Unicode."""
    spelling = spelling_of([None, None, "low", "low@@", "▁low", "@@", "@@@", "▁", "lo▁w"], max_length=32)
    assert spelling.code_points.tolist() == sorted(map(ord, "@low▁"))
    at, low, space = 8, [9, 10, 11], 12
    assert (
        words_of(spelling)
        == [
            [6],
            [7],
            [BEGIN, *low, END],
            [BEGIN, *low, GOES_ON],
            [SPACE, *low, END],
            [BEGIN, at, at, END],  # a word of its own
            [BEGIN, at, GOES_ON],
            [SPACE, END],
            [BEGIN, *low[:2], space, low[2], END],
        ]
    )
    assert (spelling.num_entries, spelling.num_characters, spelling.num_cut, spelling.num_alike) == (9, 13, 0, 0)


@pytest.mark.parametrize(
    ("length", "kept"), [(1, "a"), (2, "af"), (3, "abf"), (4, "abef"), (5, "abcef"), (6, "abcdef")]
)
def test_long_entries_lose_their_middle(length, kept):
    spelling = spelling_of(["abcdef@@", "x"], max_length=length)
    letters = numbers_of(spelling.code_points.tolist(), spelling.num_characters)
    assert words_of(spelling)[0] == [BEGIN, *(letters[ord(letter)] for letter in kept), GOES_ON]
    assert spelling.num_cut == (length < 6)


def test_rare_characters_share_one():
    """An entry counts once, however often it has a character."""
    spelling = spelling_of(["aab", "ab", "bbcc", "dd"], max_length=9, min_entries=2)
    assert spelling.code_points.tolist() == [ord("a"), ord("b")]
    assert words_of(spelling)[2:] == [[BEGIN, 7, 7, RARE, RARE, END], [BEGIN, RARE, RARE, END]]


def test_entries_that_are_spelled_alike():
    assert spelling_of(["ab", "cd", "ef", "ab"], max_length=9).num_alike == 1
    assert spelling_of(["ab", "cd", "ef", "ab"], max_length=9, min_entries=2).num_alike == 2
    assert spelling_of(["abxcd", "abycd", None, None], max_length=4).num_alike == 1


def test_unknown_characters_of_other_words():
    assert spell("ba@@", {ord("a"): 8}, 9) == [BEGIN, RARE, 8, GOES_ON]


@pytest.mark.parametrize(("count", "dtype"), [(250, torch.uint8), (251, torch.int16), (33000, torch.int32)])
def test_characters_take_few_bytes(count, dtype):
    """With the five marks and nothing, 250 characters are 256 numbers."""
    entries = [chr(0x4E00 + number) for number in range(count)]
    spelling = spelling_of(entries, max_length=9)
    assert spelling.characters.dtype == dtype == character_type(count + 6)
    assert int(spelling.characters.max()) == count + 5
    assert spelling.num_alike == 0


def test_an_awaited_spelling_has_the_sizes():
    found = awaited_spelling(7, 300, 280, 50)
    assert (found.characters.shape, found.characters.dtype, found.code_points.shape) == ((50,), torch.int16, (280,))
    assert (found.num_entries, found.num_characters) == (7, 300)
