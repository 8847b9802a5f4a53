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
        (wide, full), (narrow, width) = budget.free_rows
        assert full == dim
        assert width < dim
        assert wide + narrow == words - 1
        values = budget.num_codebooks * budget.codebook_size * dim + wide * dim + narrow * width + width * dim
        assert values <= share * words * dim, (words, dim)
        assert values > share * words * dim - words - 2 * dim, (words, dim)
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
    """The settings of the issue: at a quarter, width 20 with 4 codebooks of 64."""
    budget = CodeBudget.of_share(0.25, 8000, 128)
    assert (budget.num_codebooks, budget.codebook_size) == (4, 64)
    assert budget.free_rows[1][1] in (19, 20, 21)


@pytest.mark.parametrize("share", [0.0, -1.0, 0.76, float("nan")])
@pytest.mark.parametrize("budget", [CodeBudget.of_share, CodeBudget.of_trained])
def test_shares_out_of_range(share, budget):
    with pytest.raises(SettingError, match="share must be greater than 0 and at most 0.75"):
        budget(share, 1000, 64)


@pytest.mark.parametrize("budget", [CodeBudget.of_share, CodeBudget.of_trained])
def test_too_small_a_share(budget):
    with pytest.raises(SettingError, match="share is too small for 100 words and vectors of 64 values, got 0.05"):
        budget(0.05, 100, 64)


@pytest.mark.parametrize("share", SHARES)
def test_budgets_for_trained_tables_can_be_built_and_are_no_larger_than_the_share(share):
    accepted = 0
    for words, dim in SIZES:
        try:
            budget = CodeBudget.of_trained(share, words, dim)
        except SettingError:
            continue
        accepted += 1
        ((wide, full),) = budget.free_rows
        assert full == dim
        assert wide <= words / 16
        values = budget.num_codebooks * budget.codebook_size * dim + wide * dim
        assert share * words * dim - 17 * dim <= values <= share * words * dim, (words, dim)
        assert budget.codebook_size**budget.num_codebooks >= words
    assert accepted >= 3


def test_budget_of_a_trained_table_of_multi30k():
    """By hand: 1,990 rows' worth of values, of which 497 are wide rows; (1990 - 497) // 16 codebooks."""
    budget = CodeBudget.of_trained(0.25, 7960, 128)
    assert (budget.num_codebooks, budget.codebook_size, budget.free_rows) == (93, 16, [(497, 128)])
