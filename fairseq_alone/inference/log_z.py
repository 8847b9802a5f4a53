"""How near the scores of a trained model are to log-probabilities: log Z at every position of a data set."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.inference.over_data import load_over_data

# Of words and of vectors that are held at a time; the logits over 150,000 words take 150 MB.
_TOKENS, _POSITIONS = 4_000, 256

#: Of the distribution of log Z; the first and the last are its least and its greatest value.
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class LogZ:
    """What was found.

    Args:
        values: log Z in nats, (N,), float64.
        scores: of the words that stand there, (N,), float64.
    """

    values: Tensor
    scores: Tensor

    def describe(self) -> dict[str, Any]:
        """``positions``; ``mean``, ``deviation`` and ``quantiles``, by their shares; and two perplexities.

        ``perplexity_unnormalized`` is what comes out where scores are taken for log-probabilities. It is no measure of
        a model.
        """
        # torch's own refuses large tensors.
        quantiles = np.quantile(self.values.numpy(), QUANTILES)
        return {
            "positions": self.values.numel(),
            "mean": self.values.mean().item(),
            "deviation": self.values.std(correction=0).item(),
            "quantiles": {f"{share:g}": value for share, value in zip(QUANTILES, quantiles.tolist(), strict=True)},
            "perplexity": _perplexity((self.values - self.scores).mean().item()),
            "perplexity_unnormalized": _perplexity(-self.scores.mean().item()),
        }


def _perplexity(mean: float) -> float:
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf


@torch.no_grad()
def log_z_of(checkpoint: str, data: str, split: str, progress: Callable[[int, int], object] | None = None) -> LogZ:
    """Compute log Z at every position of a split.

    Args:
        checkpoint: of a model for translation or a language model, of this package or stock fairseq's.
        data: the folder of the binarised data.
        split: for example ``"valid"``.
        progress: told how many batches are done, and of how many.

    Raises:
        UserError: a file is missing or unreadable, does not fit the other, or the model's output layer is split.
    """
    from fairseq.utils import resolve_max_positions

    from fairseq_alone.criterions.features import features_of, output_is_split

    model, task = load_over_data(checkpoint, data)
    if output_is_split(model) or not hasattr(getattr(model, "decoder", None), "output_layer"):
        raise UserError(f"{checkpoint}: has no output layer with a score for each word, so it has no log Z")
    try:
        task.load_dataset(split)
    except FileNotFoundError as error:
        raise UserError(f"--split {split}: {data} has no such data") from error
    batches = task.get_batch_iterator(
        task.dataset(split),
        max_tokens=_TOKENS,
        max_positions=resolve_max_positions(task.max_positions(), model.max_positions()),
        disable_iterator_cache=True,
    ).next_epoch_itr(shuffle=False)
    values, scores = [], []
    for number, sample in enumerate(batches, start=1):
        features, net_output = features_of(model, sample["net_input"])
        targets = model.get_targets(sample, net_output)
        kept = targets.ne(task.target_dictionary.pad())
        pieces = zip(features[kept].split(_POSITIONS), targets[kept].split(_POSITIONS), strict=True)
        for some_features, some_targets in pieces:
            logits = model.decoder.output_layer(some_features).float()  # (N, V)
            values.append(logits.logsumexp(1).double())
            scores.append(logits.gather(1, some_targets.unsqueeze(1)).squeeze(1).double())
        if progress:
            progress(number, len(batches))
    if not values:
        raise UserError(f"--split {split}: holds no samples, so there is nothing to measure")
    return LogZ(torch.cat(values), torch.cat(scores))
