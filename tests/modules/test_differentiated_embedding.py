"""Blocks of words with dimensions of their own: values by hand, and both ways to logits."""

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import DifferentiatedEmbedding, TiedProjection
from fairseq_alone.modules.rounding import Rounding

BLOCKS = [[2, 3], [3, 1], [4, 2]]


def embedding(padding_idx=1, blocks=BLOCKS, words=9, dim=6):
    torch.manual_seed(1)
    return DifferentiatedEmbedding(words, dim, padding_idx, blocks=blocks)


def test_the_matrix_by_hand():
    module = embedding(None, [[1, 2], [2, 1]], 3, 3)
    with torch.no_grad():
        module.blocks[0].copy_(torch.tensor([[1.0, 2.0]]))
        module.blocks[1].copy_(torch.tensor([[3.0], [4.0]]))
    assert module.matrix().tolist() == [[1, 2, 0], [0, 0, 3], [0, 0, 4]]
    # Word 1 sees the third value of the features only.
    assert module.project(torch.tensor([[1.0, 10.0, 100.0]])).tolist() == [[21, 300, 400]]


@pytest.mark.parametrize("padding_idx", [None, 1, 3])
def test_look_ups_rows_and_logits_are_those_of_the_matrix(padding_idx):
    module = embedding(padding_idx)
    with torch.no_grad():
        for block in module.blocks:
            block.normal_()
    ids = torch.tensor([[8, 1, 2], [3, 0, 8]])
    matrix = module.matrix()
    assert torch.equal(module(ids), matrix[ids])
    assert torch.equal(module.rows(ids), matrix[ids])
    features = torch.randn(2, 3, 6)
    torch.testing.assert_close(TiedProjection(module)(features), features @ matrix.t())
    if padding_idx is not None:
        assert not matrix[padding_idx].any()


def test_no_look_up_builds_the_matrix(monkeypatch):
    monkeypatch.setattr(DifferentiatedEmbedding, "matrix", None)
    module = embedding().eval()
    projection = TiedProjection(module)
    with torch.no_grad():
        projection(module(torch.tensor([[1, 8]])))


def test_gradients_are_those_of_the_matrix():
    module, features, ids = embedding(), torch.randn(4, 6), torch.tensor([0, 2, 8, 1])

    def gradients(logits, vectors):
        return torch.autograd.grad(logits.pow(2).sum() + vectors.pow(3).sum(), list(module.parameters()))

    ours = gradients(module.project(features), module(ids))
    theirs = gradients(features @ module.matrix().t(), module.matrix()[ids])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_vectors_begin_as_long_as_those_of_a_table():
    module = embedding(1, [[4000, 40], [4000, 10]], 8000, 50)
    for rows in (module.matrix()[:4000], module.matrix()[4000:]):
        assert rows.norm(dim=1).square().mean().item() == pytest.approx(1.0, rel=0.05)
    assert sum(parameter.numel() for parameter in module.parameters()) == 4000 * 50


def test_a_start_takes_the_slices():
    module = embedding()
    vectors = torch.randn(9, 6)
    module.start_from(vectors)
    matrix = module.matrix()
    assert torch.equal(matrix[0, :3], vectors[0, :3])
    assert torch.equal(matrix[4, 3:4], vectors[4, 3:4])
    assert torch.equal(matrix[8, 4:], vectors[8, 4:])
    assert not matrix[1].any()


def test_rounded_values_in_all_ways():
    module = embedding()
    module.rounding = Rounding(4)
    features, ids = torch.randn(4, 6), torch.arange(9)
    rounded = module.matrix()
    module.rounding = None
    assert not torch.allclose(rounded, module.matrix())
    module.rounding = Rounding(4)
    assert torch.equal(module(ids), rounded)
    torch.testing.assert_close(module.project(features), features @ rounded.t())
    expected = (features @ rounded.t()).log_softmax(1).gather(1, torch.tensor([[1], [2], [7], [8]]))[:, 0]
    torch.testing.assert_close(module.log_prob(features, torch.tensor([1, 2, 7, 8])), expected)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([[2, 3], [3, 3]], r"V = 9 words and D_e = 6 dimensions in all, got 5 words and 6 dimensions"),
        ([[9, 3]], "got 9 words and 3 dimensions"),
        ([[9, 6], [0, 0]], "at least 1 word and 1 dimension"),
        ([], "at least 1 word and 1 dimension"),
    ],
)
def test_what_is_refused(blocks, words):
    with pytest.raises(SettingError, match=words):
        embedding(blocks=blocks)
