"""Losses that draw the logarithm of a softmax's denominator, log Z, to zero, so that scores are log-probabilities."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def target_scores_and_log_z(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The scores of the targets, (N,), and log Z, (N,), float32 at least; their difference is ``log p``.

    The gradient needs one tensor of the scores' size. PyTorch's own functions, one for each, would need four.

    Args:
        scores: of all words, (N, V).
        targets: (N,), int64, in [0, V).
    """
    found: tuple[Tensor, Tensor] = _TargetScoresAndLogZ.apply(scores, targets)
    return found


class _TargetScoresAndLogZ(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        wide = _wide(scores)
        log_z = wide.logsumexp(1)
        ctx.save_for_backward(scores, targets, log_z)
        return wide.gather(1, targets.unsqueeze(1)).squeeze(1), log_z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_targets: Tensor, of_log_z: Tensor) -> tuple[Tensor, None]:
        scores, targets, log_z = ctx.saved_tensors
        gradient = (_wide(scores) - log_z.unsqueeze(1)).exp_().mul_(of_log_z.unsqueeze(1))  # (N, V)
        gradient.scatter_add_(1, targets.unsqueeze(1), of_targets.unsqueeze(1))
        return gradient.to(scores.dtype), None


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def self_normalized_loss(loss: Tensor, log_z: Tensor, weight: float) -> Tensor:
    """``loss + alpha * log^2 Z`` (Devlin et al., ACL 2014, section 2.2).

    Args:
        loss: cross-entropies, (N,).
        log_z: their log Z, (N,).
        weight: alpha, at least 0; 0.1 in the paper.

    Returns:
        (N,).
    """
    return loss + weight * log_z.square()


def choose_positions(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Positions to normalise: ``share * count`` of them, one at least, each set of so many equally likely.

    Args:
        count: N, of all positions, at least 1.
        share: gamma, in (0, 1].
        generator: on the CPU.

    Returns:
        (M,), int64, on the CPU.
    """
    return torch.randperm(count, generator=generator)[: max(1, round(share * count))]


def infrequently_normalized_loss(
    target_scores: Tensor, targets: Tensor, scores: Tensor, chosen: Tensor, weight: float, smoothing: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """The self-normalised loss where only some positions have their log Z (Andreas and Klein, NAACL 2015).

    With score ``s_i`` of target i, ``Z_j`` of the chosen positions, and ``w = N / M``, the loss is::

        sum_i -s_i  +  w * sum_j (log Z_j + alpha * log^2 Z_j)

    So positions that are not chosen have no log Z at all, as if it were zero, and the others count for them. Its mean
    over all choices of M positions is the loss with all of them, cross-entropy and penalty; with ``M = N`` it is that
    loss. With label smoothing, the chosen positions count for the others in the smooth part, too.

    Args:
        target_scores: ``s_i``, (N,).
        targets: (N,), int64, in [0, V).
        scores: of all words at the chosen positions, (M, V).
        chosen: (M,), int64, in [0, N), no position twice.
        weight: alpha, at least 0.
        smoothing: that of fairseq's ``label_smoothed_cross_entropy``, in [0, 1).

    Returns:
        The loss (N,), an estimate of the cross-entropy (N,), and log Z of the chosen positions (M,); float32 at least.
        Only the sums over positions are estimates of anything.
    """
    scores, target_scores = _wide(scores), _wide(target_scores)
    each = smoothing / (scores.size(1) - 1)
    log_z = scores.logsumexp(1)  # (M, V) -> (M,)
    counts_for = target_scores.numel() / max(1, chosen.numel())
    # The factors of log Z in the smoothed loss add up to one.
    extra = self_normalized_loss(log_z, log_z, weight) - (each * scores.sum(1) if smoothing else 0.0)
    loss = -(1.0 - smoothing - each) * target_scores
    loss = loss.index_add(0, chosen, counts_for * extra)
    nll = -target_scores.detach()
    nll = nll.index_add(0, chosen, counts_for * log_z.detach())
    return loss, nll, log_z
