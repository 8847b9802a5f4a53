"""The chunked matrix of ALONE and its gradient, against plain autograd over all words at once and against loops."""

import copy

import pytest
import torch
import torch.nn.functional as F

from fairseq_alone.modules import AloneEmbedding, FilterSettings
from fairseq_alone.modules.alone_vectors import alone_vectors
from fairseq_alone.modules.first_layer import FilterProducts, FilterSums

VOCABULARY, DIM, PAD = 61, 10, 1

KINDS = {
    "binary": {"filter": "binary"},
    "real": {"filter": "real"},
    "naive": {"filter": "naive"},
    "one layer": {"filter": "real", "num_layers": 1},
    "one layer, binary": {"filter": "binary", "num_layers": 1},
    "three layers": {"filter": "binary", "num_layers": 3},
    "fixed base": {"filter": "binary", "fix_base": True},
    "no padding": {"filter": "real", "padding_idx": None},
    "one bit": {"filter": "binary", "base_dim": 1},
    "eight bits": {"filter": "binary", "base_dim": 8},
}


def build(filter, base_dim=7, padding_idx=PAD, inter_dim=12, **settings):
    torch.manual_seed(3)
    filters = FilterSettings(VOCABULARY, base_dim, filter=filter, num_codebooks=3, codebook_size=5)
    return AloneEmbedding(filters, DIM, padding_idx, inter_dim=inter_dim, **settings)


@pytest.fixture(params=KINDS)
def embedding(request, monkeypatch):
    """Every kind, with chunks of a few words, the last of them smaller."""
    monkeypatch.setattr("fairseq_alone.modules.alone_vectors._CHUNK_VALUES", 8 * 12 + 5)
    return build(**KINDS[request.param])


def trained(embedding):
    return [parameter for parameter in embedding.parameters() if parameter.requires_grad]


def at_once(embedding):
    """The equations for all words at once: what autograd differentiates without help."""
    first, *later = embedding.layers
    vectors = (embedding.filters(torch.arange(VOCABULARY)) * embedding.o) @ first.t()
    for layer in later:
        vectors = F.relu(vectors) @ layer.t()
    return vectors


