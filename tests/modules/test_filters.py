"""Filters against their definition, their statistics, and numbers written down once."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.filters import FilterBank, FilterSettings, gaussian, num_codes, uniform, unique_codes


def filter_by_loop(bank: FilterBank, word: int) -> list[float]:
    """Equation 2 (binary) or the sum of the sources (real), value by value."""
    if word == bank.padding_idx:
        return [0.0] * bank.settings.base_dim
    vector = []
    for dimension in range(bank.settings.base_dim):
        value = 0.0
        for position in range(bank.settings.num_codebooks):
            source = bank.codebooks[position, int(bank.codes[word, position]), dimension].item()
            value = float(bool(value) or bool(source)) if bank.settings.filter == "binary" else value + source
        vector.append(value)
    return vector


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_filter_equals_the_definition(kind):
    bank = FilterBank(FilterSettings(23, 5, filter=kind, num_codebooks=3, codebook_size=4), padding_idx=1)
    ids = torch.tensor([22, 0, 1, 7, 7])
    expected = torch.tensor([filter_by_loop(bank, int(word)) for word in ids])
    torch.testing.assert_close(bank(ids), expected)


def test_naive_filter_is_one_explicit_row_a_word():
    bank = FilterBank(FilterSettings(50, 300, filter="naive", zero_probability=0.3), padding_idx=1)
    rows = bank(torch.arange(50))
    assert rows.shape == (50, 300)
    assert set(rows.unique().tolist()) == {0.0, 1.0}
    assert rows[1].abs().sum() == 0
    assert (rows[2:] == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert len({tuple(row.tolist()) for row in rows}) == 50


@pytest.mark.parametrize("zero_probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("num_codebooks", [1, 2, 8])
def test_expected_share_of_zeros_is_p_o(zero_probability, num_codebooks):
    settings = FilterSettings(
        2000, 64, num_codebooks=num_codebooks, codebook_size=2048, zero_probability=zero_probability
    )
    filters = FilterBank(settings)(torch.arange(2000))
    assert set(filters.unique().tolist()) == {0.0, 1.0}
    assert (filters == 0).float().mean().item() == pytest.approx(zero_probability, abs=0.01)


@pytest.mark.parametrize("std", [1.0, 0.25])
@pytest.mark.parametrize("num_codebooks", [1, 8])
def test_real_filter_has_the_given_deviation_after_summing(std, num_codebooks):
    settings = FilterSettings(2000, 64, filter="real", num_codebooks=num_codebooks, codebook_size=2048, filter_std=std)
    filters = FilterBank(settings)(torch.arange(2000))
    assert filters.std().item() == pytest.approx(std, rel=0.02)
    assert filters.mean().item() == pytest.approx(0.0, abs=0.02 * std)


@pytest.mark.parametrize(
    ("num_words", "num_codebooks", "codebook_size"),
    [(32000, 8, 64), (5000, 2, 100), (1000, 3, 10), (7, 3, 2), (1, 1, 1)],
)
def test_codes_are_unique_even_when_all_are_used(num_words, num_codebooks, codebook_size):
    settings = FilterSettings(num_words, 2, num_codebooks=num_codebooks, codebook_size=codebook_size)
    codes = unique_codes(settings)
    assert codes.shape == (num_words, num_codebooks)
    assert codes.min() >= 0
    assert codes.max() < codebook_size
    assert len(np.unique(codes, axis=0)) == num_words


def test_a_repeated_code_is_redrawn_and_the_others_keep_theirs():
    """The later of two equal rows takes the next code of the stream."""
    settings = FilterSettings(40, 2, num_codebooks=2, codebook_size=41)
    raw = (settings.generator(0).random_raw(2000) % np.uint64(41)).astype(np.int32).reshape(-1, 2).tolist()
    expected, redrawn = [], 0
    for row in raw[:40]:
        expected.append(None if row in expected else row)
    while None in expected:
        for position in [index for index, row in enumerate(expected) if row is None]:
            candidate = raw[40 + redrawn]
            redrawn += 1
            expected[position] = None if candidate in expected else candidate
    assert redrawn > 0, "no collision: the test would show nothing"
    assert unique_codes(settings).tolist() == expected


def test_numbers_stay_the_same_for_years():
    """Written down once. If this fails, every checkpoint in the world is refused or, worse, wrong."""
    settings = FilterSettings(1000, 4, seed=7)
    assert FilterBank(settings).codes[:2].tolist() == [
        [36, 7, 24, 18, 38, 12, 18, 1],
        [28, 36, 61, 49, 4, 36, 34, 25],
    ]
    assert FilterBank(settings)(torch.arange(4)).tolist() == RECORDED_BINARY
    real = FilterBank(dataclasses.replace(settings, filter="real"))(torch.tensor([999]))
    torch.testing.assert_close(real, torch.tensor([RECORDED_REAL]), rtol=1e-5, atol=1e-6)
    assert settings.generator(0).random_raw(2).tolist() == RECORDED_RAW


RECORDED_BINARY = [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]]
RECORDED_REAL = [0.042887, -0.527857, -1.415778, -1.087726]
RECORDED_RAW = [16086915834549238692, 5448529601018347655]


def test_uniform_and_gaussian_use_one_and_two_raw_words():
    settings = FilterSettings(1, 1, seed=3)
    raw = settings.generator(1).random_raw(4)
    values = uniform(settings.generator(1), 4)
    assert values.tolist() == [int(word >> np.uint64(11)) / 2**53 for word in raw]
    normal = gaussian(settings.generator(1), 1.0, 100_000)
    assert normal.dtype == np.float32
    assert abs(normal.mean()) < 0.01
    assert normal.std() == pytest.approx(1.0, abs=0.01)
    assert (np.abs(normal) < 1).mean() == pytest.approx(0.6827, abs=0.01)


def test_global_seeds_change_nothing_and_are_left_alone():
    settings = FilterSettings(100, 8, filter="real")
    torch.manual_seed(1)
    np.random.seed(1)
    first = FilterBank(settings)(torch.arange(100))
    after = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    assert (torch.rand(1), np.random.rand()) == after
    torch.manual_seed(2)
    assert torch.equal(FilterBank(settings)(torch.arange(100)), first)


@pytest.mark.parametrize("change", [{"seed": 2}, {"stream": 1}])
def test_another_seed_or_stream_gives_independent_filters(change):
    settings = FilterSettings(1000, 64, filter="real")
    first = FilterBank(settings)(torch.arange(1000))
    other = FilterBank(dataclasses.replace(settings, **change))(torch.arange(1000))
    assert abs((first * other).mean().item()) < 0.02


def test_nothing_but_the_fingerprint_is_saved():
    assert list(FilterBank(FilterSettings(100, 8)).state_dict()) == ["filter_version"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 2}, "seed is 1 in the checkpoint and 2 in the model"),
        ({"seed": 2**64 - 1}, f"seed is 1 in the checkpoint and {2**64 - 1} in the model"),
        ({"num_embeddings": 101}, "the vocabulary size is 100 in the checkpoint and 101 in the model"),
        ({"base_dim": 9}, "base_dim is 8 in the checkpoint and 9"),
        ({"filter": "real"}, "filter is binary in the checkpoint and real"),
        ({"num_codebooks": 7}, "num_codebooks is 8"),
        ({"codebook_size": 65}, "codebook_size is 64"),
        ({"zero_probability": 0.25}, "zero_probability is 0.5 in the checkpoint and 0.25"),
        ({"stream": 1}, "stream is 0"),
    ],
)
def test_loading_other_filters_is_refused_and_names_the_setting(change, words):
    settings = FilterSettings(100, 8)
    saved = FilterBank(settings).state_dict()
    with pytest.raises(ValueError, match=words):
        FilterBank(dataclasses.replace(settings, **change)).load_state_dict(saved)


def test_loading_other_codes_or_values_is_refused():
    bank = FilterBank(FilterSettings(100, 8, filter="real"))
    saved = bank.state_dict()["filter_version"]
    for position, words in ((11, "other codes"), (-1, "other filter values")):
        changed = saved.clone()
        changed[position] += 100
        with pytest.raises(ValueError, match=words):
            bank.load_state_dict({"filter_version": changed})
    rounding = saved.clone()
    rounding[-1] += 1
    bank.load_state_dict({"filter_version": rounding})


def test_a_setting_that_the_kind_does_not_use_may_differ():
    saved = FilterBank(FilterSettings(100, 8, filter="real", zero_probability=0.5)).state_dict()
    FilterBank(FilterSettings(100, 8, filter="real", zero_probability=0.9)).load_state_dict(saved)


@pytest.mark.parametrize("convert", [lambda m: m.half(), lambda m: m.bfloat16(), lambda m: m.double()])
def test_fingerprint_survives_conversion(convert):
    bank = FilterBank(FilterSettings(100, 8, filter="real"))
    saved = {key: value.clone() for key, value in bank.state_dict().items()}
    convert(bank).load_state_dict(saved)
    assert torch.equal(bank.filter_version, saved["filter_version"])


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"filter": "ternary"}, "filter"),
        ({"num_embeddings": 0}, "num_embeddings"),
        ({"base_dim": 0}, "base_dim"),
        ({"num_codebooks": 0}, "num_codebooks"),
        ({"codebook_size": -3}, "codebook_size"),
        ({"zero_probability": 0.0}, "zero_probability"),
        ({"zero_probability": 1.0}, "zero_probability"),
        ({"zero_probability": float("nan")}, "zero_probability"),
        ({"filter_std": 0.0}, "filter_std"),
        ({"filter_std": float("inf")}, "filter_std"),
        ({"seed": -1}, "seed"),
        ({"stream": -1}, "stream"),
        ({"num_embeddings": 9, "num_codebooks": 3, "codebook_size": 2}, "codebook_size"),
    ],
)
def test_settings_out_of_range_are_named(change, setting):
    with pytest.raises(SettingError, match=setting) as raised:
        dataclasses.replace(FilterSettings(100, 8), **change)
    assert raised.value.setting == setting


def test_the_number_of_codes_needs_no_endless_power():
    assert num_codes(3, 4) == 81
    assert num_codes(1, 10**12) == 1
    assert num_codes(2, 10**12) >= 2**64


GIVEN = torch.tensor([[0, 3, 1], [1, 1, 1], [3, 3, 3], [0, 0, 2]])


def given(kind="real", **change):
    settings = FilterSettings(4, 5, **{"filter": kind, "num_codebooks": 3, "codebook_size": 4, **change})
    return FilterBank(settings, padding_idx=1, given_codes=True)


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_given_codes_choose_the_sources(kind):
    bank = given(kind)
    bank.set_codes(GIVEN)
    books = bank.codebooks
    for word, codes in enumerate(GIVEN.tolist()):
        sources = torch.stack([books[position][code] for position, code in enumerate(codes)])
        expected = sources.amax(0) if kind == "binary" else sources.sum(0)
        torch.testing.assert_close(bank(torch.tensor([word]))[0], expected * (word != 1))
    plain = FilterBank(bank.settings, padding_idx=1)
    assert torch.equal(plain.codebooks, books)


def test_given_codes_are_saved_as_bytes_and_loaded():
    bank = given()
    bank.set_codes(GIVEN)
    saved = bank.state_dict()
    assert sorted(saved) == ["codes", "filter_version"]
    assert saved["codes"].dtype == torch.uint8
    again = given()
    again.load_state_dict(saved)
    assert torch.equal(again(torch.arange(4)), bank(torch.arange(4)))
    assert torch.equal(again.filter_version, bank.filter_version)
    assert given(codebook_size=300).codes.dtype == torch.int32


def test_filters_wait_for_given_codes():
    with pytest.raises(UserError, match="neither set nor loaded"):
        given()(torch.tensor([0]))


def test_damaged_or_missing_codes_are_refused():
    bank = given()
    bank.set_codes(GIVEN)
    saved = bank.state_dict()
    damaged = saved["codes"].clone()
    damaged[2, 1] ^= 1
    for codes in (damaged, saved["codes"][:3], saved["codes"].int()):
        with pytest.raises(ValueError, match=r"the checkpoint's codes \(codes\) are damaged"):
            given().load_state_dict({**saved, "codes": codes})
    with pytest.raises(RuntimeError, match="Missing key"):
        given().load_state_dict({"filter_version": saved["filter_version"]})
    with pytest.raises(ValueError, match="seed is 1 in the checkpoint and 2"):
        given(seed=2).load_state_dict(saved)


def test_random_and_given_codes_are_not_exchanged():
    bank = given()
    bank.set_codes(GIVEN)
    plain = FilterBank(bank.settings, padding_idx=1)
    with pytest.raises(ValueError, match="its codes are learned or given, the model's are random; see --alone-codes"):
        plain.load_state_dict(bank.state_dict())
    with pytest.raises(ValueError, match="its codes are random, the model's are learned or given; see --alone-codes"):
        bank.load_state_dict(plain.state_dict())


@pytest.mark.parametrize(
    ("kind", "given_codes"), [("binary", False), ("real", False), ("naive", False), ("real", True)]
)
def test_memory_is_that_of_codes_and_vectors(kind, given_codes):
    settings = FilterSettings(30, 5, kind, num_codebooks=3, codebook_size=4)
    bank = FilterBank(settings, given_codes=given_codes)
    assert settings.memory(given_codes) == bank.codes.nbytes + bank.codebooks.nbytes


def test_naive_filters_have_no_codes_to_give():
    with pytest.raises(SettingError, match="codes must be random with a naive filter"):
        FilterBank(FilterSettings(4, 5, filter="naive"), given_codes=True)


@pytest.mark.parametrize("convert", [lambda m: m.half(), lambda m: m.bfloat16(), copy.deepcopy])
def test_given_codes_survive_conversion(convert):
    bank = given()
    bank.set_codes(GIVEN)
    converted = convert(bank)
    again = given()
    again.load_state_dict(converted.state_dict())
    assert torch.equal(again.codes.long(), GIVEN)
    # Codes may also be given after the conversion.
    late = convert(given())
    late.set_codes(GIVEN)
    assert torch.equal(late.filter_version, bank.filter_version)
