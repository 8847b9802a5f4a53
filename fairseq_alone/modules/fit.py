"""An embedding fitted to given vectors by gradients (equation 4 of the ALONE paper)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from fairseq_alone.modules.computed_embedding import ComputedEmbedding

_UPDATES = 2000
_WORDS = 1024  # of an update
_LR = 0.01
_SEED = 1


def fit(
    embedding: ComputedEmbedding,
    vectors: Tensor,
    weights: Tensor,
    parameters: Sequence[Tensor] | None = None,
    first: int = 0,
) -> None:
    """Bring an embedding as near to given vectors as Adam does, in place.

    Args:
        embedding: any that computes its vectors.
        vectors: (V, D_e).
        weights: (V,), how much each word counts.
        parameters: what is fitted; None is all.
        first: words before this one do not count.
    """
    parameters = list(embedding.parameters() if parameters is None else parameters)
    optimizer = torch.optim.Adam(parameters, lr=_LR, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: math.cos(math.pi / 2 * step / _UPDATES))
    generator = torch.Generator().manual_seed(_SEED)
    chances = chances_of(weights[first:])
    variance = vectors[first:].square().sum(1).mean()
    with tqdm(range(_UPDATES), desc="fitting the embedding", unit="update", disable=None) as bar:
        for _ in bar:
            ids = first + torch.multinomial(chances, min(_WORDS, len(chances)), generator=generator)
            optimizer.zero_grad()
            loss = (embedding.compute(ids) - vectors[ids]).square().sum(1).mean() / variance
            loss.backward()
            optimizer.step()
            schedule.step()
    # The training begins without gradients.
    optimizer.zero_grad()


def chances_of(weights: Tensor) -> Tensor:
    """How much a word counts in a fit, (N,): half of the weight of its frequency, so that rare words do, too."""
    return weights.clamp(min=1.0).sqrt()
