"""Scored pairs, analogies and distances: values by hand, plain loops, and gensim's."""

import itertools

import numpy as np
import pytest
from gensim.models import KeyedVectors

from fairseq_alone.corpus.analogies import Score, answer, missing_words, read_analogies
from fairseq_alone.corpus.distances import common_words, distance_correlation
from fairseq_alone.corpus.unit_vectors import UnitVectors
from fairseq_alone.corpus.vector_file import NamedVectors
from fairseq_alone.corpus.word_pairs import read_pairs, similarity, spearman
from fairseq_alone.errors import UserError

WORDS = [f"w{number}" for number in range(30)]
NAMED = NamedVectors(WORDS, np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32))
UNITS = UnitVectors.of(NAMED)


@pytest.fixture(scope="module")
def theirs():
    found = KeyedVectors(4)
    found.add_vectors(WORDS, NAMED.vectors)
    return found


def test_spearman_by_hand():
    assert spearman(np.array([1.0, 5, 3]), np.array([10.0, 30, 20])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    # 1 - 6 * (0 + 1 + 1) / (3 * 8)
    assert spearman(np.array([1.0, 2, 3]), np.array([1.0, 3, 2])) == pytest.approx(0.5)
    # Ranks 1.5, 1.5, 3 and 1, 2, 3: deviations (-.5, -.5, 1) and (-1, 0, 1).
    assert spearman(np.array([4.0, 4, 9]), np.array([1.0, 2, 3])) == pytest.approx(1.5 / (1.5 * 2) ** 0.5)
    assert spearman(np.array([1.0, 1]), np.array([1.0, 2])) is None
    assert spearman(np.array([]), np.array([])) is None


def test_pairs_are_compared_as_gensim_does(theirs, tmp_path):
    generator = np.random.default_rng(2)
    path = tmp_path / "pairs.txt"
    lines = [f"w{one}\tw{other}\t{generator.integers(0, 6)}" for one, other in generator.integers(0, 33, (60, 2))]
    path.write_text("# a comment\n\n" + "\n".join(lines) + "\n")
    pairs = read_pairs(str(path))
    found = similarity(UNITS, pairs)
    _, (expected, _), unknown = theirs.evaluate_word_pairs(str(path), case_insensitive=False, dummy4unknown=False)
    assert found.rho == pytest.approx(expected, abs=1e-6)
    assert (found.total, len(pairs.words)) == (60, len({word for line in lines for word in line.split()[:2]}))
    assert found.total - found.covered > 0
    assert found.covered == round(60 * (1 - unknown / 100))
    assert sorted(found.missing) == sorted({"w30", "w31", "w32"} & set(pairs.words))
    assert pairs.name == "pairs"


def test_a_vector_of_zeros_is_none():
    units = UnitVectors.of(NamedVectors(["a", "b", "c"], np.array([[3, 4], [0, 0], [0, 2]], np.float32)))
    assert units.units.tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0], [0, 1]]
    assert units.place == {"a": 0, "c": 2}
    assert units.nearest("a", 5) == [("c", pytest.approx(0.8))]
    assert units.nearest("b", 5) == []
    assert units.first(1).place == {"a": 0}


def test_neighbours_by_a_plain_loop(theirs):
    assert [word for word, _ in UNITS.nearest("w3", 5)] == [word for word, _ in theirs.most_similar("w3", topn=5)]


QUESTIONS = [tuple(WORDS[number] for number in numbers) for numbers in itertools.permutations(range(9), 4)]


@pytest.fixture(scope="module")
def analogies(tmp_path_factory):
    path = tmp_path_factory.mktemp("analogies") / "questions.txt"
    half = len(QUESTIONS) // 2
    lines = [": first", *map(" ".join, QUESTIONS[:half]), ": second", *map(" ".join, QUESTIONS[half:]), "w1 w2 w3 none"]
    path.write_text("\n".join(lines) + "\n")
    return read_analogies(str(path))


def test_analogies_by_a_plain_loop(analogies, monkeypatch):
    # Chunks of a few questions, so that there are several.
    monkeypatch.setattr("fairseq_alone.corpus.analogies._CHUNK_VALUES", 3 * 10 * 700)
    frequent = UNITS.first(10)
    units = frequent.units.astype(float)
    right = {"add": 0, "mul": 0}
    for a, b, c, d in ([frequent.place[word] for word in question] for question in QUESTIONS):
        others = [word for word in range(10) if word not in (a, b, c)]
        add = {w: units[w] @ (units[b] - units[a] + units[c]) for w in others}
        shifted = (1 + units @ units.T) / 2
        mul = {w: shifted[w, b] * shifted[w, c] / (shifted[w, a] + 0.001) for w in others}
        right["add"] += max(add, key=add.get) == d
        right["mul"] += max(mul, key=mul.get) == d
    told = []
    found = answer(frequent, analogies, told.append)
    total = found["first"].plus(found["second"])
    assert (total.add, total.mul) == (right["add"], right["mul"])
    assert right["add"] != right["mul"]
    assert found["first"].covered == found["first"].total == len(QUESTIONS) // 2
    assert found["second"].total == found["second"].covered + 1
    assert sum(told) == len(QUESTIONS) + 1
    assert missing_words(frequent, analogies) == ["none"]
    assert missing_words(UNITS.first(8), analogies) == ["w8", "none"]


def test_analogies_are_answered_as_gensim_does(theirs, analogies):
    share, sections = theirs.evaluate_word_analogies(analogies.path, restrict_vocab=12, case_insensitive=False)
    found = answer(UNITS.first(12), analogies)
    assert sections[0]["section"] == "first"
    assert [found["first"].add, found["second"].add] == [len(section["correct"]) for section in sections[:2]]
    assert share == pytest.approx((found["first"].add + found["second"].add) / len(QUESTIONS))


def test_scores_add_up():
    assert Score(1, 2, 3, 4).plus(Score(10, 20, 30, 40)) == Score(11, 22, 33, 44)


def test_distances_by_a_plain_loop():
    other = UnitVectors.of(NamedVectors(WORDS[5:], NAMED.vectors[5:] + 0.5))
    words = common_words([UNITS, other], 8)
    assert words == WORDS[5:13]
    distances = [
        [
            1 - vectors.units[vectors.place[a]] @ vectors.units[vectors.place[b]]
            for a, b in itertools.combinations(words, 2)
        ]
        for vectors in (UNITS, other)
    ]
    expected = spearman(*map(np.array, distances))
    assert distance_correlation(UNITS, other, words) == pytest.approx(expected)
    assert distance_correlation(UNITS, UNITS, words) == pytest.approx(1)
    assert 0 < expected < 0.999


@pytest.mark.parametrize(
    ("read", "content", "sentence"),
    [
        (read_pairs, "a b 1\na b\n", "line 2: expected two words and a score"),
        (read_pairs, "a b x\n", "line 1: expected two words and a score"),
        (read_pairs, "a b nan\n", "line 1: expected two words and a score"),
        (read_pairs, "a b c 1\n", "line 1: expected two words and a score"),
        (read_pairs, "\n \n", "holds no pair of words"),
        (read_analogies, ": x\na b c\n", "line 2: expected four words"),
        (read_analogies, ": x\n", "holds no question"),
    ],
)
def test_malformed_files_are_refused(read, content, sentence, tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=sentence):
        read(str(path))


def test_lower_case(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("A B 1e1\n")
    assert read_pairs(str(path), lower_case=True).pairs == [("a", "b")]
    path.write_text("A B C D\n")
    assert read_analogies(str(path), lower_case=True).sections == {"": [("a", "b", "c", "d")]}
