"""Compositional codes against sums by hand."""

import copy

import pytest
import torch

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules import CodeEmbedding

CODES = torch.tensor([[0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0]])


def small(**settings):
    return CodeEmbedding(6, 4, 1, **{"num_codebooks": 3, "codebook_size": 2, **settings})


def test_vectors_are_sums_by_hand():
    embedding = small().eval()
    embedding.set_codes(CODES)
    books = embedding.codebooks.detach().view(3, 2, 4)
    expected = torch.stack([sum(books[m, code] for m, code in enumerate(row)) for row in CODES.tolist()])
    expected[1] = 0  # padding
    torch.testing.assert_close(embedding.matrix().detach(), expected)
    ids = torch.tensor([[2, 1], [5, 0]])
    torch.testing.assert_close(embedding(ids).detach(), expected[ids])


def test_gradients_reach_the_codebooks_but_not_from_padding():
    embedding = small()
    embedding.set_codes(CODES)
    embedding(torch.tensor([2, 1])).sum().backward()
    # Word 2 uses vector 0 of the first book, 1 of the second, 0 of the third.
    assert embedding.codebooks.grad[:, 0].tolist() == [1, 0, 0, 1, 1, 0]


def test_scale_size_and_random_codes():
    def build(**settings):
        return CodeEmbedding(3000, 64, 1, num_codebooks=8, codebook_size=16, **settings)

    torch.manual_seed(1)
    embedding = build()
    assert embedding.matrix().std().item() == pytest.approx(64**-0.5, rel=0.05)
    assert sum(parameter.numel() for parameter in embedding.parameters()) == 8 * 16 * 64
    assert embedding.codes.dtype == torch.uint8
    assert len(set(map(tuple, embedding.codes.tolist()))) == 3000
    assert torch.equal(embedding.codes, build().codes)
    assert not torch.equal(embedding.codes, build(seed=2).codes)
    assert not torch.equal(embedding.codes, build(stream=1).codes)
    assert CodeEmbedding(300, 8, num_codebooks=2, codebook_size=300).codes.dtype == torch.int32


def test_a_checkpoint_brings_its_codes():
    first, second = small(seed=1), small(seed=2)
    assert not torch.equal(first.codes, second.codes)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.matrix(), second.matrix())


def test_random_codes_are_not_used_where_others_are_awaited():
    embedding, other = small(), small(seed=2)
    embedding.awaited_codes = "there are no codes"
    with pytest.raises(UserError, match="there are no codes"):
        embedding(torch.tensor([2]))
    embedding.load_state_dict(other.state_dict())
    assert torch.equal(embedding.matrix(), other.matrix())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_codebooks": 0}, "num_codebooks must be at least 1"),
        ({"codebook_size": 1}, "codebook_size must be at least 2"),
        ({"num_codebooks": 2}, "codebook_size is too small"),
    ],
)
def test_settings_out_of_range(settings, words):
    with pytest.raises(SettingError, match=words):
        small(**settings)


@pytest.mark.parametrize("codes", [torch.zeros(5, 3), torch.full((6, 3), 2), torch.full((6, 3), -1)])
def test_bad_codes_are_refused(codes):
    with pytest.raises(ValueError, match="codes must be"):
        small().set_codes(codes)


BANDS = {"wide": [(3, 4)], "narrow": [(5, 2)], "both": [(2, 4), (2, 3)]}


@pytest.mark.parametrize("padding_idx", [0, 1, 2, 5, None])
@pytest.mark.parametrize("bands", BANDS.values(), ids=BANDS)
def test_a_wide_row_replaces_the_sum_and_a_narrow_one_is_added(bands, padding_idx):
    embedding = CodeEmbedding(6, 4, padding_idx, num_codebooks=3, codebook_size=2, free_rows=bands)
    embedding.set_codes(CODES)
    books = embedding.codebooks.view(3, 2, 4) * 3**-0.5  # so with rows; alone they have no factor
    sums = [sum(books[m, code] for m, code in enumerate(row)) for row in CODES.tolist()]
    words = [word for word in range(6) if word != padding_idx]
    rows = [(band, row) for band in embedding.free.bands for row in band.rows]
    for word, (band, row) in zip(words, rows, strict=False):
        if band.projection is None:
            sums[word] = row * band.scale
        else:
            own = sum(value * direction for value, direction in zip(row, band.projection, strict=True))
            sums[word] = sums[word] + own * band.scale
    if padding_idx is not None:
        sums[padding_idx] = torch.zeros(4)
    expected = torch.stack(sums)
    torch.testing.assert_close(embedding.matrix(), expected)
    ids = torch.tensor([[5, 0, 0], [3, 1, 2]])
    torch.testing.assert_close(embedding(ids), expected[ids])
    factors = torch.randn(6, 4)
    parameters = list(embedding.parameters())
    ours = torch.autograd.grad((embedding(torch.arange(6)) * factors).sum(), parameters)
    torch.testing.assert_close(ours, torch.autograd.grad((expected * factors).sum(), parameters))


