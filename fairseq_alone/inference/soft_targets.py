"""What the augmented loss teaches: target distributions by the word vectors of a model (Inan et al., 2017)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairseq_alone.errors import UserError


@dataclass(frozen=True)
class SoftTarget:
    """The distribution that takes the place of one word (section 3 of the paper).

    Args:
        temperature: tau.
        words: the most likely ones, as (id, probability), the first one first.
        own: probability of the word itself.
        perplexity: of the distribution: as many equally likely words would be as uncertain. V means that it is flat.
    """

    temperature: float
    words: list[tuple[int, float]]
    own: float
    perplexity: float


def soft_targets(matrix: Tensor, words: list[int], temperature: float, top: int) -> list[SoftTarget]:
    """``softmax(L l_w / tau)`` for each word.

    Args:
        matrix: L, the word vectors, (V, D).
        words: ids.
        temperature: tau, positive.
        top: how many of the most likely words are named.
    """
    vectors = matrix.detach().double()
    log_probs = (vectors[words] @ vectors.t() / temperature).log_softmax(dim=1)  # (N, V)
    found = []
    for word, row in zip(words, log_probs, strict=True):
        probabilities = row.exp()
        values, ids = probabilities.topk(min(top, len(row)))
        entropy = -torch.special.xlogy(probabilities, probabilities).sum()
        pairs = list(zip(ids.tolist(), values.tolist(), strict=True))
        found.append(SoftTarget(temperature, pairs, probabilities[word].item(), entropy.exp().item()))
    return found


def sample_words(dictionary: Any, number: int = 10) -> list[int]:
    """Ids of words from frequent ones to rare ones, by equal steps of the logarithm of the rank."""
    words = len(dictionary) - dictionary.nspecial
    if words < 1:
        raise UserError("the dictionary has no words")
    ranks = torch.logspace(0, torch.log10(torch.tensor(float(words))), number).round().long().clamp(1, words)
    return [dictionary.nspecial + rank - 1 for rank in sorted(set(ranks.tolist()))]
