"""Target sampling: groups of batches, and the loss over a group's words, against loops."""

import math

import numpy as np
import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.target_partitions import cross_entropy_within, partition


def batches(seed, count=40, words=60):
    generator = np.random.default_rng(seed)
    # Few batches have many words, so that groups end at different places.
    return [generator.integers(0, words, generator.integers(1, 15)) for _ in range(count)]


@pytest.mark.parametrize("size", [14, 20, 35, 60])
def test_groups_are_as_long_as_their_words_fit(size):
    targets = batches(size)
    groups, words = partition(iter(targets), 60, size)
    # By hand: a set that grows until the next batch does not fit.
    expected_groups, expected_words = [], [set()]
    for batch in targets:
        if len(expected_words[-1] | set(batch.tolist())) > size:
            expected_words.append(set())
        expected_words[-1] |= set(batch.tolist())
        expected_groups.append(len(expected_words) - 1)
    assert groups.tolist() == expected_groups
    assert [of_group.tolist() for of_group in words] == [sorted(of_group) for of_group in expected_words]
    assert (len(words) == 1) == (size == 60)


def test_a_batch_that_fits_exactly():
    groups, words = partition([np.array([3, 1, 3]), np.array([1, 3]), np.array([0, 2])], 4, 2)
    assert groups.tolist() == [0, 0, 1]
    assert [of_group.tolist() for of_group in words] == [[1, 3], [0, 2]]


def test_a_batch_with_too_many_words():
    with pytest.raises(SettingError, match="2 is less than the 3 different targets of one batch"):
        partition([np.array([1]), np.array([1, 2, 3])], 4, 2)


def test_the_loss_by_loops():
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    vectors = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    words, targets = torch.tensor([2, 5, 7, 11]), torch.tensor([7, 2, 11, 11, 5])
    loss = cross_entropy_within(features, targets, words, vectors)
    for position in range(5):
        scores = [sum(features[position, i] * vectors[word, i] for i in range(3)).item() for word in range(4)]
        target = scores[words.tolist().index(targets[position])]
        assert loss[position].item() == pytest.approx(math.log(sum(map(math.exp, scores))) - target)


def test_half_types_are_summed_in_float32():
    loss = cross_entropy_within(
        torch.ones(1, 2).half(), torch.tensor([1]), torch.tensor([0, 1]), torch.ones(2, 2).half()
    )
    assert loss.dtype == torch.float32
