"""What word vectors are worth beside people's judgement: rank correlation over pairs that people have scored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairseq_alone.corpus.unit_vectors import UnitVectors
from fairseq_alone.errors import UserError
from fairseq_alone.text_files import numbered_lines


@dataclass(frozen=True)
class WordPairs:
    """Scored pairs, as SimLex-999, WordSim-353 and RG-65 are.

    Args:
        path: their file.
        pairs: (first word, second word), N of them.
        scores: (N,), float64; the more alike, the higher.
    """

    path: str
    pairs: list[tuple[str, str]]
    scores: np.ndarray

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    @property
    def words(self) -> list[str]:
        """Every word once, in the order of the file."""
        return list(dict.fromkeys(word for pair in self.pairs for word in pair))


@dataclass(frozen=True)
class Similarity:
    """How vectors do on scored pairs.

    Args:
        rho: Spearman's rank correlation of cosine and score; None where it is not defined: fewer than two pairs, or
            all alike.
        covered: pairs whose words both have a vector; the others do not count.
        total: all pairs.
        missing: the words without a vector.
    """

    rho: float | None
    covered: int
    total: int
    missing: list[str]


def read_pairs(path: str, lower_case: bool = False) -> WordPairs:
    """Read a file of scored pairs.

    A line has two words and a number, with tabs or spaces between; empty lines, and lines that begin with ``#``, do not
    count.

    Args:
        path: the file, UTF-8.
        lower_case: lower-case the words.

    Raises:
        UserError: there is no such file, a line of it is malformed, or it has no pair; names file and line.
    """
    pairs, scores = [], []
    for number, line in numbered_lines(path):
        if not line or line.startswith("#"):
            continue
        fields = (line.lower() if lower_case else line).split()
        score = _number(fields[-1])
        if len(fields) != 3 or score is None:
            raise UserError(f"{path}, line {number}: expected two words and a score, with tabs or spaces between")
        pairs.append((fields[0], fields[1]))
        scores.append(score)
    if not pairs:
        raise UserError(f"{path}: holds no pair of words")
    return WordPairs(path, pairs, np.array(scores))


def similarity(vectors: UnitVectors, pairs: WordPairs) -> Similarity:
    """Compare cosines with scores. Pairs with a word that has no vector are left out, and counted."""
    covered = [number for number, pair in enumerate(pairs.pairs) if all(word in vectors.place for word in pair)]
    places = np.array([[vectors.place[word] for word in pairs.pairs[number]] for number in covered], int).reshape(-1, 2)
    cosines = (vectors.units[places[:, 0]] * vectors.units[places[:, 1]]).sum(1)
    missing = [word for word in pairs.words if word not in vectors.place]
    return Similarity(spearman(cosines, pairs.scores[covered]), len(covered), len(pairs.pairs), missing)


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rho, (N,) and (N,): the correlation of the ranks, those of equal values being their mean.

    None where it is not defined: fewer than two values, or all of one side equal.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (first, second)]
    lengths = [float(np.sqrt(rank @ rank)) for rank in ranks]
    return float(ranks[0] @ ranks[1]) / (lengths[0] * lengths[1]) if min(lengths) > 0 else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
