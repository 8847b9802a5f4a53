"""Self-normalised losses against double loops, and the choice of positions."""

import itertools
import math

import pytest
import torch

from fairseq_alone.modules.self_normalization import (
    choose_positions,
    infrequently_normalized_loss,
    self_normalized_loss,
    target_scores_and_log_z,
)

WORDS, POSITIONS = 7, 5


@pytest.fixture
def logits():
    return 2 * torch.randn(POSITIONS, WORDS, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


TARGETS = torch.tensor([0, 6, 2, 2, 5])


def by_loops(logits, targets, chosen, weight, smoothing):
    """Sums of the loss and of the cross-entropy."""
    loss = nll = 0.0
    factor = len(logits) / len(chosen)
    each = smoothing / (WORDS - 1)
    for position, scores in enumerate(logits.tolist()):
        target = scores[targets[position]]
        loss -= (1 - smoothing - each) * target
        nll -= target
        if position in chosen:
            log_z = math.log(sum(math.exp(score) for score in scores))
            loss += factor * (log_z + weight * log_z**2 - sum(each * score for score in scores))
            nll += factor * log_z
    return loss, nll


def infrequent(logits, chosen, weight, smoothing):
    target_scores = logits.gather(1, TARGETS.unsqueeze(1)).squeeze(1)
    chosen = torch.tensor(chosen)
    return infrequently_normalized_loss(target_scores, TARGETS, logits[chosen], chosen, weight, smoothing)


def test_target_scores_and_log_z(logits):
    scores, log_z = target_scores_and_log_z(logits, TARGETS)
    torch.testing.assert_close(log_z, logits.logsumexp(1))
    assert scores.tolist() == [logits[position, target].item() for position, target in enumerate(TARGETS)]
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: target_scores_and_log_z(given, TARGETS), logits)
    half = logits.detach().half().requires_grad_()
    scores, log_z = target_scores_and_log_z(half, TARGETS)
    assert scores.dtype == log_z.dtype == torch.float32
    (log_z - scores).sum().backward()
    one_hot = torch.nn.functional.one_hot(TARGETS, WORDS)
    torch.testing.assert_close(half.grad, (half.detach().float().softmax(1) - one_hot).half(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("chosen", [[3], [4, 0], [2, 1, 4, 0, 3]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [0.0, 0.1, 2.0])
def test_loops(logits, chosen, weight, smoothing):
    loss, nll, log_z = infrequent(logits, chosen, weight, smoothing)
    expected = by_loops(logits, TARGETS, chosen, weight, smoothing)
    assert (loss.sum().item(), nll.sum().item()) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(log_z, logits[chosen].logsumexp(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_all_positions_are_the_self_normalised_loss(logits, smoothing):
    loss, nll, log_z = infrequent(logits, list(range(POSITIONS)), 0.3, smoothing)
    log_probabilities = logits.log_softmax(1)
    # fairseq's label smoothing.
    each = smoothing / (WORDS - 1)
    nll_expected = -log_probabilities.gather(1, TARGETS.unsqueeze(1)).squeeze(1)
    smooth = (1 - smoothing - each) * nll_expected - each * log_probabilities.sum(1)
    torch.testing.assert_close(nll, nll_expected)
    torch.testing.assert_close(loss, self_normalized_loss(smooth, log_z, 0.3))


def test_the_mean_over_all_choices_is_the_loss_of_all_positions(logits):
    """And so is the gradient."""
    logits.requires_grad_()
    choices = list(itertools.combinations(range(POSITIONS), 2))
    mean = sum(infrequent(logits, list(chosen), 0.3, 0.1)[0].sum() for chosen in choices) / len(choices)
    (gradient,) = torch.autograd.grad(mean, logits)
    whole = infrequent(logits, list(range(POSITIONS)), 0.3, 0.1)[0].sum()
    torch.testing.assert_close(mean, whole)
    torch.testing.assert_close(gradient, torch.autograd.grad(whole, logits)[0])


def test_half_types_are_summed_in_float32(logits):
    loss, nll, log_z = infrequent(logits.bfloat16(), [1, 2], 0.1, 0.1)
    assert loss.dtype == nll.dtype == log_z.dtype == torch.float32


@pytest.mark.parametrize(("count", "share", "expected"), [(10, 0.3, 3), (10, 0.01, 1), (10, 1.0, 10), (1, 0.5, 1)])
def test_choice(count, share, expected):
    chosen = choose_positions(count, share, torch.Generator().manual_seed(1))
    assert len(chosen) == len(set(chosen.tolist())) == expected
    assert all(0 <= position < count for position in chosen)
    assert torch.equal(chosen, choose_positions(count, share, torch.Generator().manual_seed(1)))


def test_every_position_is_chosen_equally_often():
    generator = torch.Generator().manual_seed(1)
    drawn = torch.cat([choose_positions(5, 0.4, generator) for _ in range(2000)])
    counts = torch.bincount(drawn, minlength=5).double()
    assert (counts - 800).abs().max() < 5 * math.sqrt(800)
