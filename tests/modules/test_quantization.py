"""Numbers of fewer bits: values and bytes by hand, bounds of the error, and what must stay exact."""

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.quantization import GROUP, QUANTIZATIONS, pack, packed_bytes, rounded, unpack


def random(*size, seed=1):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def there_and_back(tensor, quantization):
    packed = pack(tensor, quantization)
    return unpack(packed.scheme, packed.parts)


def test_eight_bits_by_hand():
    packed = pack(torch.tensor([[127.0, -63.4, 0.2, 0.6], [0.0, 0.5, -1.27, 0.01]]), "int8")
    assert packed.parts[""].tolist() == [[127, -63, 0, 1], [0, 50, -127, 1]]
    assert packed.parts["/scale"].dtype == torch.float16
    torch.testing.assert_close(packed.parts["/scale"].float(), torch.tensor([[1.0], [0.01]]), rtol=2**-11, atol=0)


def test_four_bits_by_hand():
    # -8 is the farthest value's step, and every value is a whole number of steps: nothing is lost.
    packed = pack(torch.tensor([[4.0, -3.5, 0.5, 0.0, 1.0], [-8.0, 7.0, 1.0, -1.0, 0.0]]), "int4")
    assert packed.parts["/scale"].tolist() == [[-0.5], [1.0]]
    steps = [[-8, 7, -1, 0, -2], [-8, 7, 1, -1, 0]]
    pairs = [[(a + 8) + 16 * (b + 8) for a, b in ((r[0], r[1]), (r[2], r[3]), (r[4], -8))] for r in steps]
    assert packed.parts[""].tolist() == pairs
    assert packed.scheme == {"scheme": "int4", "shape": [2, 5], "group": 32}


def test_codes_by_hand():
    codes = torch.tensor([[5, 0, 3], [1, 4, 2]], dtype=torch.uint8)  # 3 bits each, the lowest first
    packed = pack(codes, "int4")
    #        5   0   3   1   4   2
    bits = "101000110100001010" + "000000"
    assert packed.parts[""].tolist() == [int(bits[at : at + 8][::-1], 2) for at in (0, 8, 16)]
    assert packed.scheme == {"scheme": "bits", "bits": 3, "shape": [2, 3], "dtype": "uint8"}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("largest", [0, 1, 15, 16, 200])
def test_codes_come_back_in_their_type(dtype, largest):
    codes = torch.randint(0, largest + 1, (7, 5), generator=torch.Generator().manual_seed(1)).to(dtype)
    codes[3, 2] = largest
    for quantization in QUANTIZATIONS:
        back = there_and_back(codes, quantization)
        assert back.dtype == dtype
        assert torch.equal(back, codes)


@pytest.mark.parametrize("size", [(5, 1), (3, 7), (4, GROUP), (4, GROUP + 1), (2, 3 * GROUP - 1), (3, 4, 5)])
def test_the_error_of_eight_bits_is_half_a_step(size):
    values = random(*size)
    steps = values.flatten(1).abs().amax(1, keepdim=True) / 127
    error = (there_and_back(values, "int8") - values).flatten(1).abs()
    # A scale in half precision is off by 2^-11, and the largest value is 127 of them.
    assert (error <= steps * (0.5 + 127 * 2**-11)).all()
    assert (error > steps * 0.2).any() or values.numel() < 20


