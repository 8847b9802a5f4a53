"""Sizes of an ALONE embedding of a given share of a table."""

import re

import pytest

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import AloneBudget, AloneEmbedding, FilterSettings


@pytest.mark.parametrize("share", [0.125, 0.25, 0.5, 0.75])
@pytest.mark.parametrize(
    ("vocabulary", "dim"),
    [(2000, 64), (7960, 128), (7960, 512), (32000, 512), pytest.param(250000, 256, marks=pytest.mark.slow)],
)
def test_the_embedding_has_the_share_of_a_tables_values(vocabulary, dim, share):
    budget = AloneBudget.of_share(share, vocabulary, dim)
    settings = FilterSettings(vocabulary, budget.base_dim, filter="real")
    embedding = AloneEmbedding(settings, dim, 1, inter_dim=budget.inter_dim, free_rows=budget.free_rows)
    values = sum(parameter.numel() for parameter in embedding.parameters())
    assert values == pytest.approx(share * vocabulary * dim, rel=0.025)
    assert embedding.free.num_rows / vocabulary == pytest.approx(0.95, abs=0.001)


def test_checkpoints_depend_on_these_sizes():
    assert AloneBudget.of_share(0.5, 7960, 128) == AloneBudget(512, 42, [(995, 128), (6567, 53)])
    assert AloneBudget.of_share(0.25, 32000, 512) == AloneBudget(2048, 81, [(2000, 512), (28400, 99)])


@pytest.mark.parametrize(("vocabulary", "dim"), [(8000, 64), (300, 32)])
def test_rounding_refuses_no_share_that_is_large_enough(vocabulary, dim):
    built = []
    for percent in range(2, 76):
        try:
            budget = AloneBudget.of_share(percent / 100, vocabulary, dim)
        except SettingError:
            assert not built
        else:
            rows = sum(words * width + (width * dim if width < dim else 0) for words, width in budget.free_rows)
            built.append(rows + budget.base_dim + budget.inter_dim * (budget.base_dim + dim))
            assert built[-1] == pytest.approx(percent / 100 * vocabulary * dim, rel=0.06)
    assert len(built) > 15


@pytest.mark.parametrize("share", [0, -0.5, 0.76, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(SettingError, match=r"share must be greater than 0 and at most 0.75, got"):
        AloneBudget.of_share(share, 1000, 64)


@pytest.mark.parametrize(("vocabulary", "dim", "share"), [(100, 64, 0.25), (1000, 64, 0.001), (3, 4, 0.5)])
def test_a_share_that_leaves_nothing_is_refused(vocabulary, dim, share):
    with pytest.raises(
        SettingError, match=f"too small for {vocabulary} words and vectors of {dim} values, got {share}"
    ):
        AloneBudget.of_share(share, vocabulary, dim)


@pytest.mark.parametrize(
    ("share", "num_embeddings", "embedding_dim"), [(0.05, 48, 16), (0.001, 5000, 256), (0.2, 99, 64)]
)
def test_too_small_a_share_names_one_that_does(share, num_embeddings, embedding_dim):
    with pytest.raises(SettingError) as caught:
        AloneBudget.of_share(share, num_embeddings, embedding_dim)
    least = float(re.search(r"got [0-9.]+: give at least ([0-9.]+)$", str(caught.value)).group(1))
    assert share < least <= 0.75
    AloneBudget.of_share(least, num_embeddings, embedding_dim)
    with pytest.raises(SettingError):
        AloneBudget.of_share(round(least - 0.001, 3), num_embeddings, embedding_dim)


def test_a_vocabulary_too_small_for_every_share():
    with pytest.raises(SettingError, match="no share does; give the sizes themselves"):
        AloneBudget.of_share(0.5, 6, 512)
