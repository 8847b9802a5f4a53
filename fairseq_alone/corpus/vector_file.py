"""Word vectors in the formats of word2vec, text and binary: of a model's vocabulary, or all that a file has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.text_files import numbered_lines

if TYPE_CHECKING:
    from fairseq.data import Dictionary

#: Endings of the two formats; a file with another ending is read as text.
TEXT_ENDINGS, BINARY_ENDING = (".txt", ".vec"), ".bin"

#: A word of a file, and a function that gives its values, (D,) float32: most words of a large file are not wanted.
Record = tuple[str, Callable[[], np.ndarray]]


@dataclass(frozen=True)
class NamedVectors:
    """Words and their vectors, in the order of a file: the most frequent first, as word2vec's tools write them.

    Args:
        words: V different ones.
        vectors: (V, D), float32.
    """

    words: list[str]
    vectors: np.ndarray

    def __len__(self) -> int:
        """V."""
        return len(self.words)

    @property
    def dim(self) -> int:
        """D."""
        return self.vectors.shape[1]

    def first(self, count: int, also: Collection[str] = ()) -> NamedVectors:
        """The first words, and those of ``also`` that come later; a count of 0 is all."""
        if not count:
            return self
        rows = [row for row, word in enumerate(self.words) if row < count or word in also]
        return NamedVectors([self.words[row] for row in rows], self.vectors[rows])


def write_vectors(path: str, words: list[str], vectors: np.ndarray) -> None:
    """Write a file that word2vec's tools and gensim read, whole or not at all.

    Args:
        path: ends in .bin for the binary format; any other is text, whose nine digits give the same float32 back.
        words: V of them, without white space.
        vectors: (V, D), float32.
    """
    header = f"{len(words)} {vectors.shape[1]}\n"
    with replaced_on_success(path) as part:
        if path.endswith(BINARY_ENDING):
            with open(part, "wb") as binary:
                binary.write(header.encode())
                for word, row in zip(words, vectors.astype("<f4"), strict=True):
                    binary.write(word.encode() + b" " + row.tobytes() + b"\n")
            return
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            file.write(header)
            for word, row in zip(words, vectors, strict=True):
                file.write(" ".join([word, *(f"{value:.9g}" for value in row.tolist())]) + "\n")


def read_word_vectors(path: str, dictionary: Dictionary) -> tuple[Tensor, Tensor]:
    """Read the vectors of a dictionary's words from text.

    A line holds a word and its values, separated by spaces; a first line with two numbers is a header. Words that are
    not in the dictionary are skipped; of a word that stands there twice, the first vector counts.

    Args:
        path: the file, UTF-8.
        dictionary: a fairseq dictionary with V symbols.

    Returns:
        The vectors (V, D) in float32, zeros for words without one, and whether each word has one, (V,) bool.

    Raises:
        UserError: the file is missing, holds no vector for any word, or a line of it is malformed; names file and line.
    """
    return _of_dictionary(text_records(path, quiet=False), path, dictionary)


def read_binary_word_vectors(path: str, dictionary: Dictionary) -> tuple[Tensor, Tensor]:
    """What :func:`read_word_vectors` reads, from the binary file that word2vec writes with ``-binary 1``.

    A line says how many words there are and how many values each has; then come a word, a space and its values as
    float32, as a small-endian machine has them, for each word, with or without a line feed behind them.

    Args:
        path: the file.
        dictionary: a fairseq dictionary with V symbols.

    Returns:
        See :func:`read_word_vectors`.

    Raises:
        UserError: the file is missing, cut short or another one, or holds no vector for any word; names it.
    """
    return _of_dictionary(binary_records(path), path, dictionary)


def text_records(path: str, quiet: bool) -> Iterator[Record]:
    """The words of a text and their values. Raises UserError, which names the file and the line, for a bad one."""
    dim = 0
    for number, line in numbered_lines(path, quiet):
        word, *values = line.rstrip().split(" ")
        if number == 1 and len(values) == 1 and word.isdigit() and values[0].isdigit():
            continue  # the header: how many words, how many values each
        dim = dim or len(values)
        surplus = len(values) - dim
        if surplus > 0 and not any(map(_is_number, values[:surplus])):
            # A few entries of GloVe's largest file have spaces in them.
            word, values = " ".join([word, *values[:surplus]]), values[surplus:]
        if len(values) != dim or dim == 0:
            raise UserError(f"{path}, line {number}: expected a word and {dim or 'its'} values")
        yield word, partial(_floats, values, path, number)


def binary_records(path: str) -> Iterator[Record]:
    """The words of a binary file and their values. Raises UserError, which names the file, for a damaged one."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    header, _, _ = content[:100].partition(b"\n")
    sizes = header.split()
    if len(sizes) != 2 or not all(size.isdigit() for size in sizes) or not int(sizes[1]):
        raise UserError(f"{path}: is no binary file of word2vec: it does not begin with two numbers")
    words, dim = map(int, sizes)
    at = len(header) + 1
    for number in range(1, words + 1):
        space = content.find(b" ", at)
        end = space + 1 + 4 * dim
        if space < 0 or end > len(content):
            raise UserError(f"{path}: ends within word {number} of {words}")
        word = content[at:space].lstrip(b"\n").decode("utf-8", "replace")
        yield word, partial(_packed, content, space + 1, dim, f"{path}, word {number}")
        at = end


def _of_dictionary(records: Iterator[Record], path: str, dictionary: Dictionary) -> tuple[Tensor, Tensor]:
    rows: dict[int, np.ndarray] = {}
    for word, values in records:
        index = dictionary.indices.get(word)
        if index is not None and index not in rows:
            rows[index] = values()
    if not rows:
        raise UserError(f"{path}: holds no vector for any word of the vocabulary")
    places = torch.tensor(list(rows))
    found = torch.from_numpy(np.stack(list(rows.values())))
    matrix = torch.zeros(len(dictionary), found.size(1))
    covered = torch.zeros(len(dictionary), dtype=torch.bool)
    matrix[places] = found
    covered[places] = True
    return matrix, covered


def coverage(covered: Tensor, dictionary: Dictionary) -> float:
    """The share of the training text's running words, special symbols left out, that have a vector: from 0 to 1."""
    counts = torch.tensor(dictionary.count, dtype=torch.float64)
    counts[: dictionary.nspecial] = 0
    return (counts[covered].sum() / counts.sum()).item()


def _floats(values: list[str], path: str, number: int) -> np.ndarray:
    try:
        found = [float(value) for value in values]
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}") from error
    return _finite(np.array(found, np.float32), f"{path}, line {number}")


def _packed(content: bytes, start: int, dim: int, where: str) -> np.ndarray:
    return _finite(np.frombuffer(content, "<f4", dim, start).astype(np.float32), where)


def _finite(values: np.ndarray, where: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise UserError(f"{where}: a value is no finite number")
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
