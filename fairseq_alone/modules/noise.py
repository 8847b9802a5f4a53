"""Noise: words drawn from a fixed distribution over the vocabulary, for losses that need a few words instead of all."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fairseq_alone.errors import SettingError


@dataclass(frozen=True)
class NoiseWords:
    """Words that were drawn with replacement, each distinct one once.

    Args:
        ids: (S,), the distinct words, ascending.
        multiplicity: (S,), float32, how often each was drawn; the sum is ``num_draws``.
        log_expected: (S,), float32, the logarithm of how often each was to be expected, ``log(num_draws * q(w))``.
        num_draws: k.
    """

    ids: Tensor
    multiplicity: Tensor
    log_expected: Tensor
    num_draws: int

    def to(self, device: torch.device) -> "NoiseWords":
        """The same on another device."""
        return NoiseWords(
            self.ids.to(device), self.multiplicity.to(device), self.log_expected.to(device), self.num_draws
        )


class NoiseDistribution:
    """A distribution q over words that is drawn from by bisection of its cumulative sums.

    Draws are stratified: the i-th of k comes from the i-th of k parts of [0, 1). Each word is drawn ``k * q(w)`` times
    on average, as by independent draws, so a sum over the draws has the same mean; and it never varies more (Cochran,
    Sampling Techniques, 1977, chapter 5). A frequent word is drawn nearly as often as expected every time.

    It is no module: with ``--fp16`` fairseq converts criterions to half, in which probabilities of rare words are zero.

    Args:
        weights: (V,), not negative, not all zero; q is proportional to them. A word of weight zero is never drawn.
    """

    def __init__(self, weights: np.ndarray):
        weights = np.asarray(weights, dtype=np.float64)
        cumulative = np.cumsum(weights)
        self._cumulative = torch.from_numpy(cumulative / cumulative[-1])
        # On each device that asked for it.
        self._probability = {torch.device("cpu"): torch.from_numpy(weights / cumulative[-1])}
        # The last word that can be drawn: a number just below 1 may be rounded to 1.
        self._last = int(np.flatnonzero(weights)[-1])

    @property
    def num_words(self) -> int:
        """V."""
        return len(self._cumulative)

    def log_probability(self, ids: Tensor) -> Tensor:
        """``log q`` of words, ``(...) -> (...)``, float32, on the device of ``ids``."""
        if ids.device not in self._probability:
            self._probability[ids.device] = self._probability[torch.device("cpu")].to(ids.device)
        return self._probability[ids.device][ids].log().float()

    def draw(self, num_draws: int, generator: torch.Generator) -> NoiseWords:
        """Draw words, on the CPU.

        Args:
            num_draws: k, at least 1.
            generator: the only source of randomness, on the CPU.
        """
        places = torch.arange(num_draws, dtype=torch.float64)
        places += torch.rand(num_draws, dtype=torch.float64, generator=generator)
        drawn = torch.searchsorted(self._cumulative, places / num_draws, right=True).clamp_(max=self._last)
        ids, multiplicity = drawn.unique_consecutive(return_counts=True)
        return NoiseWords(ids, multiplicity.float(), self.log_expected(ids, num_draws), num_draws)

    def draw_rows(self, rows: int, num_draws: int, generator: torch.Generator) -> Tensor:
        """Words for each of several rows, stratified within the row: (rows, k), on the CPU, ascending.

        Args:
            rows: how many.
            num_draws: k, at least 1.
            generator: the only source of randomness, on the CPU.
        """
        places = torch.arange(num_draws, dtype=torch.float64)
        places = places + torch.rand(rows, num_draws, dtype=torch.float64, generator=generator)
        return torch.searchsorted(self._cumulative, places / num_draws, right=True).clamp_(max=self._last)

    def independent(self, num_draws: int, generator: torch.Generator) -> Tensor:
        """Words drawn one by one, not stratified: (k,), on the CPU; ``generator`` is the only source of randomness."""
        places = torch.rand(num_draws, dtype=torch.float64, generator=generator)
        return torch.searchsorted(self._cumulative, places, right=True).clamp_(max=self._last)

    def log_expected(self, ids: Tensor, num_draws: int) -> Tensor:
        """``log(k q)`` of words, ``(...) -> (...)``, float32, for k draws."""
        return self.log_probability(ids) + math.log(num_draws)


def all_words(num_words: int) -> NoiseWords:
    """Every word once, as if it had been drawn as often as expected: with it, sampled losses are exact."""
    ids = torch.arange(num_words)
    return NoiseWords(ids, torch.ones(num_words), torch.zeros(num_words), num_words)


def unigram_weights(counts: np.ndarray, power: float = 1.0) -> np.ndarray:
    """``count ** power``, (V,) float64; a word that was never counted weighs as if it had been counted once.

    Args:
        counts: (V,), how often each word occurs.
        power: from 0, which is uniform, to 1; Mikolov et al. (2013) take 0.75.

    Raises:
        SettingError: the power is not from 0 to 1.
    """
    if not 0.0 <= power <= 1.0:
        raise SettingError("power", f"must be from 0 to 1, got {power}")
    return np.maximum(np.asarray(counts, dtype=np.float64), 1.0) ** power


def log_uniform_weights(counts: np.ndarray) -> np.ndarray:
    """``log((r + 2) / (r + 1))`` for the word of rank r by its count, (V,) float64: near Zipf's law, without counts."""
    order = np.argsort(-np.asarray(counts, dtype=np.float64), kind="stable")
    weights = np.empty(len(order))
    ranks = np.arange(len(order))
    weights[order] = np.log((ranks + 2) / (ranks + 1))
    return weights
