"""Free rows: trained vectors of the first words in place of computed ones, against a plain loop."""

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import AloneEmbedding, FilterSettings
from fairseq_alone.modules.first_layer import FilterSums

VOCABULARY, DIM = 23, 6


def build(free_rows, padding_idx=1, **settings):
    torch.manual_seed(3)
    filters = FilterSettings(VOCABULARY, 7, filter="real", num_codebooks=3, codebook_size=5)
    embedding = AloneEmbedding(filters, DIM, padding_idx, inter_dim=12, free_rows=free_rows, **settings)
    if embedding.free is not None:
        torch.nn.init.normal_(embedding.free)
    return embedding


def plain(embedding):
    """The same embedding without its rows."""
    copied = build(0, embedding.padding_idx)
    copied.load_state_dict({name: value for name, value in embedding.state_dict().items() if name != "free"})
    return copied


@pytest.mark.parametrize(
    ("free_rows", "padding_idx"), [(1, 1), (2, 1), (5, 1), (22, 1), (5, 0), (3, 3), (3, 4), (23, None), (5, 22)]
)
def test_the_first_words_have_a_row_each_and_padding_has_none(free_rows, padding_idx):
    embedding = build(free_rows, padding_idx)
    expected = plain(embedding).matrix().detach().clone()
    row = 0
    for word in range(VOCABULARY):
        if word != padding_idx and row < free_rows:
            expected[word] = embedding.free[row].detach()
            row += 1
    torch.testing.assert_close(embedding.matrix(), expected)
    ids = torch.randperm(VOCABULARY)
    torch.testing.assert_close(embedding(ids), expected[ids])
    torch.testing.assert_close(embedding.eval().matrix(), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_gradient_of_a_row_is_that_of_its_word(training, whole):
    embedding = build(5).train(training)
    factors = torch.randn(VOCABULARY, DIM)
    vectors = embedding.matrix() if whole else embedding(torch.arange(VOCABULARY))
    (vectors * factors).sum().backward()
    torch.testing.assert_close(embedding.free.grad, factors[[0, 2, 3, 4, 5]])
    other = plain(embedding)
    (other.matrix() * factors)[6:].sum().backward()
    for name in ("o", "w1", "w2"):
        torch.testing.assert_close(getattr(embedding, name).grad, getattr(other, name).grad)


def test_all_vectors_begin_at_the_scale_of_a_table():
    torch.manual_seed(3)
    filters = FilterSettings(4000, 30, filter="real")
    embedding = AloneEmbedding(filters, 40, 1, inter_dim=50, free_rows=1000)
    assert embedding.free.shape == (1000, 40)
    matrix = embedding.matrix()
    assert matrix[2:1001].std().item() == pytest.approx(40**-0.5, rel=0.02)
    assert matrix[1001:].std().item() == pytest.approx(40**-0.5, rel=0.02)


def test_every_word_may_have_a_row():
    embedding = build(VOCABULARY - 1)
    assert torch.isfinite(embedding.matrix()).all()
    assert torch.isfinite(torch.cat([value.flatten() for value in embedding.state_dict().values()])).all()


def test_the_words_with_rows_are_not_computed(monkeypatch):
    embedding, ranges = build(5), []
    hidden = FilterSums.hidden
    monkeypatch.setattr(
        FilterSums,
        "hidden",
        lambda self, table, start, stop: ranges.append((start, stop)) or hidden(self, table, start, stop),
    )
    embedding.matrix().sum().backward()
    assert set(ranges) == {(6, VOCABULARY)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    embedding = build(5).to(dtype)
    matrix = embedding.matrix()
    assert matrix.dtype == dtype
    torch.testing.assert_close(matrix.float(), build(5).matrix(), rtol=0.02, atol=0.02)
    matrix.float().pow(2).sum().backward()
    assert embedding.free.grad.dtype == dtype


def test_dropout_leaves_the_rows_alone():
    embedding = build(22, dropout=0.5)
    with torch.no_grad():
        embedding.w2.zero_()
    ids = torch.arange(2, VOCABULARY)
    torch.testing.assert_close(embedding(ids), embedding.free[1:])


@pytest.mark.parametrize("free_rows", [-1, 23])
def test_numbers_out_of_range_are_named(free_rows):
    with pytest.raises(SettingError, match="free_rows"):
        build(free_rows)
