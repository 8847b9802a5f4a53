"""Sizes of codes with rows: never more than the share, and always such that they can be built."""

import pytest

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import CodeEmbedding
from fairseq_alone.modules.code_budget import CodeBudget

SHARES = [0.02, 0.05, 0.0625, 0.1, 0.25, 0.5, 0.75]
SIZES = [(v, d) for v in (3, 10, 50, 200, 1000, 2160, 8000) for d in (2, 8, 16, 64, 128, 512)]


@pytest.mark.parametrize("share", SHARES)
def test_all_that_is_accepted_can_be_built_and_is_no_larger_than_the_share(share):
    accepted = 0
    for words, dim in SIZES:
        try:
            budget = CodeBudget.of_share(share, words, dim)
        except SettingError:
            continue
        accepted += 1
        ((wide, full),) = budget.free_rows
        assert full == dim
        assert wide <= words / 16
        values = budget.num_codebooks * budget.codebook_size * dim + wide * dim
        assert share * words * dim - (budget.codebook_size + 1) * dim <= values <= share * words * dim, (words, dim)
        if words * dim < 100_000:
            embedding = CodeEmbedding(
                *(words, dim, 1),
                num_codebooks=budget.num_codebooks,
                codebook_size=budget.codebook_size,
                free_rows=budget.free_rows,
            )
            assert sum(parameter.numel() for parameter in embedding.parameters()) == values
        else:  # what building would refuse
            assert budget.codebook_size**budget.num_codebooks >= words
    assert accepted >= 3


def test_sizes_of_multi30k():
    """By hand: 1,990 rows' worth of values, of which 497 are wide rows; (1990 - 497) // 16 codebooks."""
    budget = CodeBudget.of_share(0.25, 7960, 128)
    assert (budget.num_codebooks, budget.codebook_size, budget.free_rows) == (93, 16, [(497, 128)])


def test_codebooks_grow_with_the_vocabulary_not_in_number():
    budgets = [CodeBudget.of_share(0.25, words, 64) for words in (8000, 16000, 32000, 128000, 1_000_000)]
    assert [budget.codebook_size for budget in budgets] == [16, 32, 64, 256, 256]
    assert [budget.num_codebooks for budget in budgets[:4]] == [93, 93, 93, 93]


@pytest.mark.parametrize("share", [0.0, -1.0, 0.76, float("nan")])
def test_shares_out_of_range(share):
    with pytest.raises(SettingError, match="share must be greater than 0 and at most 0.75"):
        CodeBudget.of_share(share, 1000, 64)


def test_too_small_a_share():
    with pytest.raises(SettingError, match="share is too small for 100 words and vectors of 64 values, got 0.05"):
        CodeBudget.of_share(0.05, 100, 64)
