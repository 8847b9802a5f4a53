"""Negative sampling over the windows of a whole batch of text at once, for skip-gram and CBOW."""

from typing import Any

import torch
from torch import Tensor

from fairseq_alone.corpus.windows import Predicted, WindowKind
from fairseq_alone.criterions.features import OutputRows, features_of
from fairseq_alone.modules.window_losses import band, noise_loss, noise_weights, pairs_loss


def window_kind(model: Any) -> WindowKind | None:
    """The windows of a model that predicts words by windows which are drawn, in whatever it is wrapped; else None."""
    kind = getattr(model, "windows", None)
    return kind if kind is not None and kind.drawn else None


def window_negative_sampling(
    model: Any, kind: WindowKind, sample: dict[str, Any], noise: Tensor, num_negatives: float
) -> Tensor:
    """The sum of negative sampling's loss over all words that a batch predicts.

    Args:
        model: skip-gram or CBOW, in whatever it is wrapped.
        kind: its windows.
        sample: a batch of ``--task word_vectors``.
        noise: (B, K), words, which all positions of a row share.
        num_negatives: n, for each predicted word.
    """
    net_input = sample["net_input"]
    _, (_, found) = features_of(model, net_input)
    features = found["features"]  # (B, T, D)
    words, reach = net_input["src_tokens"], kind.reach
    around = kind.predicted is Predicted.AROUND
    length = features.size(1)
    targets = words if around else words[:, reach : reach + length]
    # One look-up for both, so that of a computed embedding no vector is computed twice.
    rows = OutputRows(model, "negative_sampling").rows(torch.cat([targets, noise], dim=1))
    of_targets, of_noise = rows.split([targets.size(1), noise.size(1)], dim=1)
    if around:
        windows = band(net_input["left"], net_input["right"], reach)
        weights = noise_weights(targets, noise, windows, num_negatives)
        own = pairs_loss(features, of_targets, windows)
    else:
        counted = (net_input["left"] + net_input["right"] > 0).unsqueeze(2)  # (B, T, 1)
        weights = noise_weights(targets, noise, None, num_negatives) * counted
        scores = (features * of_targets).sum(2, keepdim=True).float()
        own = (torch.nn.functional.softplus(-scores) * counted).sum()
    return own + noise_loss(features, of_noise, weights)
