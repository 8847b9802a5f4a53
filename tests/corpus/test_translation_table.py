"""IBM's first model against its definition by loops, and files of candidates."""

import random
from collections import defaultdict

import numpy as np
import pytest

from fairseq_alone.corpus.candidates import Candidates, read_candidates
from fairseq_alone.corpus.text import Corpus, Text
from fairseq_alone.corpus.translation_table import translation_table
from fairseq_alone.errors import UserError

END = 2


def corpus(pairs, words=12, joined=False):
    """Texts of word numbers, to which the end symbol is added."""
    names = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{number}" for number in range(4, words))]
    sides = [[np.array([*pair[side], END]) for pair in pairs] for side in (0, 1)]
    return Corpus(tuple(Text(side, words, names, 4) for side in sides), joined)


def by_loops(pairs, iterations):
    pairs = [(["empty", *source], target) for source, target in pairs]
    probability = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in pairs:
            for word in target:
                whole = sum(probability[other, word] for other in source)
                for other in source:
                    counts[other, word] += probability[other, word] / whole
                    totals[other] += probability[other, word] / whole
        probability = defaultdict(float, {pair: count / totals[pair[0]] for pair, count in counts.items()})
    return {pair: value for pair, value in probability.items() if pair[0] != "empty"}


def made_up(seed, count=30):
    generator = random.Random(seed)
    return [
        tuple([generator.randrange(4, 12) for _ in range(generator.randint(0, 5))] for _ in range(2))
        for _ in range(count)
    ]


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("iterations", [1, 4])
def test_loops(joined, iterations, monkeypatch):
    monkeypatch.setattr("fairseq_alone.corpus.translation_table._WORDS_AT_A_TIME", 40)
    pairs = made_up(iterations)
    told = []
    table = translation_table(corpus(pairs, joined=joined), np.arange(30), iterations, lambda: told.append(1))
    found = zip(table.sources.tolist(), table.targets.tolist(), strict=True)
    expected = by_loops(pairs, iterations)
    assert dict(zip(found, table.probabilities.tolist(), strict=True)) == pytest.approx(expected)
    assert len(told) == iterations


def test_only_the_lines_that_are_asked_for():
    pairs = made_up(7)
    some = translation_table(corpus(pairs), np.array([1, 4, 9]), 2)
    same = translation_table(corpus([pairs[1], pairs[4], pairs[9]]), np.arange(3), 2)
    assert np.array_equal(some.targets, same.targets)
    assert np.array_equal(some.probabilities, same.probabilities)


def test_a_code_of_words_is_found():
    """Each word has one translation; the order is another."""
    generator = random.Random(1)
    sources = [[generator.randrange(4, 12) for _ in range(5)] for _ in range(60)]
    pairs = [(source, [15 - word for word in reversed(source)]) for source in sources]
    table = translation_table(corpus(pairs), np.arange(60))
    assert table.most_likely(1, np.array([], int)) == {word: [15 - word] for word in range(4, 12)}
    likely = table.most_likely(3, np.array([5, 6]))
    assert all(len(targets) == 3 and not {5, 6} & set(targets) for targets in likely.values())
    assert likely[4][0] == 11
    assert likely[10][0] != 5
    assert table.most_likely(3, np.arange(12)) == {}


WORDS = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "c": 6}


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = str(tmp_path / "candidates")
    Candidates(["c", "a"], {"b": ["a", "b", "c"], "a": [], "c": ["b"]}).write(path)
    frequent, likely = read_candidates(path, WORDS, WORDS)
    assert frequent.tolist() == [6, 4]
    expected = np.full((7, 3), -1)
    expected[5], expected[6, 0] = [4, 5, 6], 5
    assert np.array_equal(likely, expected)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("a\tb\n", "line 1: expected a source word, a tab"),
        ("\ta\n\tb\n", "line 2: expected a source word, a tab"),
        ("\ta\nb a\n", "line 2: expected a source word, a tab"),
        ("\ta x\n", "line 1: the dictionary has no word x"),
        ("\ta\nx\tb\n", "line 2: the dictionary has no word x"),
    ],
)
def test_bad_files(tmp_path, text, sentence):
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_candidates(str(tmp_path / "file"), WORDS, WORDS)
    with pytest.raises(UserError, match="none"):
        read_candidates(str(tmp_path / "none"), WORDS, WORDS)