@pytest.mark.parametrize("bands", BANDS.values(), ids=BANDS)
def test_gradients_of_rows_and_codebooks(bands):
    embedding = small(free_rows=bands).double()
    names = [name for name, _ in embedding.named_parameters()]

    def look_up(*values):
        return torch.func.functional_call(embedding, dict(zip(names, values, strict=True)), torch.tensor([3, 1, 0, 3]))

    assert torch.autograd.gradcheck(look_up, [value.detach().requires_grad_() for value in embedding.parameters()])


def test_a_step_of_a_narrow_row_is_about_as_long_as_that_of_a_tables_row():
    """One value of a row changed by s moves the vector by 1.25 s (D_e / d) ** 0.5, so that all d of them move it by
    1.25 s D_e ** 0.5 (the directions are orthogonal); a table's row moves by s D_e ** 0.5."""
    for width in (4, 16, 60):
        embedding = CodeEmbedding(40, 64, 1, num_codebooks=2, codebook_size=8, free_rows=[(4, 64), (30, width)])
        before = embedding.matrix().detach().clone()
        with torch.no_grad():
            embedding.free.bands[1].rows[0] += 0.01
        moved = (embedding.matrix() - before).norm(dim=1)
        assert moved[5].item() == pytest.approx(1.25 * 0.01 * 64**0.5, rel=1e-4)
        assert moved.count_nonzero() == 1


def test_wide_words_are_those_whose_row_replaces_the_sum():
    embedding = CodeEmbedding(9, 4, 1, num_codebooks=2, codebook_size=4, free_rows=[(2, 4), (3, 2), (1, 4)])
    assert embedding.wide_words.tolist() == [0, 1, 2, 6]  # padding moves all behind it up by one
    before = embedding.matrix().detach().clone()
    with torch.no_grad():
        embedding.codebooks.add_(1.0)
    changed = (embedding.matrix() != before).any(1)
    assert changed.nonzero().flatten().tolist() == [3, 4, 5, 7, 8]
    assert small(free_rows=[]).wide_words.tolist() == []


def test_given_codebooks_are_what_words_add_up():
    codebooks = torch.randn(3, 2, 4)
    for bands in ([], [(1, 4)]):
        embedding = CodeEmbedding(6, 4, None, num_codebooks=3, codebook_size=2, free_rows=bands)
        embedding.set_codes(CODES)
        embedding.set_codebooks(codebooks)
        expected = sum(codebooks[m, CODES[5, m]] for m in range(3))
        torch.testing.assert_close(embedding.matrix()[5], expected)


def test_initial_values_do_not_depend_on_the_factor():
    for bands in ([], [(10, 64)]):
        embedding = CodeEmbedding(3000, 64, 1, num_codebooks=16, codebook_size=64, free_rows=bands)
        assert embedding.matrix()[20:].std().item() == pytest.approx(64**-0.5, rel=0.05)


@pytest.mark.parametrize("bands", BANDS.values(), ids=BANDS)
def test_the_whole_matrix_and_its_gradient_are_those_of_look_ups(bands):
    embedding = CodeEmbedding(50, 6, 1, num_codebooks=5, codebook_size=7, free_rows=bands).double()
    embedding.codes[:, 2] = 3  # of one codebook, all but one vector are used by no word
    factors = torch.randn(50, 6, dtype=torch.float64)
    parameters = list(embedding.parameters())
    looked_up = torch.autograd.grad((embedding.compute(torch.arange(50)) * factors).sum(), parameters)
    torch.testing.assert_close(embedding.matrix(), embedding.compute(torch.arange(50)))
    torch.testing.assert_close(torch.autograd.grad((embedding.matrix() * factors).sum(), parameters), looked_up)


@pytest.mark.parametrize("change", ["set", "load", "replace"])
def test_the_matrix_follows_codes_that_change(change):
    embedding, other = small(free_rows=[]), small(free_rows=[])
    embedding.matrix()  # keeps which words use a vector
    codes = (embedding.codes.long() + 1) % embedding.codebook_size
    other.load_state_dict(embedding.state_dict())
    other.set_codes(codes)
    if change == "set":
        embedding.set_codes(codes)
    elif change == "load":
        embedding.load_state_dict(other.state_dict())
    else:
        embedding.codes.data.copy_(codes)
        embedding.values_were_replaced()
    ids = torch.arange(embedding.num_embeddings)
    torch.testing.assert_close(embedding.matrix(), other.compute(ids))
    torch.testing.assert_close(copy.deepcopy(embedding).matrix(), other.compute(ids))
