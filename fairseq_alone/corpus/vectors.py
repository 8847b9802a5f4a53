"""Word vectors from counts: positive pointwise mutual information and its strongest directions.

Levy and Goldberg (2014) and Levy, Goldberg and Dagan (2015) have the parts: positive PMI, context counts smoothed by a
power, the singular values' square root.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from fairseq_alone.corpus.cooccurrence import Counts
from fairseq_alone.errors import SettingError

# Steps of the randomised decomposition. More change no vector's neighbours.
_POWER_STEPS = 4


@dataclass(frozen=True)
class VectorSettings:
    """How vectors follow from counts; the defaults are those that trained best (``benchmarks/corpus``).

    Args:
        dim: D, values of a vector, at least 1.
        window: contexts on either side of a word, at least 1.
        across: whether words of the other side of a pair are contexts, too.
        power: of the contexts' counts, in (0, 1]; less than 1 keeps rare contexts from looking too telling.
        singular_power: of the singular values, at least 0.
        samples: how many lines of the training data are read, evenly spaced; 0 is all.
        seed: of the randomised decomposition.

    Raises:
        SettingError: a value is outside its range.
    """

    dim: int
    window: int = 4
    across: bool = True
    power: float = 0.75
    singular_power: float = 0.5
    samples: int = 1_000_000
    seed: int = 1

    def __post_init__(self) -> None:
        for setting in ("dim", "window"):
            if getattr(self, setting) < 1:
                raise SettingError(setting, f"must be at least 1, got {getattr(self, setting)}")
        if not 0.0 < self.power <= 1.0:
            raise SettingError("power", f"must be greater than 0 and at most 1, got {self.power}")
        if not 0.0 <= self.singular_power < float("inf"):
            raise SettingError("singular_power", f"must be at least 0, got {self.singular_power}")
        if self.samples < 0:
            raise SettingError("samples", f"must be at least 0, got {self.samples}")


def positive_pmi(counts: sparse.csr_array, power: float) -> sparse.csr_array:
    """``max(0, log(p(w, c) / (p(w) p(c))))`` of one block of counts, with ``p(c)`` from counts to a power; (V, C)."""
    total = counts.sum()
    if total == 0:
        return counts
    words = np.asarray(counts.sum(1)).ravel()
    contexts = np.asarray(counts.sum(0)).ravel() ** power
    contexts /= contexts.sum()
    pairs = counts.tocoo()
    values = np.log(pairs.data / (words[pairs.row] * contexts[pairs.col]))
    kept = values > 0
    return sparse.csr_array((values[kept], (pairs.row[kept], pairs.col[kept])), shape=counts.shape)


def vectors(counts: Counts, settings: VectorSettings) -> np.ndarray:
    """Vectors of all words, (V, D) float32: the directions by falling strength, not yet of equal length.

    A word without counts has zeros. Where there are fewer directions than values, the last values are zeros.
    """
    blocks = counts.blocks if settings.across else counts.blocks[:2]
    information = sparse.hstack([positive_pmi(block, settings.power) for block in blocks]).tocsr()
    rank = min(settings.dim, *information.shape)
    directions, strengths, _ = randomized_svd(
        information.astype(np.float32),
        rank,
        n_iter=_POWER_STEPS,
        random_state=settings.seed,
    )
    found = np.zeros((information.shape[0], settings.dim), np.float32)
    found[:, :rank] = directions * strengths**settings.singular_power
    return found


def standardized(vectors: np.ndarray, std: float, seed: int) -> np.ndarray:
    """Vectors of the form that a model's embedding starts with.

    Each is brought to unit length, their mean is taken away, and all are scaled to one standard deviation. Words
    without a vector get a random one of the same length, each another.

    Args:
        vectors: (V, D), zeros for words without one.
        std: the standard deviation of all values.
        seed: of the random ones.

    Returns:
        (V, D), float32.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = lengths.ravel() > 0
    found = vectors / np.where(lengths > 0, lengths, 1)
    if known.any():
        found[known] -= found[known].mean(0)
        scale = found[known].std()
        found *= std / scale if scale > 0 else 0
    generator = np.random.Generator(np.random.Philox(key=seed))
    found[~known] = generator.normal(0, std, (int((~known).sum()), vectors.shape[1]))
    return found.astype(np.float32)
