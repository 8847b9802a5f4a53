"""How often each word is to be predicted, for criterions that draw noise."""

import logging
from collections.abc import Iterator

import numpy as np
from fairseq.tasks import FairseqTask

from fairseq_alone.corpus.binarized import read_corpus, running_words
from fairseq_alone.corpus.text import Text
from fairseq_alone.errors import UserError

logger = logging.getLogger(__name__)


def target_words(task: FairseqTask) -> Iterator[np.ndarray]:
    """The words of the training data's target side, or its only one, in their order: pieces of (N,) integers in [0, V).

    Words that the dictionary does not predict are unknown ones, as in fairseq's batches.

    Raises:
        UserError: the task names no folder with such data; now, not when the first piece is asked for.
    """
    text = _target_text(task)
    size, unknown = len(task.target_dictionary), task.target_dictionary.unk()
    return (np.where(words < size, words, unknown) for words in running_words(text))


def target_counts(task: FairseqTask) -> np.ndarray:
    """(V,), how often each word occurs in :func:`target_words`; the dictionary's counts where there is no data.

    A dictionary alone knows neither how many sentences end nor how many words are unknown, and counts both sides of the
    data if it is of both.
    """
    size = len(task.target_dictionary)
    counts = np.zeros(size, dtype=np.int64)
    try:
        pieces = target_words(task)
    except UserError as error:
        logger.warning("%s; noise is drawn by the dictionary's counts", error)
        return np.array(task.target_dictionary.count[:size], dtype=np.int64)
    for words in pieces:
        counts += np.bincount(words, minlength=size)
    return counts


def _target_text(task: FairseqTask) -> Text:
    # fairseq's older tasks, as language_modeling, keep their settings as "args".
    settings = getattr(task, "cfg", None) or getattr(task, "args", None)
    folder = getattr(settings, "data", None)
    if not folder:
        raise UserError(f"--task {type(task).__name__} names no folder with training data")
    source, target = getattr(settings, "source_lang", None), getattr(settings, "target_lang", None)
    if source is None:
        return read_corpus(folder, dictionaries=(task.target_dictionary,)).texts[-1]
    return read_corpus(folder, source, target, (task.source_dictionary, task.target_dictionary)).texts[-1]
