"""Sums of tensor products against numpy's Kronecker product and by hand."""

import numpy as np
import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import TensorProductEmbedding, TiedProjection
from fairseq_alone.modules.tensor_product_embedding import factor_shapes


def small(words=23, dim=10, padding_idx=1, **settings):
    torch.manual_seed(1)
    return TensorProductEmbedding(words, dim, padding_idx, **{"rank": 3, **settings})


def kronecker(embedding):
    """The matrix as the paper writes it."""
    found = 0
    for term in range(embedding.rank):
        product = np.ones((1, 1))
        for factor in embedding.factors:
            product = np.kron(product, factor[term].detach().double().numpy())
        found = found + product
    found = found[: embedding.num_embeddings, : embedding.embedding_dim]
    if embedding.scale is not None:
        found = found / np.linalg.norm(found, axis=1, keepdims=True) * embedding.scale.item()
    if embedding.padding_idx is not None:
        found[embedding.padding_idx] = 0
    return torch.from_numpy(found).float()


def test_a_vector_by_hand():
    """Word 5 of bases (3, 2) has the digits 2 and 1."""
    embedding = TensorProductEmbedding(6, 4, order=2, rank=2)
    with torch.no_grad():
        embedding.factors[0].copy_(torch.arange(12.0).view(2, 3, 2))
        embedding.factors[1].copy_(torch.arange(8.0).view(2, 2, 2) - 3)
    # [4, 5] (x) [-1, 0] + [10, 11] (x) [3, 4]
    assert embedding(torch.tensor(5)).tolist() == [-4 + 30, 40, -5 + 33, 44]


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("padding_idx", [None, 0, 1, 22])
def test_the_matrix_is_a_sum_of_kronecker_products(order, normalize, padding_idx):
    embedding = small(padding_idx=padding_idx, order=order, normalize=normalize)
    if normalize:
        embedding.scale.data.fill_(1.7)
    expected = kronecker(embedding)
    torch.testing.assert_close(embedding.matrix().detach(), expected)
    ids = torch.tensor([[22, 1], [5, 22]])
    torch.testing.assert_close(embedding(ids).detach(), expected[ids])
    torch.testing.assert_close(embedding.eval().matrix().detach(), expected)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("order", [2, 3])
def test_gradients(order, normalize):
    embedding = small(words=7, dim=5, rank=2, order=order, normalize=normalize).double()
    names = [name for name, _ in embedding.named_parameters()]

    def look_up(*values):
        return torch.func.functional_call(embedding, dict(zip(names, values, strict=True)), torch.tensor([3, 1, 0, 3]))

    assert torch.autograd.gradcheck(look_up, [value.detach().requires_grad_() for value in embedding.parameters()])


@pytest.mark.parametrize("normalize", [True, False])
def test_padding_gets_no_gradient_from_the_output(normalize):
    embedding = small(padding_idx=0, normalize=normalize)
    logits = TiedProjection(embedding)(torch.randn(2, 10))
    logits[:, 0].sum().backward()
    assert all(not parameter.grad.any() for parameter in embedding.parameters())


@pytest.mark.parametrize(
    ("words", "dim", "order"), [(8000, 128, 2), (23, 10, 3), (32000, 512, 4), (5, 3, 4), (1, 1, 2)]
)
def test_factors_are_just_large_enough(words, dim, order):
    shapes = factor_shapes(words, dim, order)
    assert len(shapes) == order
    for total, sizes in ((words, [rows for rows, _ in shapes]), (dim, [values for _, values in shapes])):
        assert np.prod(sizes) >= total
        assert max(sizes) ** order >= total > (max(sizes) - 1) ** order
        assert sizes == sorted(sizes, reverse=True)
        # No factor could be smaller.
        assert all(np.prod(sizes) // size * (size - 1) < total for size in sizes)


def test_sizes_of_the_paper():
    """Figure 1: 81 words of 16 values as rank 5 and order 4 have twenty 3 x 2 matrices."""
    embedding = TensorProductEmbedding(81, 16, order=4, rank=5)
    assert [tuple(factor.shape) for factor in embedding.factors] == [(5, 3, 2)] * 4


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_start_has_the_scale_of_a_table(order, normalize):
    torch.manual_seed(1)
    embedding = TensorProductEmbedding(3000, 64, 1, order=order, rank=40, normalize=normalize)
    assert embedding.matrix().std().item() == pytest.approx(64**-0.5, rel=0.1)


@pytest.mark.parametrize("normalize", [True, False])
def test_half_precision(normalize):
    embedding = small(normalize=normalize)
    expected = embedding.matrix().detach()
    half = embedding.half()
    assert half.sizes.dtype == torch.int64
    assert half.matrix().dtype == torch.float16
    torch.testing.assert_close(half.matrix().detach().float(), expected, rtol=0.02, atol=0.01)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"order": 1}, "order must be at least 2, got 1"),
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"words": 0}, "num_embeddings must be at least 1"),
        ({"dim": 0}, "embedding_dim must be at least 1"),
    ],
)
def test_settings_out_of_range(settings, words):
    with pytest.raises(SettingError, match=words):
        small(**settings)