@pytest.mark.parametrize("products", [True, False])
def test_matrix_and_gradient_are_those_of_the_equations(embedding, products, monkeypatch):
    if products:
        monkeypatch.setattr(AloneEmbedding, "_filter_sums_for", lambda self, dtype: None)
    weights = torch.randn(VOCABULARY, DIM)
    expected = at_once(embedding)
    matrix = embedding.matrix()
    torch.testing.assert_close(matrix, expected, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(values, trained(embedding), weights) for values in (matrix, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["binary", "real", "naive"])
@pytest.mark.parametrize("layer", [FilterProducts, FilterSums])
def test_first_layer_is_a_product_in_a_loop(kind, layer):
    bank = build(kind).filters.double()
    first_layer, weight = layer(bank), torch.randn(3, 7, dtype=torch.float64)
    actual = first_layer.hidden(first_layer.prepare(weight), 0, VOCABULARY)
    for word in (0, PAD, 2, 33, VOCABULARY - 1):
        vector = bank(torch.tensor([word]))[0].tolist()
        expected = [sum(w * m for w, m in zip(row, vector, strict=True)) for row in weight.tolist()]
        assert actual[word].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_sums_of_the_papers_shape(kind):
    """M = 8, c = 64, p_o = 0.5, and a D_o that is no multiple of four: all rows of the table are in use."""
    embedding = AloneEmbedding(FilterSettings(3000, 30, filter=kind), 6, 1, inter_dim=16)
    with torch.no_grad():
        matrix, rows = embedding.matrix(), embedding.compute(torch.arange(3000))
    torch.testing.assert_close(matrix, rows, rtol=1e-5, atol=1e-5 * rows.abs().max().item())


@pytest.mark.slow
def test_gradient_in_float64_by_differences(embedding):
    embedding.double()
    assert torch.autograd.gradcheck(lambda *_: embedding.matrix(), trained(embedding))


def test_a_lost_parameter_is_no_error_but_has_no_gradient():
    """Frozen layers: the others still get theirs."""
    embedding = build("binary")
    embedding.w1.requires_grad_(False)
    embedding.matrix().square().sum().backward()
    assert embedding.w1.grad is None
    assert embedding.w2.grad.abs().sum() > 0
    assert embedding.o.grad.abs().sum() > 0


def test_half_precision_sums_large_gradients_without_overflow():
    """Values near the largest of float16, as a loss scaler makes them: products would overflow, the result does not."""
    embedding = build("real", inter_dim=64)
    first_layer = FilterProducts(embedding.filters)
    weight = first_layer.prepare(embedding.w1 * embedding.o)
    gradient = torch.randn(VOCABULARY, DIM) * 30000
    results = []
    for dtype in (torch.float32, torch.float16):
        matrix = alone_vectors(first_layer, (VOCABULARY, DIM), weight, [embedding.w2], dtype, embedding.free)
        assert matrix.dtype == torch.float32
        results.append(torch.autograd.grad(matrix, trained(embedding), gradient, retain_graph=True))
    for single, half in zip(*results, strict=True):
        torch.testing.assert_close(half, single, rtol=0.02, atol=0.01 * single.abs().max().item())


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_half_precision_shows_an_overflow(value):
    embedding = build("real").half()
    gradient = torch.randn(VOCABULARY, DIM).half()
    gradient[7, 3] = value
    embedding.matrix().backward(gradient)
    assert not all(torch.isfinite(parameter.grad).all() for parameter in trained(embedding))


def test_half_precision_with_no_gradient_at_all():
    embedding = build("real").half()
    embedding.matrix().backward(torch.zeros(VOCABULARY, DIM).half())
    assert all((parameter.grad == 0).all() for parameter in trained(embedding))


def test_under_autocast_products_are_half_and_gradients_are_not():
    embedding = build("binary")
    with torch.autocast("cpu", torch.bfloat16):
        matrix = embedding.matrix()
    assert matrix.dtype == torch.float32
    difference = (matrix - at_once(embedding)).abs().max()
    assert 0 < difference < 0.05 * matrix.abs().max()
    gradient = torch.randn(VOCABULARY, DIM)
    ours, theirs = (torch.autograd.grad(m, trained(embedding), gradient) for m in (matrix, at_once(embedding)))
    for half, single in zip(ours, theirs, strict=True):
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, single, rtol=0.05, atol=0.03 * single.abs().max().item())


def test_nothing_of_the_size_of_the_hidden_layers_is_kept():
    """What autograd saves for the gradient does not grow with the vocabulary."""
    sizes = []
    for vocabulary in (200, 2000):
        embedding = AloneEmbedding(FilterSettings(vocabulary, 8), 4, 1, inter_dim=64)
        saved = []

        def keep(tensor, saved=saved):
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            embedding.matrix()
        sizes.append(sum(saved))
    assert sizes[0] == sizes[1] > 0


def test_one_layer_makes_no_more_filters_at_once_than_fit_a_chunk(monkeypatch):
    embedding = AloneEmbedding(FilterSettings(VOCABULARY, 6), DIM, 1, inter_dim=1, num_layers=1)
    expected = embedding.matrix()
    monkeypatch.setattr("fairseq_alone.modules.alone_vectors._CHUNK_VALUES", 6 * 13)
    monkeypatch.setattr(AloneEmbedding, "_filter_sums_for", lambda self, dtype: None)  # as on a GPU
    sizes, original = [], embedding.filters.forward
    monkeypatch.setattr(embedding.filters, "forward", lambda ids: sizes.append(len(ids)) or original(ids))
    matrix = embedding.matrix()
    assert max(sizes) == 13
    assert sum(sizes) == VOCABULARY
    torch.testing.assert_close(matrix, expected)


def test_the_sums_neither_survive_a_move_nor_go_with_a_copy():
    embedding = AloneEmbedding(FilterSettings(VOCABULARY, 6), DIM, 1, inter_dim=5)
    embedding.matrix()
    assert embedding._filter_sums is not None
    assert copy.deepcopy(embedding)._filter_sums is None
    expected = embedding.matrix()
    embedding.double()
    assert embedding._filter_sums is None
    torch.testing.assert_close(embedding.matrix().float(), expected)
