"""Pre-trained word vectors in the formats of word2vec, for the vocabulary of a model."""

import numpy as np
import torch
from fairseq.data import Dictionary
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.text_files import numbered_lines


def read_word_vectors(path: str, dictionary: Dictionary) -> tuple[Tensor, Tensor]:
    """Read the vectors of a dictionary's words.

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
    rows: dict[int, list[float]] = {}
    dim = 0
    for number, line in numbered_lines(path, quiet=False):
        word, *values = line.rstrip().split(" ")
        if number == 1 and len(values) == 1 and word.isdigit() and values[0].isdigit():
            continue  # the header: how many words, how many values each
        dim = dim or len(values)
        if len(values) != dim or dim == 0:
            raise UserError(f"{path}, line {number}: expected a word and {dim or 'its'} values")
        index = dictionary.indices.get(word)
        if index is not None and index not in rows:
            rows[index] = _floats(values, path, number)
    return _matrix({index: torch.tensor(row) for index, row in rows.items()}, dim, path, dictionary)


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
    rows: dict[int, Tensor] = {}
    at = len(header) + 1
    for number in range(1, words + 1):
        space = content.find(b" ", at)
        end = space + 1 + 4 * dim
        if space < 0 or end > len(content):
            raise UserError(f"{path}: ends within word {number} of {words}")
        word = content[at:space].lstrip(b"\n").decode("utf-8", "replace")
        index = dictionary.indices.get(word)
        if index is not None and index not in rows:
            rows[index] = torch.from_numpy(np.frombuffer(content[space + 1 : end], "<f4").copy())
        at = end
    return _matrix(rows, dim, path, dictionary)


def _matrix(rows: dict[int, Tensor], dim: int, path: str, dictionary: Dictionary) -> tuple[Tensor, Tensor]:
    if not rows:
        raise UserError(f"{path}: holds no vector for any word of the vocabulary")
    matrix = torch.zeros(len(dictionary), dim)
    covered = torch.zeros(len(dictionary), dtype=torch.bool)
    for index, row in rows.items():
        matrix[index] = row
        covered[index] = True
    return matrix, covered


def coverage(covered: Tensor, dictionary: Dictionary) -> float:
    """The share of the training text's running words, special symbols left out, that have a vector: from 0 to 1."""
    counts = torch.tensor(dictionary.count, dtype=torch.float64)
    counts[: dictionary.nspecial] = 0
    return (counts[covered].sum() / counts.sum()).item()


def _floats(values: list[str], path: str, number: int) -> list[float]:
    try:
        return [float(value) for value in values]
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}") from error
