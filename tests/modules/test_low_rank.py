"""The nearest matrix of low rank against numpy's decomposition, and embeddings that are fitted."""

import numpy as np
import pytest
import torch

from fairseq_alone.modules import FactorizedEmbedding
from fairseq_alone.modules import fit as fitting
from fairseq_alone.modules.fit import fit
from fairseq_alone.modules.low_rank import low_rank


@pytest.mark.parametrize("rank", [1, 3, 5])
@pytest.mark.parametrize("weighted", [True, False])
def test_low_rank_is_the_truncated_decomposition(rank, weighted):
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(20, 5))
    weights = generator.integers(1, 9, 20).astype(float) if weighted else np.ones(20)
    rows, directions = low_rank(torch.tensor(vectors, dtype=torch.float32), torch.tensor(weights), rank)
    assert rows.shape == (20, rank)
    assert directions.shape == (rank, 5)
    assert rows.dtype == directions.dtype == torch.float32
    root = np.sqrt(weights)[:, None]
    left, strengths, right = np.linalg.svd(vectors * root, full_matrices=False)
    expected = (left[:, :rank] * strengths[:rank]) @ right[:rank] / root
    np.testing.assert_allclose((rows @ directions).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose((directions @ directions.t()).numpy(), np.eye(rank), atol=1e-6)
    # The strongest first.
    spread = (torch.tensor(weights) @ rows.double().square()).tolist()
    assert spread == sorted(spread, reverse=True)


def test_words_of_weight_zero_get_their_nearest_row():
    vectors = torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    rows, directions = low_rank(vectors, torch.tensor([1.0, 0.0]), 1)
    torch.testing.assert_close(rows @ directions, torch.tensor([[1.0, 1.0], [1.0, 1.0]]))


@pytest.fixture
def few_updates(monkeypatch):
    monkeypatch.setattr(fitting, "_UPDATES", 150)


def test_fit_finds_what_can_be_had(few_updates):
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(30, 3, generator=generator) @ torch.randn(3, 6, generator=generator)
    vectors[1] = 0
    torch.manual_seed(1)
    embedding = FactorizedEmbedding(30, 6, 1, factorized_dim=3)
    fit(embedding, vectors, torch.ones(30))
    error = (embedding.matrix() - vectors).square().sum() / vectors.square().sum()
    assert error.item() < 0.03
    assert all(parameter.grad is None for parameter in embedding.parameters())


def test_fit_changes_nothing_else(few_updates):
    torch.manual_seed(1)
    embedding = FactorizedEmbedding(30, 6, 1, factorized_dim=3)
    before = {name: value.clone() for name, value in embedding.state_dict().items()}
    state = torch.get_rng_state()
    fit(
        embedding, torch.randn(30, 6, generator=torch.Generator().manual_seed(1)), torch.ones(30), [embedding.factor], 9
    )
    assert torch.equal(embedding.projection, before["projection"])
    assert torch.equal(embedding.factor[:9], before["factor"][:9])
    assert not torch.equal(embedding.factor[9:], before["factor"][9:])
    assert torch.equal(torch.get_rng_state(), state)
