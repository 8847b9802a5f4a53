"""Losses of word vectors over rows of text: small products of matrices in place of one product for each pair of words.

A row has T words in the middle of windows, and c words of context on both sides of it. Its T x (T + 2c) scores have the
pairs of words as a band along the diagonal. All positions of a row share K noise words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def band(left: Tensor, right: Tensor, reach: int) -> Tensor:
    """Which words of a row are in the window of each position, without the position itself.

    Args:
        left, right: (B, T), from 0 to c: position t has its window from ``t - left`` to ``t + right``.
        reach: c.

    Returns:
        (B, T, T + 2c), bool; column ``t + c`` is position t.
    """
    length = left.size(1)
    places = torch.arange(length + 2 * reach, device=left.device) - reach
    distance = places - torch.arange(length, device=left.device).unsqueeze(1)  # (T, T + 2c)
    within = (distance >= -left.unsqueeze(2)) & (distance <= right.unsqueeze(2))
    return within & (distance != 0)


def window_means(vectors: Tensor, windows: Tensor) -> Tensor:
    """The mean of the vectors in each window; zero where there is none.

    Args:
        vectors: (B, T + 2c, D).
        windows: (B, T, T + 2c), bool.

    Returns:
        (B, T, D).
    """
    weights = windows.to(vectors.dtype)
    return torch.bmm(weights / weights.sum(2, keepdim=True).clamp(min=1.0), vectors)


def pairs_loss(centres: Tensor, contexts: Tensor, windows: Tensor) -> Tensor:
    r"""The part of skip-gram's negative sampling that the pairs have: the sum of :math:`-\log\sigma(s)` over them.

    Args:
        centres: (B, T, D).
        contexts: (B, T + 2c, D), vectors of the output.
        windows: (B, T, T + 2c), bool.

    Returns:
        A scalar, in float32.
    """
    scores = torch.bmm(centres, contexts.transpose(1, 2)).float()
    return (F.softplus(-scores) * windows).sum()


def noise_loss(features: Tensor, noise: Tensor, weights: Tensor) -> Tensor:
    r"""The part that noise has: the weighted sum of :math:`-\log\sigma(-s)`.

    Args:
        features: (B, T, D).
        noise: (B, K, D), vectors of the output.
        weights: (B, T, K), of :func:`noise_weights`.

    Returns:
        A scalar, in float32.
    """
    scores = torch.bmm(features, noise.transpose(1, 2)).float()
    return (F.softplus(scores) * weights).sum()


def noise_weights(targets: Tensor, noise: Tensor, windows: Tensor | None, num_negatives: float) -> Tensor:
    """How often each noise word of a row counts at each position.

    A pair has ``num_negatives`` of them, less the share of those that are its target, as in word2vec.

    Args:
        targets: words to predict: (B, T + 2c) with windows, else (B, T), one for each position.
        noise: (B, K), words.
        windows: (B, T, T + 2c), bool, or None.
        num_negatives: n.

    Returns:
        (B, T, K), float32.
    """
    differs = (targets.unsqueeze(2) != noise.unsqueeze(1)).float()
    if windows is not None:
        differs = torch.bmm(windows.float(), differs)
    return differs * (num_negatives / noise.size(1))


def ranking_loss(scores: Tensor, corrupted: Tensor, margin: float) -> Tensor:
    """``max(0, margin - score + corrupted)`` (Collobert and Weston, 2008, equation 1).

    Args:
        scores: (...), of text.
        corrupted: (...), of the same with another word in the middle.
        margin: 1 in the paper.

    Returns:
        (...).
    """
    return F.relu(margin - scores + corrupted)
