"""Vectors of a corpus, and the file that keeps them."""

import dataclasses
import errno

import numpy as np
import pytest
from made_up import pair, text

from fairseq_alone.corpus import learning
from fairseq_alone.corpus.learning import learn, learn_once, sampled_lines
from fairseq_alone.corpus.text import Corpus
from fairseq_alone.corpus.vectors import VectorSettings

SETTINGS = VectorSettings(3, window=2)


def assert_equal(first, second):
    assert len(first) == len(second)
    for ours, theirs in zip(first, second, strict=True):
        assert np.array_equal(ours.vectors, theirs.vectors)
        assert np.array_equal(ours.frequency, theirs.frequency)


def test_sampled_lines():
    assert sampled_lines(5, 0).tolist() == sampled_lines(5, 5).tolist() == sampled_lines(5, 9).tolist() == [*range(5)]
    assert sampled_lines(10, 4).tolist() == [0, 2, 5, 7]
    lines = sampled_lines(1_000_003, 1000)
    assert len(set(lines.tolist())) == 1000
    assert set(np.diff(lines)) == {1000, 1001}


def test_each_text_gets_its_words():
    assert [words.vectors.shape for words in learn(Corpus((text(),)), SETTINGS)] == [(12, 3)]
    assert [words.vectors.shape for words in learn(pair(joined=True), SETTINGS)] == [(12, 3)]
    corpus = pair(joined=False)
    sides = learn(corpus, SETTINGS)
    assert [words.vectors.shape for words in sides] == [(12, 3), (15, 3)]
    for words, side in zip(sides, corpus.texts, strict=True):
        counted = np.bincount(np.concatenate(side.sentences), minlength=side.vocabulary)
        assert words.frequency.tolist() == counted.tolist()
    some = learn(corpus, dataclasses.replace(SETTINGS, samples=3))
    assert some[0].frequency.sum() == sum(len(corpus.texts[0].sentences[line]) for line in (0, 10, 20))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("joined", [True, False])
def test_written_once_and_read_back_equal(joined, tmp_path, monkeypatch):
    corpus = pair(joined)
    first = learn_once(corpus, SETTINGS, str(tmp_path))
    (name,) = files(tmp_path)
    assert name.startswith("corpus-vectors-")
    assert name.endswith(".npz")
    assert_equal(first, learn(corpus, SETTINGS))
    monkeypatch.setattr(learning, "learn", lambda *arguments: pytest.fail("learned again"))
    assert_equal(learn_once(corpus, SETTINGS, str(tmp_path)), first)


def test_another_corpus_or_setting_gets_another_file(tmp_path):
    corpus = pair(joined=True)
    others = [
        (corpus, dataclasses.replace(SETTINGS, **{field.name: value}))
        for field, value in zip(dataclasses.fields(SETTINGS), (2, 1, False, 0.5, 1.0, 7, 2), strict=True)
    ]
    others += [(pair(joined=True, lines=29), SETTINGS), (pair(joined=False), SETTINGS)]
    words = dataclasses.replace(corpus.texts[0], words=[*corpus.texts[0].words[:-1], "other"])
    others.append((Corpus((words, corpus.texts[1]), joined=True), SETTINGS))
    others.append((Corpus((corpus.texts[1], corpus.texts[0]), joined=True), SETTINGS))
    for number, (other, settings) in enumerate([(corpus, SETTINGS), *others], start=1):
        learn_once(other, settings, str(tmp_path))
        assert len(files(tmp_path)) == number


def without_end(path):
    path.write_bytes(path.read_bytes()[:-200])


def one_byte_changed(path):
    content = bytearray(path.read_bytes())
    content[200] ^= 255  # within the values: the checksum of the archive tells
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def other_arrays(path):
    np.savez(path, other=np.zeros(3), more=np.zeros(3))


@pytest.mark.parametrize("damage", [without_end, one_byte_changed, empty, other_arrays])
def test_a_damaged_file_is_replaced(damage, tmp_path):
    corpus = pair(joined=True)
    first = learn_once(corpus, SETTINGS, str(tmp_path))
    (name,) = files(tmp_path)
    damage(tmp_path / name)
    assert_equal(learn_once(corpus, SETTINGS, str(tmp_path)), first)
    assert files(tmp_path) == [name]
    with np.load(tmp_path / name) as arrays:
        assert np.array_equal(arrays["vectors0"], first[0].vectors)


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path, monkeypatch):
    corpus = pair(joined=True)
    expected = learn(corpus, SETTINGS)
    assert_equal(learn_once(corpus, SETTINGS, str(tmp_path / "no such folder")), expected)

    def full(*arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert_equal(learn_once(corpus, SETTINGS, str(tmp_path)), expected)
    assert files(tmp_path) == []
