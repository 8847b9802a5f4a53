"""Words and vectors of a file in any of the formats that this package knows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fairseq_alone.corpus.own_vector_file import SAFETENSORS_ENDING, known_vectors
from fairseq_alone.corpus.vector_file import BINARY_ENDING, NamedVectors, Record, binary_records, text_records
from fairseq_alone.errors import UserError


def read_vectors(path: str, lower_case: bool = False, quiet: bool = True) -> NamedVectors:
    """Read all words of a file. Of a word that stands there twice, the first vector counts.

    Args:
        path: text of word2vec or GloVe; a binary file (.bin) of word2vec; or a file .safetensors of ``fairseq-alone
            corpus-vectors``, whose words without a vector are left out.
        lower_case: lower-case the words.
        quiet: show no progress bar.

    Raises:
        UserError: the file is missing, holds no vector, or is malformed; names the file and the line or word.
    """
    if path.endswith(SAFETENSORS_ENDING):
        records: Iterator[Record] = ((word, row.copy) for word, row in known_vectors(path))
    else:
        records = binary_records(path) if path.endswith(BINARY_ENDING) else text_records(path, quiet)
    rows: dict[str, np.ndarray] = {}
    for word, values in records:
        name = word.lower() if lower_case else word
        if name not in rows:
            rows[name] = values()
    if not rows:
        raise UserError(f"{path}: holds no word vector")
    return NamedVectors(list(rows), np.stack(list(rows.values())))
