"""Free rows: trained vectors of the first words in place of computed ones, against a plain loop."""

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import AloneEmbedding, FilterSettings
from fairseq_alone.modules.first_layer import FilterSums

VOCABULARY, DIM = 23, 6


def build(*bands, padding_idx=1, **settings):
    torch.manual_seed(3)
    filters = FilterSettings(VOCABULARY, 7, filter="real", num_codebooks=3, codebook_size=5)
    return AloneEmbedding(filters, DIM, padding_idx, inter_dim=12, free_rows=bands, **settings)


def wide(num_rows):
    """Bands of ``num_rows`` rows of the full width."""
    return [(num_rows, DIM)] if num_rows else []


def plain(embedding):
    """The same embedding without its rows."""
    copied = build(padding_idx=embedding.padding_idx)
    state = {name: value for name, value in embedding.state_dict().items() if not name.startswith("free.")}
    copied.load_state_dict(state)
    return copied


def by_hand(embedding):
    """The vectors of the words that have a row, word by word, differentiable."""
    vectors = []
    for band in embedding.free.bands:
        for row in band.rows:
            if band.projection is None:
                vectors.append(2 * row)
            else:
                vector = sum(value * direction for value, direction in zip(row, band.projection, strict=True))
                vectors.append(vector * 2 * 3 * DIM**0.5 / len(row))
    return vectors


BANDS = {"wide": [(5, DIM)], "narrow": [(5, 2)], "both": [(2, DIM), (3, 4)], "three": [(1, DIM), (2, 5), (2, 1)]}


@pytest.mark.parametrize(
    ("free_rows", "padding_idx"), [(1, 1), (2, 1), (5, 1), (22, 1), (5, 0), (3, 3), (3, 4), (23, None), (5, 22)]
)
def test_the_first_words_have_a_row_each_and_padding_has_none(free_rows, padding_idx):
    embedding = build(*wide(free_rows), padding_idx=padding_idx)
    check_vectors(embedding)


@pytest.mark.parametrize("padding_idx", [0, 1, 2, 4, 5, 22, None])
@pytest.mark.parametrize("bands", BANDS.values(), ids=BANDS)
def test_bands_follow_each_other(bands, padding_idx):
    check_vectors(build(*bands, padding_idx=padding_idx))


