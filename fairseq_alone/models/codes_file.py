"""Codes of words from a file: what ``--codes-file`` and ``--alone-codes`` take."""

import os

import torch
from fairseq.data import Dictionary
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.modules import AloneEmbedding, CodeEmbedding
from fairseq_alone.text_files import read_lines


def set_codes_of_file(embedding: AloneEmbedding | CodeEmbedding, flag: str, path: str, dictionary: Dictionary) -> None:
    """Give an embedding the codes of a file. Words that are not in it keep the random codes.

    Without the file, the embedding awaits the codes of a checkpoint, and says so where they are used before.

    Args:
        embedding: of the dictionary's words, with random codes.
        flag: what named the file.
        path: the file.
        dictionary: V words.

    Raises:
        UserError: see :func:`read_codes`.
    """
    if os.path.exists(path):
        embedding.set_codes(read_codes(path, embedding.random_codes, embedding.codebook_size, dictionary))
    else:
        embedding.await_codes(f"{flag} {path}: there is no such file")


def read_codes(path: str, codes: Tensor, size: int, dictionary: Dictionary) -> Tensor:
    """Codes (V, M) of a dictionary's words from a file, those of the other words from ``codes``.

    Raises:
        UserError: a line is malformed, or no word of the dictionary has one; names file and line.
    """
    codes, found = codes.clone(), 0
    for number, line in enumerate(read_lines(path), start=1):
        word, *values = line.rstrip().split(" ")
        if len(values) != codes.size(1) or not all(value.isdecimal() and int(value) < size for value in values):
            raise UserError(
                f"{path}, line {number}: expected a word and {codes.size(1)} whole numbers from 0 to {size - 1}"
            )
        if word in dictionary.indices:
            codes[dictionary.indices[word]] = torch.tensor([int(value) for value in values])
            found += 1
    if not found:
        raise UserError(f"{path}: has no codes for any word of the vocabulary")
    return codes
