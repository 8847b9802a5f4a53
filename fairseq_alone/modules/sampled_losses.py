"""Losses over a few sampled words in place of the softmax over all: importance sampling, NCE, negative sampling.

They share their arguments:

- ``features``: (N, D), any floating type; computed with in float32, or in float64 for float64 features.
- ``targets``: (N,), the words to predict, no padding.
- ``noise``: the words that were drawn, one set for all N (Zoph et al., 2016), (S,) distinct ones.
- ``rows``: anything with ``rows(ids) -> (..., D)``, the output layer's vectors. It is called once, with the noise and
  the targets, so of a computed embedding no other vector is computed, and none twice.

They give (N,), a loss for each target. The score of a word is the product of the features with its vector.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_alone.modules.noise import NoiseWords


class Rows(Protocol):
    """What gives vectors of words."""

    def rows(self, ids: Tensor) -> Tensor:
        """``(...) -> (..., D)``."""


def sampled_softmax_loss(features: Tensor, targets: Tensor, noise: NoiseWords, rows: Rows) -> tuple[Tensor, Tensor]:
    r"""The softmax's cross-entropy with its denominator estimated by importance sampling (Bengio and Senecal, 2003).

    .. math:: -s_t + \log(e^{s_t} + \sum_{j: w_j \ne t} e^{s_j} / (k q(w_j)))

    The target's own term is exact and the sum over all others is estimated from those draws that are not the target, so
    the denominator has no bias. Its logarithm is too small on average, by about half of its relative variance, and the
    gradient is the self-normalised estimate of the paper, with a bias of order 1 / k and none with
    :func:`~fairseq_alone.modules.noise.all_words`. A word that was drawn c times counts c times. Jean et al. (2015)
    subtract no log q since theirs is the same for all words of a subset.

    Returns:
        The losses (N,), not negative, and log p of the noise words by that estimate, (N, S), without gradient: all
        draws of a word together, ``-inf`` where it is the target.
    """
    # e^{s - offset} is a word's share in the estimate, all of its draws together.
    offset = noise.log_expected - noise.multiplicity.log()
    own, shares = _scores(features, targets, noise, rows, offset)
    _fill_hits(shares, targets, noise, float("-inf"))
    log_probabilities = torch.cat([own.unsqueeze(1), shares], dim=1).log_softmax(dim=1)
    return -log_probabilities[:, 0], log_probabilities.detach()[:, 1:]


def effective_sample_size(log_probabilities: Tensor, noise: NoiseWords) -> Tensor:
    """``(sum r)^2 / sum r^2`` over the draws' ratios ``r = e^s / q`` (Bengio and Senecal, 2003): ``(N, S) -> (N,)``.

    Draws from the model's own distribution all have one ratio, and k of them the size k. 0 where every draw was the
    target.

    Args:
        log_probabilities: of the noise words, from :func:`sampled_softmax_loss`.
        noise: the words.
    """
    # A probability stands for c draws of a c-th each. Relative to the largest, squares do not underflow.
    ratios = (log_probabilities - log_probabilities.amax(dim=1, keepdim=True)).exp()
    squares = ratios.square() @ noise.multiplicity.reciprocal().to(ratios.dtype)
    return (ratios.sum(dim=1).square() / squares).nan_to_num(0.0)


def noise_contrastive_loss(
    features: Tensor,
    targets: Tensor,
    noise: NoiseWords,
    rows: Rows,
    log_expected: Tensor,
    log_normalizer: Tensor | float,
) -> Tensor:
    r"""Telling the target from k noise words (Gutmann and Hyvarinen, 2010; Mnih and Teh, 2012).

    .. math:: -\log\sigma(\Delta_t) - \sum_j \log\sigma(-\Delta_j), \quad \Delta_w = s_w - \log Z - \log(k q(w))

    A noise word that happens to be the target is noise all the same. The expected gradient is
    ``sum_w k q(w) / (p(w) + k q(w)) (p_data(w) - p(w)) ds_w`` with ``p(w) = e^{s_w} / Z``, which for growing k becomes
    that of the softmax where p sums to one.

    Args:
        features: see this file, as for the next three.
        targets: (N,).
        noise: k words.
        rows: the vectors.
        log_expected: (N,), ``log(k q)`` of the targets.
        log_normalizer: log Z, one number for all contexts; may be trained.
    """
    own, noise_scores = _scores(features, targets, noise, rows, noise.log_expected + log_normalizer)
    found = F.softplus(log_expected.to(own.dtype) + log_normalizer - own)
    return found + F.softplus(noise_scores) @ noise.multiplicity.to(own.dtype)


def negative_sampling_loss(
    features: Tensor, targets: Tensor, noise: NoiseWords, rows: Rows, num_negatives: float
) -> Tensor:
    r"""Negative sampling (Mikolov et al., 2013), for word vectors; it learns no probabilities.

    .. math:: -\log\sigma(s_t) - (n / k) \sum_{j: w_j \ne t} \log\sigma(-s_j)

    Every position sees all k noise words of the batch, each with weight ``n / k``, so that the expected loss is that of
    n words of its own.

    Args:
        features: see this file, as for the next three.
        targets: (N,).
        noise: k words.
        rows: the vectors.
        num_negatives: n; 5 to 20 in the paper.
    """
    own, noise_scores = _scores(features, targets, noise, rows, torch.zeros_like(noise.log_expected))
    # softplus(-inf) is 0.
    _fill_hits(noise_scores, targets, noise, float("-inf"))
    weights = noise.multiplicity.to(own.dtype) * (num_negatives / noise.num_draws)
    return F.softplus(-own) + F.softplus(noise_scores) @ weights


def _scores(features: Tensor, targets: Tensor, noise: NoiseWords, rows: Rows, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of the targets, (N,), and those of the noise for every position less an offset (S,), (N, S)."""
    kind = torch.float64 if features.dtype == torch.float64 else torch.float32
    features = features.to(kind)
    # (S + N, D)
    vectors = rows.rows(torch.cat([noise.ids, targets])).to(kind)
    of_noise, of_targets = vectors.split([len(noise.ids), len(targets)])
    own = (features * of_targets).sum(dim=1)
    return own, torch.addmm(-offset.to(kind), features, of_noise.t())


def _fill_hits(scores: Tensor, targets: Tensor, noise: NoiseWords, value: float) -> None:
    """Set the score (N, S) of a noise word to ``value`` where it is the target, in place."""
    # The words are ascending: each target has at most one place among them.
    places = torch.searchsorted(noise.ids, targets).clamp_(max=len(noise.ids) - 1)
    hits = (noise.ids[places] == targets).nonzero().squeeze(1)
    scores[hits, places[hits]] = value
