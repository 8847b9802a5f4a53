"""A folder of fairseq-preprocess as a corpus."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.data import Dictionary, data_utils, indexed_dataset

from fairseq_alone.corpus.text import Corpus, Text, chunks
from fairseq_alone.errors import UserError


class _Sentences:
    """fairseq's data set of one text; each sentence ends with the dictionary's end of sentence."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.dataset[number].numpy()


def read_corpus(
    folder: str,
    source: str | None = None,
    target: str | None = None,
    dictionaries: tuple[Dictionary, ...] | None = None,
) -> Corpus:
    """The training data of a language model or of translation.

    Args:
        folder: of fairseq-preprocess; of several with ``:`` between, the first.
        source: the source language; None looks for it, and takes text for a language model where there are no pairs.
        target: the target language.
        dictionaries: of the texts; None reads those of the folder.

    Raises:
        UserError: there is no such data, or its two sides have different numbers of lines.
    """
    path = Path(folder.split(":")[0])
    if source is None and not Path(f"{path}/train.idx").exists():
        source, target = _languages(path)
    pair = source is not None and target is not None
    sides = [source, target] if pair else [None]
    names = [f"train.{source}-{target}.{side}" if pair else "train" for side in sides]
    if pair and not Path(path, names[0] + ".idx").exists():
        # fairseq takes the files of the other direction, too.
        names = [f"train.{target}-{source}.{side}" for side in sides]
    if dictionaries is None:
        dictionaries = tuple(_dictionary(path, f"dict.{side}.txt" if pair else "dict.txt") for side in sides)
    texts = tuple(_text(path, name, words) for name, words in zip(names, dictionaries, strict=True))
    if len({len(text.sentences) for text in texts}) > 1:
        raise UserError(f"{path}: the two sides of the training data have different numbers of lines")
    return Corpus(texts, joined=pair and dictionaries[0] == dictionaries[1])


def running_words(text: Text, max_words: int = 2**22) -> Iterator[np.ndarray]:
    """All words of a binarised text in their order, with the ends of sentences, in pieces of (N,) integers.

    Args:
        text: of :func:`read_corpus`.
        max_words: a piece has about so many, so that memory is bounded.
    """
    words = words_end_to_end(getattr(text.sentences, "dataset", None))
    if words is not None:
        for start in range(0, len(words), max_words):
            yield words[start : start + max_words].astype(np.int64)
        return
    for piece in chunks(Corpus((text,)), np.arange(len(text.sentences)), max_words):
        yield piece[0][0]


def words_end_to_end(dataset: Any) -> np.ndarray | None:
    """All words of fairseq's data set of one text, (N,) integers, where they stand so in its file; else None."""
    if not isinstance(dataset, indexed_dataset.MMapIndexedDataset):
        return None
    # Nothing is read before it is used; a hundred million words are in a second.
    return np.frombuffer(dataset._bin_buffer, dtype=dataset._index.dtype)


def _text(path: Path, name: str, dictionary: Dictionary) -> Text:
    # fairseq's old format: read each line when it is asked for; its other way wants to know before which ones.
    kind = indexed_dataset.infer_dataset_impl(str(path / name)) if Path(path, name + ".idx").exists() else "mmap"
    dataset = data_utils.load_indexed_dataset(str(path / name), dictionary, "lazy" if kind == "cached" else kind)
    if dataset is None:
        raise UserError(f"{path}: has no training data {name}.bin; give a folder that fairseq-preprocess wrote")
    return Text(_Sentences(dataset), len(dictionary), list(dictionary.symbols), dictionary.nspecial)


def _dictionary(path: Path, name: str) -> Dictionary:
    if not Path(path, name).is_file():
        raise UserError(f"{path}/{name}: there is no such file; give a folder that fairseq-preprocess wrote")
    return Dictionary.load(str(path / name))


def _languages(path: Path) -> tuple[str, str]:
    source, target = data_utils.infer_language_pair(str(path)) if path.is_dir() else (None, None)
    if source is None or target is None:
        raise UserError(f"{path}: has no training data; give a folder that fairseq-preprocess wrote")
    return source, target