@pytest.mark.parametrize("size", [(5, 1), (3, 7), (4, GROUP), (4, GROUP + 1), (2, 3 * GROUP - 1), (3, 4, 5)])
def test_the_error_of_four_bits_is_half_a_step_and_the_squares_are_less_than_without_the_search(size):
    values = random(*size)
    packed = pack(values, "int4")
    rows, back = values.flatten(1), unpack(packed.scheme, packed.parts).flatten(1)
    plain = torch.empty_like(rows)
    for row in range(rows.size(0)):
        for start in range(0, rows.size(1), GROUP):
            group, scale = rows[row, start : start + GROUP], packed.parts["/scale"][row, start // GROUP].float()
            inside = (group / scale >= -8.5) & (group / scale <= 7.5)
            assert ((back[row, start : start + GROUP] - group).abs()[inside] <= scale.abs() * 0.50001).all()
            farthest = group[group.abs().argmax()]
            step = (-farthest / 8).half().float()
            plain[row, start : start + GROUP] = (group / step).round().clamp(-8, 7) * step
    assert (back - rows).square().sum() <= (plain - rows).square().sum()
    if rows.size(1) >= GROUP:
        assert (back - rows).square().sum() < (plain - rows).square().sum() * 0.97


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_zeros_stay_zeros(quantization):
    values = random(4, 40)
    values[1] = 0
    back = there_and_back(values, quantization)
    assert torch.equal(back[1], torch.zeros(40))
    assert not back[1].signbit().any()


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_scales_that_half_precision_would_spoil_are_float32(quantization, factor):
    packed = pack(random(3, 40) * factor, quantization)
    assert packed.parts["/scale"].dtype == torch.float32
    back = unpack(packed.scheme, packed.parts) / factor
    assert (back - random(3, 40)).norm() < 0.1 * random(3, 40).norm()


def test_vectors_have_half_precision_at_least():
    values = random(9)
    for quantization in ("fp16", "int8", "int4"):
        assert torch.equal(there_and_back(values, quantization), values.half().float())
        assert torch.equal(there_and_back(values * 1e6, quantization), values * 1e6)
    assert torch.equal(there_and_back(values, "fp32"), values)


def test_whole_numbers_of_one_dimension_and_negative_ones_stay():
    for numbers in (torch.tensor([3, -4]), torch.tensor([[1, -1]]), torch.tensor([[True, False]]), torch.tensor(3)):
        assert pack(numbers, "int4").scheme == {"scheme": "raw"}
        assert torch.equal(there_and_back(numbers, "int4"), numbers)


def test_bytes_by_hand():
    table, vector = random(10, 33), random(33)
    assert [packed_bytes(table, quantization) for quantization in QUANTIZATIONS] == [
        *(10 * 33 * 4, 10 * 33 * 2, 10 * (33 + 2), 10 * (17 + 2 * 2)),
    ]
    assert [packed_bytes(vector, quantization) for quantization in QUANTIZATIONS] == [33 * 4, *[33 * 2] * 3]
    assert packed_bytes(torch.full((10, 3), 7), "int8") == 12  # 90 bits
    assert packed_bytes(torch.arange(3), "int8") == 24


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_bytes_are_what_packing_needs(quantization):
    for tensor in (random(6, 70), random(5), random(2, 3, 4), torch.randint(0, 9, (5, 3)), torch.tensor([3.0])):
        parts = pack(tensor, quantization).parts.values()
        assert packed_bytes(tensor, quantization) == sum(part.numel() * part.element_size() for part in parts)


def test_an_unknown_quantization():
    with pytest.raises(SettingError, match="quantization must be one of fp32, fp16, int8, int4, got int2"):
        pack(random(2, 2), "int2")


SHAPES = [(3, 64), (5, 33), (4, 1), (2, 3, 7), (4001, 65), (6,), (1, 32)]


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_rounded_is_what_comes_back_bit_for_bit(quantization, shape):
    torch.manual_seed(2)
    for values in (torch.randn(shape), torch.randn(shape) * 1e-9, torch.randn(shape) * (torch.rand(shape) < 0.1)):
        packed = pack(values, quantization)
        bits = unpack(packed.scheme, packed.parts).view(torch.int32)
        assert torch.equal(rounded(values, quantization).view(torch.int32), bits)


def test_a_short_search_is_nearly_as_good():
    torch.manual_seed(2)
    values = torch.randn(200, 64)
    errors = [(rounded(values, "int4", thorough) - values).square().sum() for thorough in (True, False)]
    assert errors[0] < errors[1] < 1.06 * errors[0]
    assert torch.equal(rounded(values, "int8", False), rounded(values, "int8"))


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_what_is_not_finite_does_not_look_finite(quantization):
    values = torch.ones(2, 32)
    values[0, 3] = float("nan")
    assert rounded(values, quantization)[0].isnan().any()
    assert rounded(values, quantization)[1].isfinite().all()
