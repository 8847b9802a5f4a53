"""Corpus vectors made in other ways, and what is left of them when parts of what they say are taken away."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fairseq_alone.corpus.learning import learn
from fairseq_alone.corpus.text import Corpus
from fairseq_alone.corpus.vectors import VectorSettings

_SEED = 1
# Words of one bin have about the same frequency.
_BIN = 200


@dataclass(frozen=True)
class Variant:
    """One way to vectors.

    Args:
        settings: those of :class:`VectorSettings` that differ from its defaults.
        change: what is done to the vectors (V, D) of words by falling frequency, with a generator.
        flags: of fairseq-train, in place of the recipe's.
        has_vectors: whether the table begins with vectors at all.
        about: a few words.
    """

    about: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray] = lambda vectors, _: vectors
    flags: tuple[str, ...] = ()
    has_vectors: bool = True


def _rotated(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Other axes: all angles and lengths stay."""
    rotation, _ = np.linalg.qr(generator.normal(size=(vectors.shape[1], vectors.shape[1])))
    return vectors @ rotation


def _shuffled(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every word gets another's vector: the cloud stays as it is, what it says of words is lost."""
    return vectors[generator.permutation(len(vectors))]


def _shuffled_in_bins(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same among words of about one frequency: only that is left."""
    order = np.concatenate(
        [start + generator.permutation(min(_BIN, len(vectors) - start)) for start in range(0, len(vectors), _BIN)]
    )
    return vectors[order]


def _gaussian(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Random vectors with the covariance of the true ones."""
    center = vectors.mean(0)
    factor = np.linalg.cholesky(np.cov(vectors.T) + 1e-9 * np.eye(vectors.shape[1]))
    return center + generator.normal(size=vectors.shape) @ factor.T


def _half(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The strongest half of the directions; noise of the same size as the weakest of them in the others."""
    kept = vectors.shape[1] // 2
    noise = generator.normal(0, vectors[:, kept - 1].std(), (len(vectors), vectors.shape[1] - kept))
    return np.concatenate([vectors[:, :kept], noise], axis=1)


_SHORT = ("--warmup-updates", "300")

VARIANTS = {
    "random": Variant("no vectors", has_vectors=False),
    "random_warmup_300": Variant("no vectors, half of the warm-up", flags=_SHORT, has_vectors=False),
    "default": Variant("window 4, both sides of the pair, power 0.75"),
    "window_1": Variant("window 1", {"window": 1}),
    "window_2": Variant("window 2", {"window": 2}),
    "window_10": Variant("window 10", {"window": 10}),
    "one_side": Variant("without the other side of the pair", {"across": False}),
    "power_1": Variant("context counts as they are", {"power": 1.0}),
    "power_half": Variant("context counts to the power 0.5", {"power": 0.5}),
    "singular_0": Variant("all directions equally strong", {"singular_power": 0.0}),
    "singular_1": Variant("directions by their singular values", {"singular_power": 1.0}),
    "half": Variant("the strongest half of the directions, noise in the others", change=_half),
    "rotated": Variant("a random rotation", change=_rotated),
    "shuffled": Variant("each word has another's vector", change=_shuffled),
    "shuffled_in_bins": Variant("each word has that of a word of its frequency", change=_shuffled_in_bins),
    "gaussian": Variant("random vectors of the same covariance", change=_gaussian),
    "lr_1.5": Variant("1.5 times the learning rate", flags=("--lr", "0.006")),
    "lr_0.67": Variant("two thirds of the learning rate", flags=("--lr", "0.00267")),
    "warmup_300": Variant("half of the warm-up", flags=_SHORT),
}


def vectors_of(variant: Variant, corpus: Corpus, dim: int) -> np.ndarray:
    """The vectors (V, D) of a joined vocabulary, zeros for words without one."""
    words = learn(corpus, VectorSettings(dim, **variant.settings))[0]
    generator = np.random.Generator(np.random.Philox(key=_SEED))
    known = np.flatnonzero(words.frequency > 0)
    order = known[np.argsort(-words.frequency[known], kind="stable")]
    changed = words.vectors.copy()
    changed[order] = variant.change(words.vectors[order], generator)
    return changed
