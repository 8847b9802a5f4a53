"""Compositional codes against sums by hand."""

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
