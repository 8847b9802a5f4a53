"""Word vectors as files: word2vec's text for any tool, safetensors for a start without any rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fairseq_alone.corpus.learning import WordVectors
from fairseq_alone.corpus.text import Text
from fairseq_alone.corpus.vector_file import TEXT_ENDINGS, write_vectors
from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success

if TYPE_CHECKING:
    from fairseq.data import Dictionary

SAFETENSORS_ENDING = ".safetensors"


def check_form(flag: str, path: str) -> None:
    """Raise UserError, before any work is done, when the end of a file's name does not say what is to be written.

    Args:
        flag: which names the file.
        path: ends in .txt, .vec or .safetensors.
    """
    if path.endswith(SAFETENSORS_ENDING):
        _safetensors()
    elif not path.endswith(TEXT_ENDINGS):
        raise UserError(f"{flag} {path}: must end in .txt or .vec (text of word2vec), or in .safetensors")


def check_sides(flag: str, path: str, num_sides: int) -> None:
    """Raise UserError when a text file is asked for two dictionaries, whose words it could not tell apart.

    Args:
        flag: which names the file.
        path: see :func:`check_form`.
        num_sides: 1, or 2 for dictionaries that are not joined.
    """
    if num_sides > 1 and path.endswith(TEXT_ENDINGS):
        raise UserError(
            f"{flag} {path}: a text file has one vector of a word, but the two dictionaries may share words; "
            "give a file .safetensors, which has both"
        )


def write_word_vectors(path: str, texts: tuple[Text, ...], sides: tuple[WordVectors, ...]) -> None:
    """Write a file that ``--embedding-init`` reads.

    A text has a header, and a line for each word that has a vector. A file of safetensors has, for each side, the
    arrays ``vectors0`` (V, D) float32, ``frequency0`` (V,) float64 and ``words0``, UTF-8 with line feeds between.

    Args:
        path: see :func:`check_form`.
        texts: where the words come from; of a joined vocabulary, the first counts.
        sides: vectors of each text, or of both together.
    """
    named = list(zip(texts, sides, strict=False))
    if path.endswith(SAFETENSORS_ENDING):
        arrays = {}
        for side, (text, words) in enumerate(named):
            arrays[f"vectors{side}"] = words.vectors
            arrays[f"frequency{side}"] = words.frequency.astype(np.float64)
            arrays[f"words{side}"] = np.frombuffer("\n".join(text.words).encode(), np.uint8)
        with replaced_on_success(path) as part:
            _safetensors().save_file(arrays, part)
        return
    ((text, words),) = named
    known = np.flatnonzero(words.vectors.any(1))
    write_vectors(path, [text.words[word] for word in known], words.vectors[known])


def read_sides(path: str) -> list[tuple[list[str], WordVectors]]:
    """The words and vectors of each side of a safetensors file.

    Raises:
        UserError: the file is missing, damaged or another one; names it.
    """
    library = _safetensors()
    try:
        arrays = library.load_file(path)
        sides = [
            (
                arrays[f"words{side}"].tobytes().decode().split("\n"),
                WordVectors(arrays[f"vectors{side}"], arrays[f"frequency{side}"]),
            )
            for side in range(len(arrays) // 3)
        ]
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    # The library has errors of its own.
    except Exception as error:
        raise UserError(f"{path}: is no file of word vectors, or a damaged one: {error}") from error
    if not sides or any(len(words) != len(found.vectors) for words, found in sides):
        raise UserError(f"{path}: is no file of word vectors that fairseq-alone corpus-vectors wrote")
    return sides


def known_vectors(path: str) -> Iterator[tuple[str, np.ndarray]]:
    """The words of a safetensors file that have a vector, and it, (D,) float32: those of the first side first.

    Raises:
        UserError: see :func:`read_sides`.
    """
    for words, found in read_sides(path):
        for row in np.flatnonzero(found.vectors.any(1)).tolist():
            yield words[row], found.vectors[row]


def vectors_of_sides(
    path: str, sides: list[tuple[list[str], WordVectors]], dictionary: Dictionary
) -> tuple[WordVectors, Tensor]:
    """The vectors of a dictionary's words, of that side which is most like it, and which of them have one, (V,) bool.

    Args:
        path: the file, for the sentence of an error.
        sides: what :func:`read_sides` gives.
        dictionary: V words.

    Raises:
        UserError: no word has a vector.
    """

    def likeness(side: tuple[list[str], WordVectors]) -> tuple[bool, int, int]:
        common = sum(word in dictionary.indices for word in side[0])
        return side[0] == dictionary.symbols, common, -len(side[0])

    words, known = max(sides, key=likeness)
    pairs = [(dictionary.indices[word], row) for row, word in enumerate(words) if word in dictionary.indices]
    places, rows = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    vectors = np.zeros((len(dictionary), known.vectors.shape[1]), np.float32)
    frequency = np.zeros(len(dictionary))
    vectors[places], frequency[places] = known.vectors[rows], known.frequency[rows]
    covered = torch.from_numpy(vectors.any(1))
    if not covered.any():
        raise UserError(f"{path}: holds no vector for any word of the vocabulary")
    return WordVectors(vectors, frequency), covered


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError("a file .safetensors needs a library: pip install 'fairseq_alone[export]'") from error
    return safetensors.numpy
