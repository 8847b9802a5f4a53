"""ALONE's network fitted to given vectors."""

import pytest
import torch

from fairseq_alone.modules import AloneEmbedding, FilterSettings
from fairseq_alone.modules import alone_fit as alone_fit_module
from fairseq_alone.modules.alone_fit import fit_network, orthogonal


def network(**settings):
    torch.manual_seed(1)
    filters = FilterSettings(200, 12, filter="real", num_codebooks=3, codebook_size=8)
    return AloneEmbedding(filters, 6, 1, **{"inter_dim": 40, **settings})


@pytest.fixture
def few_updates(monkeypatch):
    monkeypatch.setattr(alone_fit_module, "_UPDATES", 40)


def target():
    vectors = torch.randn(200, 6, generator=torch.Generator().manual_seed(2))
    vectors[1] = 0  # padding, which no network can move
    return vectors, torch.arange(200, 0, -1).float()


def error(embedding, vectors, weights):
    return (weights.sqrt() * (embedding.matrix().detach() - vectors).square().sum(1)).sum().item()


def test_orthogonal_by_the_singular_vectors():
    for shape in ((7, 4), (4, 7)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        torch.testing.assert_close(orthogonal(matrix), left @ right, atol=1e-5, rtol=1e-4)
    # One direction without a value, and nothing at all.
    flat = torch.tensor([[3.0, 0.0], [0.0, 0.0], [4.0, 0.0]])
    torch.testing.assert_close(orthogonal(flat), torch.tensor([[0.6, 0.0], [0.0, 0.0], [0.8, 0.0]]))
    assert not orthogonal(torch.zeros(3, 2)).any()


def test_one_layer_is_the_solution_of_least_squares():
    embedding = network(num_layers=1)
    vectors, weights = target()
    torch.nn.init.ones_(embedding.o)  # features of one size, which the ridge changes alike
    fit_network(embedding, vectors, weights)
    root = weights.pow(0.25).unsqueeze(1)  # squares of it weigh words by the root of their frequency
    features = embedding.features(torch.arange(200)).detach()
    solution = torch.linalg.lstsq((features * root).double(), (vectors * root).double()).solution
    torch.testing.assert_close(embedding.w1.detach().t(), solution.float(), atol=0.01, rtol=0.02)


def test_two_layers_come_nearer_than_the_last_alone(few_updates, monkeypatch):
    vectors, weights = target()
    fitted, last_only = network(), network()
    before = fitted.o.clone()
    fit_network(fitted, vectors, weights)
    monkeypatch.setattr(alone_fit_module, "_UPDATES", 0)
    fit_network(last_only, vectors, weights)
    assert error(fitted, vectors, weights) < 0.8 * error(last_only, vectors, weights)
    assert torch.equal(fitted.o, before)
    assert fitted.w1.grad is None
    # The last layer is the best for its features: no small step from it helps, but for the ridge.
    least = error(fitted, vectors, weights)
    for _ in range(5):
        moved = network()
        moved.load_state_dict(fitted.state_dict())
        with torch.no_grad():
            moved.w2.add_(0.05 * torch.randn_like(moved.w2))
        assert error(moved, vectors, weights) > least


def test_words_with_rows_of_their_own_do_not_count(few_updates):
    vectors, weights = target()
    other = vectors.clone()
    other[:51] = 100.0
    first, second = (network(free_rows=[(50, 6)]) for _ in range(2))
    second.load_state_dict(first.state_dict())
    fit_network(first, vectors, weights)
    fit_network(second, other, weights)
    assert torch.equal(first.w1, second.w1)
    assert torch.equal(first.w2, second.w2)


def test_three_layers(monkeypatch):
    from fairseq_alone.modules import fit

    monkeypatch.setattr(fit, "_UPDATES", 20)
    vectors, weights = target()
    embedding = network(num_layers=3)
    before = error(embedding, vectors, weights)
    fit_network(embedding, vectors, weights)
    assert error(embedding, vectors, weights) < 0.8 * before


@pytest.mark.parametrize("num_layers", [1, 2])
def test_matrices_are_larger_where_the_base_is_fixed(few_updates, num_layers):
    vectors, weights = target()
    trained, fixed = network(num_layers=num_layers), network(num_layers=num_layers, fix_base=True)
    for embedding in (trained, fixed):
        fit_network(embedding, vectors, weights)
    torch.testing.assert_close(fixed.matrix(), trained.matrix(), atol=1e-4, rtol=1e-3)
    for name in ("w1", "w2")[:num_layers]:
        torch.testing.assert_close(getattr(fixed, name), 5 * getattr(trained, name))
    torch.testing.assert_close(fixed.o * 5**num_layers, trained.o)
