"""The table under the contract of the computed embeddings, and the regularised projection."""

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import RegularizedProjection, TableEmbedding, TiedProjection


def test_table_keeps_the_contract():
    embedding = TableEmbedding(7, 4, padding_idx=1)
    ids = torch.tensor([[3, 1], [6, 3]])
    assert torch.equal(embedding(ids), embedding.matrix()[ids])
    assert torch.equal(embedding.weight, embedding.matrix())
    assert torch.equal(embedding.matrix()[1], torch.zeros(4))
    assert [name for name, _ in embedding.named_parameters()] == ["weight"]
    embedding(ids).sum().backward()
    assert embedding.weight.grad.sum(1).tolist() == [0, 0, 0, 8, 0, 0, 4]  # none for the padding word


def test_table_has_fairseqs_scale():
    torch.manual_seed(1)
    assert TableEmbedding(4000, 64).matrix().std().item() == pytest.approx(64**-0.5, rel=0.02)


def test_projection_by_hand():
    embedding = TableEmbedding(3, 2)
    projection = RegularizedProjection(embedding, 0.15)
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
        projection.square.copy_(torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
    # P h = (1 + 10, 2 * 10) for h = (1, 10)
    expected = torch.tensor([[[11.0 + 40.0, 33.0 + 80.0, 55.0 + 120.0]]])
    torch.testing.assert_close(projection(torch.tensor([[[1.0, 10.0]]])), expected)
    torch.testing.assert_close(torch.tensor([1.0, 10.0]) @ projection.weight.t(), expected[0, 0])
    assert projection.penalty().item() == pytest.approx(0.15 * 6**0.5)
    projection.penalty().backward()
    torch.testing.assert_close(projection.square.grad, 0.15 * projection.square.detach() / 6**0.5)


def test_projection_starts_as_if_it_were_not_there():
    torch.manual_seed(1)
    embedding, features = TableEmbedding(9, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(RegularizedProjection(embedding, 1.0)(features), TiedProjection(embedding)(features))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_lambda_out_of_range(value):
    with pytest.raises(SettingError, match="regularization must be a positive number"):
        RegularizedProjection(TableEmbedding(3, 2), value)
