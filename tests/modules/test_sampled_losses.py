"""Sampled losses against double loops, and their mean over many draws against the softmax over all words."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fairseq_alone.modules.noise import NoiseDistribution, all_words, unigram_weights
from fairseq_alone.modules.sampled_losses import (
    effective_sample_size,
    negative_sampling_loss,
    noise_contrastive_loss,
    sampled_softmax_loss,
)

WORDS, SIZE = 12, 5
COUNTS = np.array([1, 1, 40, 30, 12, 9, 5, 4, 3, 2, 1, 1])
TARGETS = torch.tensor([2, 3, 2, 7, 11])
LOG_Z = 1.7
NEGATIVES = 3


class Table:
    """Vectors of words, and how often and for what they were asked."""

    def __init__(self, kind=torch.float64):
        generator = torch.Generator().manual_seed(1)
        self.weight = torch.randn(WORDS, SIZE, dtype=torch.float64, generator=generator).to(kind).requires_grad_()
        self.asked = []

    def rows(self, ids):
        self.asked.append(ids)
        return F.embedding(ids, self.weight)


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(2)
    return torch.randn(len(TARGETS), SIZE, dtype=torch.float64, generator=generator).requires_grad_()


@pytest.fixture(scope="module")
def distribution():
    return NoiseDistribution(unigram_weights(COUNTS))


@pytest.fixture
def noise(distribution):
    # Word 2 and 3 are targets, drawn more than once.
    words = distribution.draw(9, torch.Generator().manual_seed(1))
    assert 2 in words.ids
    assert words.multiplicity.max() > 1
    return words


def draws(noise):
    """The words that were drawn, one by one, and what each was expected."""
    return [
        (word, math.exp(expected))
        for word, times, expected in zip(
            *(x.tolist() for x in (noise.ids, noise.multiplicity, noise.log_expected)), strict=True
        )
        for _ in range(int(times))
    ]


def nce(features, targets, noise, table, distribution):
    log_expected = distribution.log_expected(targets, noise.num_draws)
    return noise_contrastive_loss(features, targets, noise, table, log_expected, LOG_Z)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_sampled_softmax_equals_a_double_loop(features, table, noise):
    scores = (features @ table.weight.t()).tolist()
    losses, log_model = sampled_softmax_loss(features, TARGETS, noise, table)
    effective = effective_sample_size(log_model, noise)
    for position, target in enumerate(TARGETS.tolist()):
        ratios = [math.exp(scores[position][word]) / expected for word, expected in draws(noise) if word != target]
        total = math.exp(scores[position][target]) + sum(ratios)
        assert losses[position].item() == pytest.approx(math.log(total) - scores[position][target], rel=1e-6)
        for column, word in enumerate(noise.ids.tolist()):
            share = sum(math.exp(scores[position][w]) / expected for w, expected in draws(noise) if word == w != target)
            assert log_model[position, column].exp().item() == pytest.approx(share / total, rel=1e-6)
        assert effective[position].item() == pytest.approx(sum(ratios) ** 2 / sum(r * r for r in ratios), rel=1e-6)


def test_noise_contrastive_equals_a_double_loop(features, table, noise, distribution):
    scores = (features @ table.weight.t()).tolist()
    losses = nce(features, TARGETS, noise, table, distribution)
    for position, target in enumerate(TARGETS.tolist()):
        expected_target = noise.num_draws * COUNTS[target] / COUNTS.sum()
        loss = -math.log(sigmoid(scores[position][target] - LOG_Z - math.log(expected_target)))
        for word, expected in draws(noise):
            loss -= math.log(1 - sigmoid(scores[position][word] - LOG_Z - math.log(expected)))
        assert losses[position].item() == pytest.approx(loss, rel=1e-6)


def test_negative_sampling_equals_a_double_loop(features, table, noise):
    scores = (features @ table.weight.t()).tolist()
    losses = negative_sampling_loss(features, TARGETS, noise, table, NEGATIVES)
    for position, target in enumerate(TARGETS.tolist()):
        loss = -math.log(sigmoid(scores[position][target]))
        for word, _ in draws(noise):
            if word != target:
                loss -= NEGATIVES / noise.num_draws * math.log(sigmoid(-scores[position][word]))
        assert losses[position].item() == pytest.approx(loss, rel=1e-6)


def all_losses(features, noise, table, distribution):
    return {
        "sampled softmax": sampled_softmax_loss(features, TARGETS, noise, table)[0],
        "nce": nce(features, TARGETS, noise, table, distribution),
        "negative": negative_sampling_loss(features, TARGETS, noise, table, NEGATIVES),
    }


@pytest.mark.parametrize("name", ["sampled softmax", "nce", "negative"])
def test_gradients_by_gradcheck(name, features, table, noise, distribution):
    def loss(features, weight):
        table.weight = weight
        return all_losses(features, noise, table, distribution)[name]

    assert torch.autograd.gradcheck(loss, (features, table.weight))


def test_only_noise_and_targets_are_asked_for_and_once(features, table, noise, distribution):
    all_losses(features, noise, table, distribution)
    assert [asked.tolist() for asked in table.asked] == [[*noise.ids.tolist(), *TARGETS.tolist()]] * 3


def test_half_precision_is_computed_in_float32(features, noise, distribution):
    half = features.detach().half()
    exact = all_losses(half.float(), noise, Table(torch.float32), distribution)
    for name, values in all_losses(half, noise, Table(torch.float16), distribution).items():
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, exact[name], rtol=0.01, atol=0.01)


def softmax_gradients(features, table):
    loss = F.cross_entropy(features @ table.weight.t(), TARGETS, reduction="none")
    return loss.detach(), *torch.autograd.grad(loss.sum(), (features, table.weight))


def test_with_all_words_it_is_the_softmax(features, table):
    losses, _ = sampled_softmax_loss(features, TARGETS, all_words(WORDS), table)
    expected = softmax_gradients(features, table)
    gradients = torch.autograd.grad(losses.sum(), (features, table.weight))
    for found, wanted in zip((losses, *gradients), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_where_every_draw_is_the_target(features, table):
    noise = NoiseDistribution(np.eye(WORDS)[2]).draw(4, torch.Generator().manual_seed(1))
    losses, log_model = sampled_softmax_loss(features[:1], TARGETS[:1], noise, table)
    effective = effective_sample_size(log_model, noise)
    gradients = torch.autograd.grad(losses.sum(), (features, table.weight))
    assert losses.item() == effective.item() == 0
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


def mean_over_draws(distribution, num_draws, rounds, gradient):
    generator = torch.Generator().manual_seed(5)
    found = torch.stack([gradient(distribution.draw(num_draws, generator)) for _ in range(rounds)])
    return found.mean(dim=0), found.std(dim=0) / rounds**0.5


def test_the_denominator_has_no_bias(features, table, distribution):
    scores = (features @ table.weight.t()).detach()
    own = scores.gather(1, TARGETS.unsqueeze(1)).squeeze(1)

    def denominator(noise):
        return (sampled_softmax_loss(features, TARGETS, noise, table)[0] + own).exp().detach()

    mean, error = mean_over_draws(distribution, 4, 1000, denominator)
    assert ((mean - scores.logsumexp(1).exp()).abs() < 4 * error).all()
    assert (error > 0).all()


def test_the_bias_of_importance_sampling_falls_with_the_number_of_samples(features, table, distribution):
    _, _, expected = softmax_gradients(features, table)

    def gradient(noise):
        return torch.autograd.grad(sampled_softmax_loss(features, TARGETS, noise, table)[0].sum(), table.weight)[0]

    biases = []
    for num_draws, rounds in ((4, 600), (64, 400)):
        mean, _ = mean_over_draws(distribution, num_draws, rounds, gradient)
        biases.append((mean - expected).norm() / expected.norm())
    # Of order 1 / k: a sixteenth, or nearly.
    assert biases[0] > 0.1
    assert biases[1] < biases[0] / 6


@pytest.mark.parametrize("num_draws", [3, 50])
def test_the_expected_gradient_of_nce(num_draws, features, table, distribution):
    """The mean over draws is the sum over words that the papers give, for the empirical distribution of one target."""
    scores = (features @ table.weight.t()).detach()
    model = (scores - LOG_Z).exp()
    expected_draws = num_draws * torch.from_numpy(COUNTS / COUNTS.sum())
    # d/ds_w: -(kq / (p + kq)) for the target, and p / (p + kq) for each of kq noise words.
    slope = expected_draws * model / (model + expected_draws)
    slope[range(len(TARGETS)), TARGETS] -= (expected_draws / (model + expected_draws))[range(len(TARGETS)), TARGETS]
    expected = slope.t() @ features.detach()

    def gradient(noise):
        return torch.autograd.grad(nce(features, TARGETS, noise, table, distribution).sum(), table.weight)[0]

    mean, error = mean_over_draws(distribution, num_draws, 500, gradient)
    assert ((mean - expected).abs() <= 5 * error + 1e-7).all()


def test_nce_with_many_draws_has_the_gradient_of_the_softmax(features, table, distribution):
    """For a model that is normalised; the gradient in the features sums up all words."""
    features = features[:1]
    log_z = (features @ table.weight.t()).logsumexp(1).item()
    loss = F.cross_entropy(features @ table.weight.t(), TARGETS[:1])
    expected = torch.autograd.grad(loss, features)[0]
    k = 10**6
    noise = distribution.draw(k, torch.Generator().manual_seed(1))
    log_expected = distribution.log_expected(TARGETS[:1], k)
    loss = noise_contrastive_loss(features, TARGETS[:1], noise, table, log_expected, log_z).sum()
    torch.testing.assert_close(torch.autograd.grad(loss, features)[0], expected, rtol=1e-3, atol=1e-4)


def test_a_trained_normalizer_gets_its_gradient(features, table, noise, distribution):
    log_expected = distribution.log_expected(TARGETS, noise.num_draws)
    log_z = torch.tensor([LOG_Z], dtype=torch.float64, requires_grad=True)

    def loss(log_z):
        return noise_contrastive_loss(features, TARGETS, noise, table, log_expected, log_z)

    assert torch.autograd.gradcheck(loss, (log_z,))


def test_the_expected_negative_sampling_loss_is_that_of_n_own_words(features, table, distribution):
    scores = (features @ table.weight.t()).detach()
    chances = torch.from_numpy(COUNTS / COUNTS.sum()).repeat(len(TARGETS), 1)
    chances[range(len(TARGETS)), TARGETS] = 0
    own = scores.gather(1, TARGETS.unsqueeze(1)).squeeze(1)
    expected = F.softplus(-own) + NEGATIVES * (chances * F.softplus(scores)).sum(1)

    def loss(noise):
        return negative_sampling_loss(features, TARGETS, noise, table, NEGATIVES).detach()

    mean, error = mean_over_draws(distribution, 20, 400, loss)
    assert ((mean - expected).abs() < 5 * error).all()
