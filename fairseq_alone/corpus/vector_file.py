"""Pre-trained word vectors in the text format of word2vec, for the vocabulary of a model."""

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
    if not rows:
        raise UserError(f"{path}: holds no vector for any word of the vocabulary")
    matrix = torch.zeros(len(dictionary), dim)
    covered = torch.zeros(len(dictionary), dtype=torch.bool)
    for index, row in rows.items():
        matrix[index] = torch.tensor(row)
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
