"""From a corpus to word vectors, in one call, and the same from a file that a run before left."""

import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fairseq_alone.corpus.cooccurrence import count
from fairseq_alone.corpus.text import Corpus
from fairseq_alone.corpus.vectors import VectorSettings, vectors
from fairseq_alone.files import replaced_on_success

logger = logging.getLogger(__name__)

# Raised when the numbers change that the same settings give.
_VERSION = 2


@dataclass(frozen=True)
class WordVectors:
    """Vectors of the words of one text.

    Args:
        vectors: (V, D), float32; zeros for a word without one.
        frequency: (V,), how often each word occurs in the lines that were read.
    """

    vectors: np.ndarray
    frequency: np.ndarray


def learn(
    corpus: Corpus, settings: VectorSettings, progress: Callable[[int], object] = lambda _: None
) -> tuple[WordVectors, ...]:
    """Vectors of each text of a corpus, all in one space; of a joined vocabulary, one for both.

    Args:
        corpus: what to learn from.
        settings: how.
        progress: is told how many lines were counted since it was told last.
    """
    counts = count(corpus, settings.window, sampled_lines(corpus.num_lines, settings.samples), progress)
    found = vectors(counts, settings)
    if corpus.joined or len(corpus.texts) == 1:
        return (WordVectors(found, counts.frequency),)
    rows = (slice(corpus.first_row(side), corpus.first_row(side + 1)) for side in range(2))
    return tuple(WordVectors(found[part], counts.frequency[part]) for part in rows)


def sampled_lines(num_lines: int, samples: int) -> np.ndarray:
    """Which lines are read: all, or ``samples`` of them, evenly spaced."""
    if not samples or samples >= num_lines:
        return np.arange(num_lines)
    return np.arange(samples) * num_lines // samples


def learn_once(
    corpus: Corpus, settings: VectorSettings, folder: str, progress: Callable[[int], object] = lambda _: None
) -> tuple[WordVectors, ...]:
    """The same, from a file beside the data if there is one of these words, lines and settings; else it is written.

    Args:
        corpus: what to learn from.
        settings: how.
        folder: of the data. Where nothing can be written there, nothing is kept.
        progress: see :func:`learn`.
    """
    path = Path(folder, f"corpus-vectors-{_key(corpus, settings)}.npz")
    known = _read(path)
    if known is not None:
        return known
    found = learn(corpus, settings, progress)
    arrays = {
        f"{name}{side}": array
        for side, words in enumerate(found)
        for name, array in (("vectors", words.vectors), ("frequency", words.frequency))
    }
    try:
        with replaced_on_success(str(path)) as part, open(part, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        logger.info(f"the corpus vectors are not kept for the next time: {error}")
    return found


def _key(corpus: Corpus, settings: VectorSettings) -> str:
    """Changes with anything that the vectors depend on; of the sentences, their number and some of them."""
    digest = hashlib.sha256(json.dumps([_VERSION, asdict(settings), corpus.joined]).encode())
    for text in corpus.texts:
        digest.update("\n".join(text.words).encode())
        digest.update(str(len(text.sentences)).encode())
        for line in sampled_lines(len(text.sentences), 1000).tolist():
            digest.update(np.asarray(text.sentences[line], dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> tuple[WordVectors, ...] | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            sides = len(arrays.files) // 2
            return tuple(WordVectors(arrays[f"vectors{side}"], arrays[f"frequency{side}"]) for side in range(sides))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        # Not there, or damaged: then it is made anew.
        return None
