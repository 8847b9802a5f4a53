"""Word vectors from counts: positive pointwise mutual information and its strongest directions.

Levy and Goldberg (2014) and Levy, Goldberg and Dagan (2015) have the parts: positive PMI, context counts smoothed by a
power, the singular values' square root.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fairseq_alone.corpus.cooccurrence import Counts
from fairseq_alone.errors import SettingError

# Steps of the randomised decomposition, and directions beside the wanted ones. The strengths fall slowly: of Multi30k's
# first 128 directions this finds 77 %, 16 steps find 95 %. All that was measured in training was measured with 4.
_POWER_STEPS = 4
_MORE_DIRECTIONS = 10


@dataclass(frozen=True)
class VectorSettings:
    """How vectors follow from counts; nothing that was tried trained clearly better (``benchmarks/corpus``).

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
    samples: int = 200_000
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
    """``max(0, log(p(w, c) / (p(w) p(c))))`` of one block of counts, with ``p(c)`` from counts to a power.

    Args:
        counts: (V, C).
        power: of the contexts' counts.

    Returns:
        (V, C), float32.
    """
    total = counts.sum()
    if total == 0:
        return counts
    words = np.asarray(counts.sum(1)).ravel()
    contexts = np.asarray(counts.sum(0)).ravel() ** power
    contexts /= contexts.sum()
    word = np.repeat(np.arange(len(words)), np.diff(counts.indptr))  # of each entry
    values = np.log(counts.data / (words[word] * contexts[counts.indices])).astype(np.float32)
    kept = values > 0
    starts = np.concatenate([[0], np.bincount(word[kept], minlength=len(words)).cumsum()])
    # Of the type of the columns' numbers: of two types, SciPy makes all of them the larger one.
    starts = starts.astype(counts.indices.dtype)
    return sparse.csr_array((values[kept], counts.indices[kept], starts), shape=counts.shape)


def vectors(counts: Counts, settings: VectorSettings) -> np.ndarray:
    """Vectors of all words, (V, D) float32: the directions by falling strength, not yet of equal length.

    A word without counts has zeros. Where there are fewer directions than values, the last values are zeros.
    """
    blocks = counts.blocks if settings.across else counts.blocks[:2]
    information = sparse.hstack([positive_pmi(block, settings.power) for block in blocks]).tocsr()
    rank = min(settings.dim, *information.shape)
    directions, strengths = strongest_directions(information.astype(np.float32), rank, settings.seed)
    found = np.zeros((information.shape[0], settings.dim), np.float32)
    found[:, :rank] = directions * strengths**settings.singular_power
    # Rounding leaves something of words of which nothing is known.
    found[np.diff(information.indptr) == 0] = 0
    return found


def strongest_directions(matrix: sparse.csr_array, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The first left singular vectors and singular values of a sparse matrix, nearly.

    By subspace iteration from random directions (Halko, Martinsson and Tropp, 2011, algorithm 4.4), which only ever
    makes the short side orthogonal: a matrix of counts is several times as wide as it is long.

    Args:
        matrix: (V, C), float32.
        rank: d, at most V and C.
        seed: of the random directions.

    Returns:
        (V, d) orthonormal columns, and (d,), falling. The entry of a column that is farthest from zero is positive.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    width = min(rank + _MORE_DIRECTIONS, *matrix.shape)
    basis = matrix @ generator.standard_normal((matrix.shape[1], width), dtype=np.float32)  # (V, width)
    for _ in range(_POWER_STEPS):
        basis = matrix @ (matrix.T @ np.linalg.qr(basis).Q)
    basis = np.linalg.qr(basis).Q
    projected = (matrix.T @ basis).astype(np.float64)  # (C, width)
    squares, turn = np.linalg.eigh(projected.T @ projected)  # ascending
    directions = basis @ turn[:, ::-1][:, :rank]
    farthest = np.take_along_axis(directions, np.abs(directions).argmax(0)[None], axis=0)
    return directions * np.where(farthest < 0, -1, 1), np.sqrt(squares[::-1][:rank].clip(min=0))


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
