"""Losses over rows of windows, against loops over pairs of words."""

import math

import pytest
import torch

from fairseq_alone.modules.noise import NoiseDistribution
from fairseq_alone.modules.window_losses import band, noise_loss, noise_weights, pairs_loss, ranking_loss, window_means

B, T, C, D, K = 2, 5, 2, 3, 4


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(1)
    draw = {"generator": generator}
    found = {
        "words": torch.randint(0, 6, (B, T + 2 * C), **draw),
        "noise": torch.randint(0, 6, (B, K), **draw),
        "left": torch.randint(0, C + 1, (B, T), **draw),
        "right": torch.randint(0, C + 1, (B, T), **draw),
        "input": torch.randn(6, D, dtype=torch.float64, **draw),
        "output": torch.randn(6, D, dtype=torch.float64, **draw),
    }
    found["windows"] = band(found["left"], found["right"], C)
    return found


def around(rows, row, place):
    """Columns of the window of a place, by a loop."""
    steps = range(-int(rows["left"][row, place]), int(rows["right"][row, place]) + 1)
    return [place + C + step for step in steps if step != 0]


def places():
    return [(row, place) for row in range(B) for place in range(T)]


def test_the_band_is_the_window_without_its_middle(rows):
    for row, place in places():
        assert rows["windows"][row, place].nonzero().flatten().tolist() == around(rows, row, place)


def test_means_of_windows(rows):
    vectors = rows["input"][rows["words"]]
    means = window_means(vectors, rows["windows"])
    for row, place in places():
        columns = around(rows, row, place)
        expected = vectors[row, columns].mean(0) if columns else torch.zeros(D, dtype=torch.float64)
        torch.testing.assert_close(means[row, place], expected)


def test_skip_gram_is_the_sum_over_pairs_with_their_own_negatives(rows):
    """A pair meets every noise word of its row that is not its target, each n / K times."""
    words, noise = rows["words"], rows["noise"]
    centres, contexts = rows["input"][words[:, C:-C]], rows["output"][words]
    weights = noise_weights(words, noise, rows["windows"], 3.0)
    found = pairs_loss(centres, contexts, rows["windows"]) + noise_loss(centres, rows["output"][noise], weights)
    expected = 0.0
    for row, place in places():
        centre = rows["input"][words[row, place + C]]
        for column in around(rows, row, place):
            target = int(words[row, column])
            expected -= math.log(torch.sigmoid(centre @ rows["output"][target]))
            for word in noise[row].tolist():
                if word != target:
                    expected -= 3.0 / K * math.log(torch.sigmoid(-centre @ rows["output"][word]))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_noise_of_one_target_a_position(rows):
    targets = rows["words"][:, C:-C]
    weights = noise_weights(targets, rows["noise"], None, 2.0)
    for row, place in places():
        expected = [2.0 / K * (word != int(targets[row, place])) for word in rows["noise"][row].tolist()]
        assert weights[row, place].tolist() == pytest.approx(expected)


def test_ranking_by_hand():
    found = ranking_loss(torch.tensor([2.0, 0.0, 1.0]), torch.tensor([0.5, 0.0, 3.0]), 1.0)
    assert found.tolist() == [0.0, 1.0, 3.0]


def test_noise_for_rows_is_stratified_and_has_the_right_means():
    noise = NoiseDistribution([0.0, 1.0, 2.0, 5.0])
    rows = noise.draw_rows(400, 8, torch.Generator().manual_seed(1))
    counts = torch.stack([(rows == word).sum(1) for word in range(4)], dim=1)
    assert counts.tolist() == [[0, 1, 2, 5]] * 400
    odd = noise.draw_rows(3000, 3, torch.Generator().manual_seed(1))
    shares = torch.stack([(odd == word).float().mean() for word in range(4)])
    torch.testing.assert_close(shares, torch.tensor([0.0, 1.0, 2.0, 5.0]) / 8, rtol=0, atol=0.01)
    single = noise.independent(9000, torch.Generator().manual_seed(1))
    shares = torch.stack([(single == word).float().mean() for word in range(4)])
    torch.testing.assert_close(shares, torch.tensor([0.0, 1.0, 2.0, 5.0]) / 8, rtol=0, atol=0.02)