def check_vectors(embedding):
    expected = plain(embedding).matrix().detach().clone()
    words = [word for word in range(VOCABULARY) if word != embedding.padding_idx]
    for word, vector in zip(words, by_hand(embedding), strict=False):
        expected[word] = vector.detach()
    torch.testing.assert_close(embedding.matrix(), expected)
    ids = torch.randperm(VOCABULARY)
    torch.testing.assert_close(embedding(ids), expected[ids])
    torch.testing.assert_close(embedding.eval().matrix(), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("bands", BANDS.values(), ids=BANDS)
def test_gradient_of_a_row_is_that_of_its_word(bands, training, whole):
    embedding = build(*bands).train(training)
    factors = torch.randn(VOCABULARY, DIM)
    loss = (torch.stack(by_hand(embedding)) * factors[[0, 2, 3, 4, 5]]).sum()
    expected = torch.autograd.grad(loss, list(embedding.free.parameters()))
    vectors = embedding.matrix() if whole else embedding(torch.arange(VOCABULARY))
    (vectors * factors).sum().backward()
    torch.testing.assert_close([parameter.grad for parameter in embedding.free.parameters()], list(expected))
    other = plain(embedding)
    (other.matrix() * factors)[6:].sum().backward()
    for name in ("o", "w1", "w2"):
        torch.testing.assert_close(getattr(embedding, name).grad, getattr(other, name).grad)


def test_all_vectors_begin_at_the_scale_of_a_table():
    torch.manual_seed(3)
    filters = FilterSettings(4000, 30, filter="real")
    embedding = AloneEmbedding(filters, 40, 1, inter_dim=50, free_rows=[(1000, 40), (1000, 16)])
    shapes = {name: tuple(value.shape) for name, value in embedding.free.named_parameters()}
    assert shapes == {"bands.0.rows": (1000, 40), "bands.1.rows": (1000, 16), "bands.1.projection": (16, 40)}
    matrix = embedding.matrix()
    for words in (slice(2, 1001), slice(1001, 2001), slice(2001, None)):
        assert matrix[words].std().item() == pytest.approx(40**-0.5, rel=0.02)


def test_a_step_moves_a_vector_twice_as_far_along_its_gradient_as_that_of_a_table():
    torch.manual_seed(3)
    filters = FilterSettings(4000, 30, filter="real")
    embedding = AloneEmbedding(filters, 40, None, inter_dim=50, free_rows=[(1000, 40), (1000, 16)])
    gradient = torch.randn(4000, 40)
    before = embedding.matrix()
    before.backward(gradient)
    with torch.no_grad():
        for band in embedding.free.bands:
            band.rows -= 1e-3 * band.rows.grad.sign()  # what the first step of Adam is
    progress = ((before - embedding.matrix()) * gradient).sum(1)
    of_a_table = (1e-3 * gradient.sign() * gradient).sum(1).mean().item()
    for words in (slice(0, 1000), slice(1000, 2000)):
        assert progress[words].mean().item() == pytest.approx(2 * of_a_table, rel=0.03)


def test_a_step_changes_the_projection_by_three_times_the_learning_rate():
    torch.manual_seed(3)
    embedding = AloneEmbedding(FilterSettings(4000, 30, filter="real"), 40, None, inter_dim=5, free_rows=[(1000, 16)])
    projection = embedding.free.bands[0].projection
    assert (1e-3 / projection.square().mean().sqrt()).item() == pytest.approx(3e-3, rel=1e-5)


def test_every_word_may_have_a_row():
    embedding = build(*wide(VOCABULARY - 1))
    assert torch.isfinite(embedding.matrix()).all()
    assert torch.isfinite(torch.cat([value.flatten() for value in embedding.state_dict().values()])).all()


def test_the_words_with_rows_are_not_computed(monkeypatch):
    embedding, ranges = build((2, DIM), (3, 2)), []
    hidden = FilterSums.hidden
    monkeypatch.setattr(
        FilterSums,
        "hidden",
        lambda self, table, start, stop: ranges.append((start, stop)) or hidden(self, table, start, stop),
    )
    embedding.matrix().sum().backward()
    assert set(ranges) == {(6, VOCABULARY)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bands", BANDS.values(), ids=BANDS)
def test_half_precision(dtype, bands):
    embedding = build(*bands).to(dtype)
    matrix = embedding.matrix()
    assert matrix.dtype == dtype
    torch.testing.assert_close(matrix.float(), build(*bands).matrix(), rtol=0.02, atol=0.02)
    torch.testing.assert_close(embedding(torch.arange(VOCABULARY)), matrix, rtol=0.02, atol=0.02)
    matrix.float().pow(2).sum().backward()
    assert all(parameter.grad.dtype == dtype for parameter in embedding.free.parameters())


def test_autocast_computes_the_rows_in_float32():
    embedding = build(*BANDS["both"])
    with torch.autocast("cpu", torch.bfloat16):
        matrix = embedding.matrix()
    torch.testing.assert_close(matrix[2:6], embedding.matrix()[2:6], rtol=0, atol=0)


def test_dropout_leaves_the_rows_alone():
    embedding = build(*wide(22), dropout=0.5)
    with torch.no_grad():
        embedding.w2.zero_()
    ids = torch.arange(2, VOCABULARY)
    torch.testing.assert_close(embedding(ids), 2 * embedding.free.bands[0].rows[1:])


@pytest.mark.parametrize(
    ("bands", "problem"),
    [
        ([(23, DIM)], "at most 22 in all.*got 23"),
        ([(20, DIM), (3, 2)], "at most 22 in all.*got 23"),
        ([(0, DIM)], "at least 1 in each band, got 0"),
        ([(4, 2), (-1, 2)], "at least 1 in each band, got -1"),
        ([(4, 0)], "a width from 1 to 6, got 0"),
        ([(4, 7)], "a width from 1 to 6, got 7"),
    ],
)
def test_numbers_out_of_range_are_named(bands, problem):
    with pytest.raises(SettingError, match=f"free_rows must .*{problem}"):
        build(*bands)


@pytest.mark.parametrize("padding_idx", [0, 1, 5, 22, None])
@pytest.mark.parametrize("bands", BANDS.values(), ids=BANDS)
def test_rows_start_with_vectors_or_the_nearest_of_their_width(bands, padding_idx):
    free = build(*bands, padding_idx=padding_idx).free
    vectors = torch.randn(VOCABULARY, DIM, generator=torch.Generator().manual_seed(1))
    weights = torch.arange(VOCABULARY) % 5 + 1.0
    free.start_from(vectors, weights)
    found, start = free.vectors(torch.float32), 0
    words = [word for word in range(VOCABULARY) if word != padding_idx]
    for num_rows, width in bands:
        own = words[start : start + num_rows]
        root = weights[own].sqrt().unsqueeze(1)
        left, strengths, right = torch.linalg.svd(vectors[own] * root, full_matrices=False)
        expected = (left[:, :width] * strengths[:width]) @ right[:width] / root
        torch.testing.assert_close(found[start : start + num_rows], expected, rtol=1e-4, atol=1e-4)
        start += num_rows
    for band in free.bands:
        if band.projection is not None:
            # As at random: orthogonal directions of the usual length, which decides how far a step goes.
            width = band.rows.size(1)
            torch.testing.assert_close(band.projection @ band.projection.t(), torch.eye(width) * DIM / 9)
