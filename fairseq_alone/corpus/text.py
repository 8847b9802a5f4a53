"""Training text as numbers: what counting needs, wherever it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Sentences(Protocol):
    """Sentences of word numbers, of which each is read on its own; fairseq's data sets are such."""

    def __len__(self) -> int:
        """How many sentences there are."""

    def __getitem__(self, number: int, /) -> np.ndarray:
        """One sentence, (L,) integers in [0, V)."""


@dataclass(frozen=True)
class Text:
    """A monolingual corpus, or one side of a parallel one.

    Args:
        sentences: its sentences.
        vocabulary: V, how many words there are.
        words: the words by number, V of them; the first ``special`` are no words of the text.
        special: how many entries of the dictionary are its own symbols.
    """

    sentences: Sentences
    vocabulary: int
    words: list[str]
    special: int


@dataclass(frozen=True)
class Corpus:
    """What vectors are learned from.

    Args:
        texts: one text, or two, which translate each other line by line.
        joined: whether two texts have one vocabulary.
    """

    texts: tuple[Text, ...]
    joined: bool = False

    @property
    def num_lines(self) -> int:
        """How many lines each text has."""
        return len(self.texts[0].sentences)

    @property
    def vocabulary(self) -> int:
        """How many rows the counts have: words of both sides that are not joined stand behind each other."""
        return self.texts[0].vocabulary if self.joined else sum(text.vocabulary for text in self.texts)

    def first_row(self, side: int) -> int:
        """Where the words of a text begin among the rows."""
        return 0 if self.joined else sum(text.vocabulary for text in self.texts[:side])


def chunks(corpus: Corpus, lines: np.ndarray, max_words: int) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Read lines in pieces of bounded size.

    Args:
        corpus: one text or two.
        lines: the numbers of the lines to read, ascending.
        max_words: a piece ends with the line that reaches so many words, of all texts together.

    Yields:
        For each text the words of the piece, (N,) rows of the counts, and the length of each of its lines.
    """
    piece: list[list[np.ndarray]] = [[] for _ in corpus.texts]
    size = 0
    for line in lines.tolist():
        for side, text in enumerate(corpus.texts):
            sentence = np.asarray(text.sentences[line])
            piece[side].append(sentence)
            size += len(sentence)
        if size >= max_words:
            yield _joined(corpus, piece)
            piece, size = [[] for _ in corpus.texts], 0
    if size:
        yield _joined(corpus, piece)


def _joined(corpus: Corpus, piece: list[list[np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (
            np.concatenate(sentences).astype(np.int64) + corpus.first_row(side),
            np.array([len(sentence) for sentence in sentences]),
        )
        for side, sentences in enumerate(piece)
    ]
