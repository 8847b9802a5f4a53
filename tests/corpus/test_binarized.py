"""Folders of fairseq-preprocess as corpora."""

import numpy as np
import pytest
import torch
from fairseq.data import indexed_dataset
from small_models import dictionary

from fairseq_alone.corpus.binarized import read_corpus, running_words
from fairseq_alone.errors import UserError

LINES = [[4, 5, 2], [6, 2], [7, 7, 8, 2]]


def write(folder, name, lines=LINES, words=10, dataset_impl="mmap"):
    builder = indexed_dataset.make_builder(str(folder / f"{name}.bin"), impl=dataset_impl, vocab_size=words)
    for line in lines:
        builder.add_item(torch.tensor(line))
    builder.finalize(str(folder / f"{name}.idx"))


def pair(folder, target_words=10, **settings):
    for side, words in (("en", 10), ("de", target_words)):
        write(folder, f"train.en-de.{side}", words=words, **settings)
        dictionary(words).save(str(folder / f"dict.{side}.txt"))
    return str(folder)


def sentences(text):
    return [text.sentences[number].tolist() for number in range(len(text.sentences))]


@pytest.mark.parametrize("dataset_impl", ["mmap", "lazy"])
@pytest.mark.parametrize("languages", [(None, None), ("en", "de"), ("de", "en")])
def test_two_sides_in_either_direction(languages, dataset_impl, tmp_path):
    corpus = read_corpus(pair(tmp_path, dataset_impl=dataset_impl), *languages)
    assert corpus.joined
    assert corpus.vocabulary == 10
    for text in corpus.texts:
        assert sentences(text) == LINES
        assert text.words == dictionary(10).symbols
        assert text.special == 4
    assert isinstance(corpus.texts[0].sentences[0], np.ndarray)


def test_dictionaries_that_differ_are_not_joined(tmp_path):
    corpus = read_corpus(pair(tmp_path, target_words=12))
    assert not corpus.joined
    assert corpus.vocabulary == 22
    assert corpus.first_row(1) == 10
    # The direction decides which text comes first.
    assert read_corpus(str(tmp_path), "de", "en").texts[0].vocabulary == 12


def test_one_text_and_the_first_of_several_folders(tmp_path):
    write(tmp_path, "train")
    dictionary(10).save(str(tmp_path / "dict.txt"))
    for folder in (str(tmp_path), f"{tmp_path}:{tmp_path}/other"):
        (text,) = read_corpus(folder).texts
        assert sentences(text) == LINES
    given = dictionary(20)
    assert read_corpus(str(tmp_path), dictionaries=(given,)).vocabulary == 20


def test_what_is_missing_is_named(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="has no training data; give a folder that fairseq-preprocess wrote"):
            read_corpus(str(folder))
    pair(tmp_path)
    with pytest.raises(UserError, match=r"has no training data train.fr-en.en.bin"):
        read_corpus(str(tmp_path), "en", "fr", (dictionary(10), dictionary(10)))
    (tmp_path / "dict.de.txt").unlink()
    with pytest.raises(UserError, match=r"dict.de.txt: there is no such file"):
        read_corpus(str(tmp_path))
    write(tmp_path, "train.en-de.de", LINES[:2])
    with pytest.raises(UserError, match="the two sides of the training data have different numbers of lines"):
        read_corpus(str(tmp_path), "en", "de", (dictionary(10), dictionary(10)))


@pytest.mark.parametrize("dataset_impl", ["mmap", "lazy"])
def test_running_words_come_in_order_and_in_pieces(dataset_impl, tmp_path):
    write(tmp_path, "train", dataset_impl=dataset_impl)
    dictionary(10).save(str(tmp_path / "dict.txt"))
    (text,) = read_corpus(str(tmp_path)).texts
    pieces = [piece.tolist() for piece in running_words(text, 4)]
    assert sum(pieces, []) == sum(LINES, [])
    assert [len(piece) for piece in pieces] == {"mmap": [4, 4, 1], "lazy": [5, 4]}[dataset_impl]
