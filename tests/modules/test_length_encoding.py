"""LDPE and LRPE against a plain loop over the formulas of Takase and Okazaki (2019)."""

import math

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import LengthEncoding


def angle(kind, position, length, pair, dim):
    if kind == "ldpe":
        return (length - position) / 10000 ** (2 * pair / dim)
    return position / length ** (2 * pair / dim)


def by_loop(kind, positions, lengths, dim):
    """One value after the other, in Python's float64."""
    result = torch.empty(len(positions), len(positions[0]), dim, dtype=torch.float64)
    for row, length in enumerate(lengths):
        for column, position in enumerate(positions[row]):
            for value in range(dim):
                function = math.sin if value % 2 == 0 else math.cos
                result[row, column, value] = function(angle(kind, position, length, value // 2, dim))
    return result


@pytest.mark.parametrize("dim", [1, 2, 7, 8])
@pytest.mark.parametrize("kind", ["ldpe", "lrpe"])
def test_equals_a_loop_over_the_formula(kind, dim):
    # Rows with their own positions: the second starts late, the third goes beyond its length.
    positions = [[0, 1, 2, 3], [5, 6, 7, 8], [74, 75, 76, 77], [0, 0, 1, 2]]
    lengths = [4, 31, 76, 1]
    result = LengthEncoding(kind, dim)(torch.tensor(positions), torch.tensor(lengths))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), by_loop(kind, positions, lengths, dim), rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["ldpe", "lrpe"])
def test_is_as_exact_at_long_texts(kind):
    positions, lengths = [[0, 1023, 4095, 99_999]], [100_000]
    result = LengthEncoding(kind, 512)(torch.tensor(positions), torch.tensor(lengths))
    torch.testing.assert_close(result.double(), by_loop(kind, positions, lengths, 512), rtol=0, atol=1e-7)


def test_values_by_hand():
    ldpe = LengthEncoding("ldpe", 4)(torch.tensor([[0, 3]]), torch.tensor([3]))
    # Base 10000 and d = 4: the angles of the two pairs are rest / 1 and rest / 100.
    expected = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)], [0.0, 1.0, 0.0, 1.0]
    torch.testing.assert_close(ldpe, torch.tensor([expected]))
    lrpe = LengthEncoding("lrpe", 4)(torch.tensor([[0, 9]]), torch.tensor([9]))
    expected = [0.0, 1.0, 0.0, 1.0], [math.sin(9), math.cos(9), math.sin(3), math.cos(3)]
    torch.testing.assert_close(lrpe, torch.tensor([expected]))


def test_beyond_the_length_ldpe_counts_on_into_negative_numbers():
    one_left, one_over = LengthEncoding("ldpe", 6)(torch.tensor([[4, 6]]), torch.tensor([5]))[0]
    torch.testing.assert_close(one_over[0::2], -one_left[0::2])
    torch.testing.assert_close(one_over[1::2], one_left[1::2])
    assert one_left[0] > 0.8


def test_shortest_lengths():
    positions = torch.tensor([[0, 1, 2]])
    lrpe = LengthEncoding("lrpe", 6)
    one = lrpe(positions, torch.tensor([1]))
    # 1 ** x = 1: all pairs turn at the same speed.
    torch.testing.assert_close(one[0, :, 0], torch.tensor([0.0, 1.0, 2.0]).sin())
    torch.testing.assert_close(one[0, :, 4], one[0, :, 0])
    assert torch.equal(lrpe(positions, torch.tensor([0])), one)
    zero = LengthEncoding("ldpe", 6)(positions, torch.tensor([0]))
    assert torch.equal(zero, LengthEncoding("ldpe", 6)(positions + 3, torch.tensor([3])))


@pytest.mark.parametrize("kind", ["ldpe", "lrpe"])
def test_the_length_matters_to_every_row(kind):
    positions = torch.arange(1, 5).expand(2, 4)
    encoding = LengthEncoding(kind, 8)
    both = encoding(positions, torch.tensor([30, 75]))
    assert not torch.allclose(both[0], both[1])
    for row, length in enumerate((30, 75)):
        assert torch.equal(both[row], encoding(positions[:1], torch.tensor([length]))[0])


def test_has_nothing_to_train_or_to_save():
    encoding = LengthEncoding("lrpe", 8)
    assert not list(encoding.parameters())
    assert not encoding.state_dict()
    assert encoding.half()(torch.tensor([[1]]), torch.tensor([2])).dtype == torch.float32


@pytest.mark.parametrize(("settings", "name"), [(("learned", 8), "kind"), (("lrpe", 0), "embedding_dim")])
def test_settings_out_of_range(settings, name):
    with pytest.raises(SettingError) as error:
        LengthEncoding(*settings)
    assert error.value.setting == name
