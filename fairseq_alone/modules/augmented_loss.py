"""The augmented loss of Inan et al. (ICLR 2017): train towards words that are near the target, too."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fairseq_alone.errors import SettingError

# Values of one chunk of rows. The products with the target distributions exist for one chunk at a time only, and a
# chunk of this size stays in the processor's cache from one operation to the next.
_CHUNK_VALUES = 2**17


def augmented_loss(
    logits: Tensor,
    targets: Tensor,
    matrix: Tensor,
    temperature: float,
    padding_idx: int | None = None,
) -> Tensor:
    """``KL(softmax(L l_target / tau) || softmax(logits / tau))`` for each token (section 3).

    ``L`` is the matrix that embeds the input words, ``l_target`` its row for the target word. The whole loss of the
    paper is the cross-entropy plus ``gamma * tau`` times this. Gradients flow into ``logits``, and into ``matrix``
    unless it is detached. Equal targets share one row of the target distribution; besides that and the gradient of the
    logits, no (N, V) tensor is made. Computed in float32, or in float64 for float64 logits.

    Args:
        logits: (N, V), any floating type.
        targets: (N,), integer, in [0, V).
        matrix: (V, D), the embeddings of the input words.
        temperature: tau, positive.
        padding_idx: tokens with this target have a loss of zero and no gradient.

    Returns:
        (N,), not negative up to rounding.

    Raises:
        SettingError: the temperature is not positive.
        ValueError: the vocabularies of logits and matrix differ.
    """
    if not 0.0 < temperature < float("inf"):
        raise SettingError("temperature", f"must be a positive number, got {temperature}")
    if logits.size(-1) != matrix.size(0):
        raise ValueError(f"logits over {logits.size(-1)} words do not fit a matrix of {matrix.size(0)} words")
    kind = torch.float64 if logits.dtype == torch.float64 else torch.float32
    distinct, rows = targets.unique(return_inverse=True)
    with torch.autocast(logits.device.type, enabled=False):
        matrix = matrix.to(kind)
        similarities = matrix[distinct] @ matrix.t() / temperature  # (U, D) x (D, V) -> (U, V)
        values = _DivergenceFromTargets.apply(logits, similarities, rows, temperature)
    return values if padding_idx is None else values.masked_fill(targets == padding_idx, 0.0)


class _DivergenceFromTargets(torch.autograd.Function):
    """``KL(softmax(similarities[rows]) || softmax(logits / temperature))``, chunk by chunk over the tokens."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, similarities: Tensor, rows: Tensor, temperature: float) -> Tensor:
        log_goals = similarities.log_softmax(dim=-1)  # (U, V)
        goals = log_goals.exp()
        ctx.temperature = temperature
        values = torch.linalg.vecdot(goals, log_goals)[rows]  # (N,)
        for part in _row_chunks(logits):
            scaled = logits[part].to(goals.dtype) / temperature
            values[part] += scaled.logsumexp(dim=-1) - torch.linalg.vecdot(goals[rows[part]], scaled)
        ctx.save_for_backward(logits, goals, log_goals if ctx.needs_input_grad[1] else None, rows)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        logits, goals, log_goals, rows = ctx.saved_tensors
        temperature = ctx.temperature
        logits_gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        # For one token the loss changes with its goals' logits by goals * (difference - its mean under the goals),
        # where difference is log_goals - logits / temperature. Tokens of one target add up.
        weighted = torch.zeros_like(goals) if ctx.needs_input_grad[1] else None
        for part in _row_chunks(logits):
            scaled = logits[part].to(goals.dtype) / temperature
            weight = gradient[part].unsqueeze(1)
            if weighted is not None:
                weighted.index_add_(0, rows[part], (log_goals[rows[part]] - scaled) * weight)
            if logits_gradient is not None:
                logits_gradient[part] = scaled.softmax(dim=-1).sub_(goals[rows[part]]).mul_(weight / temperature)
        if weighted is not None:
            weighted = goals * (weighted - (goals * weighted).sum(dim=-1, keepdim=True))
        return logits_gradient, weighted, None, None


def _row_chunks(logits: Tensor) -> Iterator[slice]:
    """Slices over the rows of ``logits``, each of about ``_CHUNK_VALUES`` values."""
    size = max(1, _CHUNK_VALUES // logits.size(1))
    return (slice(start, start + size) for start in range(0, logits.size(0), size))
