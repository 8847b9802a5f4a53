"""Free rows go to the first words of the dictionary, which must be the most frequent ones."""

import logging
from collections.abc import Iterable

import numpy as np
from fairseq.data import Dictionary

logger = logging.getLogger(__name__)

# Of the tokens that the most frequent words would cover. Words of equal counts, or nearly so, may stand in any order.
_ENOUGH = 0.99


def warn_unless_sorted(dictionary: Dictionary, band_ends: Iterable[int]) -> None:
    """Log a warning when the first words of a dictionary are not its most frequent ones, by its own counts.

    fairseq-preprocess sorts the dictionaries that it makes; one that is given with ``--srcdict`` may have any order.

    Args:
        dictionary: with counts; where all are equal, as in some converted vocabularies, they say nothing.
        band_ends: where each band of rows ends, in words from the beginning, fairseq's own symbols included.
    """
    counts = np.array(dictionary.count[dictionary.nspecial : len(dictionary)], dtype=np.float64)
    falling = np.sort(counts)[::-1]
    for end in band_ends:
        first = max(end - dictionary.nspecial, 0)
        covered, possible = counts[:first].sum(), falling[:first].sum()
        if covered < _ENOUGH * possible:
            logger.warning(
                "the dictionary is not sorted by frequency: its first %s words are %.1f%% of the tokens that it "
                "counts, its most frequent %s words %.1f%%; free rows go to the first words, so rare words get them",
                *(f"{first:,}", 100 * covered / counts.sum(), f"{first:,}", 100 * possible / counts.sum()),
            )
            return
