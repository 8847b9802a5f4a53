"""The adaptive proposal: its numbers by hand, its mean over a batch, and what trains it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fairseq_alone.modules.mixture_proposal import NUM_BINS, MixtureProposal
from fairseq_alone.modules.noise import all_words
from fairseq_alone.modules.sampled_losses import sampled_softmax_loss

WORDS = 6
UNIGRAM = np.array([1.0, 2, 3, 4, 5, 5])
# Of each context, what follows it how often. Nothing is known of contexts 3 and 5.
PAIRS = {0: {1: 3, 4: 1}, 1: {2: 9}, 2: {0: 1, 1: 1, 5: 2}, 4: {3: 40}}


@pytest.fixture
def proposal():
    words = [word for context in range(WORDS) for word in PAIRS.get(context, {})]
    counts = [count for context in range(WORDS) for count in PAIRS.get(context, {}).values()]
    starts = np.cumsum([0, *(len(PAIRS.get(context, {})) for context in range(WORDS))])
    return MixtureProposal(starts, np.array(words), np.array(counts), UNIGRAM)


def q(context, a):
    """The mixture by hand, (V,)."""
    pairs = PAIRS.get(context)
    if pairs is None:
        return UNIGRAM / UNIGRAM.sum()
    bigram = np.array([pairs.get(word, 0) for word in range(WORDS)]) / sum(pairs.values())
    return a * bigram + (1 - a) * UNIGRAM / UNIGRAM.sum()


def test_weights_go_by_the_frequency_of_the_context(proposal):
    mixture = torch.zeros(NUM_BINS)
    mixture[2], mixture[3], mixture[5] = 0.1, -0.1, 0.2  # contexts counted 4 to 7, 8 to 15, 32 to 63 times
    weights = proposal.weights(mixture, torch.arange(WORDS))
    expected = torch.tensor([1.0, -1.0, 1.0, 0.0, 2.0, 0.0]).sigmoid() * torch.tensor([1, 1, 1, 0, 1, 0])
    torch.testing.assert_close(weights, expected)


def test_of_a_batch_it_is_the_mean_over_contexts(proposal):
    contexts, a = torch.tensor([0, 2, 2, 3, 4]), torch.tensor([0.5, 0.2, 0.2, 0.0, 0.9])
    expected = np.mean(
        [q(context, weight) for context, weight in zip(contexts.tolist(), a.tolist(), strict=True)], axis=0
    )
    found = proposal.of_batch(contexts, a).log_probability(torch.arange(WORDS)).exp()
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_cross_entropy_equals_a_double_loop(proposal):
    contexts, a = torch.tensor([0, 3, 0]), torch.tensor([0.5, 0.0, 0.7])
    noise = proposal.of_batch(contexts, a).draw(4, torch.Generator().manual_seed(1))
    model = torch.rand(3, len(noise.ids), generator=torch.Generator().manual_seed(1))
    found = proposal.cross_entropy(contexts, a, noise, model.log())
    for position in range(3):
        mixed = q(contexts[position].item(), a[position].item())
        expected = -sum(model[position, j] * np.log(mixed[word]) for j, word in enumerate(noise.ids.tolist()))
        assert found[position].item() == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(("follows", "high"), [("bigrams", True), ("unigrams", False)])
def test_training_makes_it_follow_the_model(proposal, follows, high):
    """Where the model is the bigrams, their weights grow; where it is the unigrams, they fall."""
    contexts = torch.tensor([0, 1, 2, 4])
    log_model = torch.from_numpy(np.log([q(c, 1.0 if high else 0.0) + 1e-12 for c in contexts.tolist()])).float()
    mixture = torch.zeros(NUM_BINS, requires_grad=True)
    for _ in range(30):
        weights = proposal.weights(mixture, contexts)
        loss = proposal.cross_entropy(contexts, weights, all_words(WORDS), log_model).sum()
        mixture.data -= 0.01 * torch.autograd.grad(loss, mixture)[0]
    assert ((weights > 0.6) == high).all()
    assert ((weights < 0.4) != high).all()


def test_the_denominator_has_no_bias_for_any_context(proposal):
    """The batch's mean is a proposal for all positions, also for one whose context has other bigrams."""
    generator = torch.Generator().manual_seed(3)
    contexts, targets = torch.tensor([1, 4, 1, 0]), torch.tensor([2, 3, 5, 0])
    features, weight = torch.randn(4, 3, generator=generator), torch.randn(WORDS, 3, generator=generator)
    distribution = proposal.of_batch(contexts, torch.full((4,), 0.8))

    class Table:
        def rows(self, ids):
            return F.embedding(ids, weight)

    scores = features @ weight.t()
    own = scores.gather(1, targets.unsqueeze(1)).squeeze(1)
    rounds = 800
    found = torch.stack(
        [
            (sampled_softmax_loss(features, targets, distribution.draw(3, generator), Table())[0] + own).exp()
            for _ in range(rounds)
        ]
    )
    error = found.std(dim=0) / rounds**0.5
    assert ((found.mean(dim=0) - scores.logsumexp(1).exp()).abs() < 4 * error).all()
