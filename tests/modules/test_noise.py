"""Noise distributions: their values by hand, what is drawn, and how often."""

import math

import numpy as np
import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.noise import NoiseDistribution, all_words, log_uniform_weights, unigram_weights

COUNTS = np.array([0, 3, 100, 20, 20, 1, 0, 7])


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def test_unigram_weights_by_hand():
    assert unigram_weights(COUNTS).tolist() == [1, 3, 100, 20, 20, 1, 1, 7]
    assert unigram_weights(COUNTS, 0.5)[2] == 10
    assert set(unigram_weights(COUNTS, 0.0)) == {1.0}


@pytest.mark.parametrize("power", [-0.1, 1.1, float("nan")])
def test_powers_out_of_range(power):
    with pytest.raises(SettingError, match="power must be from 0 to 1, got"):
        unigram_weights(COUNTS, power)


def test_log_uniform_weights_go_by_rank():
    weights = log_uniform_weights(COUNTS)
    assert weights[2] == math.log(2 / 1)
    assert weights[3:5].tolist() == [math.log(3 / 2), math.log(4 / 3)]  # equal counts: by number
    assert weights.sum() == pytest.approx(math.log(len(COUNTS) + 1))


def test_probabilities_and_what_is_to_be_expected():
    noise = NoiseDistribution(unigram_weights(COUNTS))
    assert noise.num_words == 8
    ids = torch.tensor([[2, 0], [7, 2]])
    torch.testing.assert_close(noise.log_probability(ids).exp(), torch.tensor([[100, 1], [7, 100]]) / 153)
    words = noise.draw(50, seeded())
    torch.testing.assert_close(words.log_expected.exp(), 50 * noise.log_probability(words.ids).exp())
    assert words.num_draws == words.multiplicity.sum() == 50
    assert (words.ids.diff() > 0).all()


@pytest.mark.parametrize("num_draws", [1, 3, 40])
def test_frequencies_of_many_draws(num_draws):
    noise = NoiseDistribution(unigram_weights(COUNTS))
    generator, counted = seeded(), torch.zeros(8)
    rounds = 12000 // num_draws
    for _ in range(rounds):
        words = noise.draw(num_draws, generator)
        counted[words.ids] += words.multiplicity
    expected = noise.log_probability(torch.arange(8)).exp()
    # Four standard deviations of independent draws, which stratified ones do not exceed.
    deviation = (expected * (1 - expected) / (rounds * num_draws)).sqrt()
    assert ((counted / counted.sum() - expected).abs() < 4 * deviation).all()


def test_strata_make_frequent_words_come_as_often_as_expected():
    noise = NoiseDistribution(unigram_weights(COUNTS))
    generator = seeded()
    for _ in range(20):
        words = noise.draw(153, generator)
        # Each of 153 parts has exactly one draw; word 2 fills at least 99 of them and touches no more than 101.
        assert 99 <= words.multiplicity[words.ids == 2].item() <= 101


def test_words_of_weight_zero_are_never_drawn():
    noise = NoiseDistribution(np.array([0.0, 1.0, 0.0, 2.0, 0.0]))
    assert set(noise.draw(1000, seeded()).ids.tolist()) == {1, 3}
    assert noise.log_probability(torch.tensor(0)) == -math.inf


def test_a_number_that_rounds_to_one_is_the_last_word(monkeypatch):
    noise = NoiseDistribution(np.array([1.0, 2.0, 0.0]))
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.ones(*size, dtype=torch.float64))
    assert noise.draw(1, seeded()).ids.tolist() == [1]


def test_a_number_on_a_border_belongs_to_the_word_behind_it(monkeypatch):
    noise = NoiseDistribution(np.array([0.0, 1.0, 1.0]))
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.zeros(*size, dtype=torch.float64))
    assert noise.draw(2, seeded()).ids.tolist() == [1, 2]


def test_the_generator_is_the_only_source():
    noise = NoiseDistribution(unigram_weights(COUNTS))
    first = noise.draw(9, seeded())
    torch.rand(1)
    assert torch.equal(noise.draw(9, seeded()).ids, first.ids)
    assert any(not torch.equal(noise.draw(9, seeded(s)).ids, first.ids) for s in range(2, 5))


def test_all_words_are_expected_once():
    words = all_words(4)
    assert words.ids.tolist() == [0, 1, 2, 3]
    assert words.log_expected.tolist() == [0] * 4
    assert words.multiplicity.tolist() == [1] * 4
    assert words.num_draws == 4
