"""How often words are to be predicted: counted in binarised data, or by the dictionary."""

import argparse

import pytest
import torch
from fairseq.data import indexed_dataset
from fairseq.data.dictionary import TruncatedDictionary
from fairseq.tasks.language_modeling import LanguageModelingTask
from small_models import dictionary

from fairseq_alone.criterions.target_words import target_counts, target_words
from fairseq_alone.errors import UserError

LINES = {"en": [[4, 5, 2], [6, 2]], "de": [[7, 7, 8, 2], [3, 2]]}


def write(path, lines):
    builder = indexed_dataset.make_builder(f"{path}.bin", impl="mmap", vocab_size=10)
    for line in lines:
        builder.add_item(torch.tensor(line))
    builder.finalize(f"{path}.idx")


def task(folder, **languages):
    words = dictionary(10)
    settings = argparse.Namespace(data=str(folder), **languages)
    return argparse.Namespace(cfg=settings, source_dictionary=words, target_dictionary=words)


def test_of_a_translation_the_target_side(tmp_path):
    for side, lines in LINES.items():
        write(tmp_path / f"train.en-de.{side}", lines)
    assert target_counts(task(tmp_path, source_lang="en", target_lang="de")).tolist() == [0, 0, 2, 1, 0, 0, 0, 2, 1, 0]
    assert target_counts(task(tmp_path, source_lang="de", target_lang="en")).tolist() == [0, 0, 2, 0, 1, 1, 1, 0, 0, 0]


def test_of_a_language_model_the_text(tmp_path):
    write(tmp_path / "train", LINES["en"])
    (tmp_path / "dict.txt").write_text("")
    given = LanguageModelingTask(argparse.Namespace(data=str(tmp_path)), dictionary(10))
    assert target_counts(given).tolist() == [0, 0, 2, 0, 1, 1, 1, 0, 0, 0]
    given = task(tmp_path)
    given.target_dictionary = TruncatedDictionary(given.source_dictionary, 6)
    assert target_counts(given).tolist() == [0, 0, 2, 1, 1, 1]


def test_without_data_the_dictionarys(tmp_path, caplog):
    given = task(tmp_path)
    given.target_dictionary.count[5] = 7
    assert target_counts(given)[4:6].tolist() == [1, 7]
    assert "noise is drawn by the dictionary's counts" in caplog.text
    with pytest.raises(UserError, match="names no folder with training data"):
        target_words(argparse.Namespace(cfg=argparse.Namespace()))
