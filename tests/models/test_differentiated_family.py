"""The ``--differentiated-`` flags, what a checkpoint says of itself, and a build without fairseq."""

import logging

import pytest
import torch
from small_models import Task, build, dictionary

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.models.differentiated_family import DifferentiatedFamily, blocks_of_share, read_blocks
from fairseq_alone.modules import build_embedding


def embedding(*flags, task=None):
    return build("transformer_differentiated", "--tie-embeddings=all", *flags, task=task).eval().encoder.embed_tokens


@pytest.mark.parametrize("text", ["10x4,20x3,20x1", "10x4,20x3,restx1", "10x4, 20x3, rest x1"])
def test_flags_description_and_settings(text):
    module = embedding("--differentiated-blocks", text)
    assert module.block_sizes == [[10, 4], [20, 3], [20, 1]]
    assert DifferentiatedFamily.describe(module.state_dict()) == {
        "vocabulary": 50,
        "embed_dim": 8,
        "differentiated_blocks": "10x4,20x3,20x1",
    }
    assert DifferentiatedFamily.describe({"weight": torch.zeros(2, 2)}) is None
    again = build_embedding("differentiated", DifferentiatedFamily.module_settings(module))
    again.load_state_dict(module.state_dict())
    assert torch.equal(again.matrix(), module.matrix())


@pytest.mark.parametrize("share", [0.15, 0.25, 0.374, 0.375, 0.5, 0.7])
@pytest.mark.parametrize(("words", "dim"), [(1000, 512), (30_000, 200), (154_024, 300)])
def test_blocks_of_a_share(share, words, dim):
    blocks = blocks_of_share(share, words, dim)
    assert sum(rows for rows, _ in blocks) == words
    assert sum(width for _, width in blocks) == dim
    assert [width for _, width in blocks] == sorted((width for _, width in blocks), reverse=True)
    values = sum(rows * width for rows, width in blocks)
    assert values == pytest.approx(share * words * dim, rel=0.01)


def test_blocks_of_a_share_by_hand():
    # 1/8 of 80 dimensions are 10 and a quarter 20: n * 50 + 2n * 20 + (800 - 3n) * 10 = 0.25 * 800 * 80.
    assert blocks_of_share(0.25, 800, 80) == [(133, 50), (266, 20), (401, 10)]
    assert blocks_of_share(0.5, 800, 80) == [(400, 60), (400, 20)]
    # Without a flag the share is a quarter.
    assert embedding().block_sizes == embedding("--differentiated-share=0.25").block_sizes == [[8, 5], [16, 2], [26, 1]]


@pytest.mark.parametrize("share", [0.125, 0.75, -1.0, float("nan")])
def test_a_share_out_of_its_range(share):
    with pytest.raises(SettingError, match="must be more than 0.125 and less than 0.75"):
        blocks_of_share(share, 1000, 512)


@pytest.mark.parametrize(("share", "words", "dim"), [(0.126, 10, 512), (0.3, 1000, 2), (0.5, 1000, 2)])
def test_sizes_too_small_for_a_share(share, words, dim):
    with pytest.raises(SettingError, match="cannot be .*; give --differentiated-blocks"):
        blocks_of_share(share, words, dim)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10x4,20x4", "V = 50 words and D_e = 8 dimensions in all.*'10x4,20x4' has 30 words and 8 dimensions"),
        ("10x4,restx5", "'10x4,restx5' has 50 words and 9 dimensions"),
        ("40x4,20x3,restx1", "has 60 words before its rest and 8 dimensions"),
        ("50x4,restx4", "has 50 words before its rest and 8 dimensions"),
        ("50x8,restx0", "something in each block"),
        ("restx4,10x4", "must be like 2000x256,8000x96,restx32, got 'restx4,10x4'"),
        ("10", "must be like"),
        ("", "must be like"),
    ],
)
def test_blocks_that_do_not_add_up(text, words):
    with pytest.raises(UserError, match=f"^--differentiated-blocks .*{words}"):
        embedding(f"--differentiated-blocks={text}")
    with pytest.raises(SettingError):
        read_blocks(text, 50, 8)


def test_both_flags_contradict_each_other():
    with pytest.raises(UserError, match="--differentiated-blocks contradicts --differentiated-share"):
        embedding("--differentiated-blocks=10x4,restx4", "--differentiated-share=0.3")


def test_a_dictionary_in_another_order_gets_a_warning(caplog):
    words = dictionary(50)
    words.count[4:] = range(1, 47)
    task = Task()
    task.source_dictionary = task.target_dictionary = words
    with caplog.at_level(logging.WARNING):
        embedding("--differentiated-blocks=10x4,restx4", task=task)
    assert "not sorted by frequency" in caplog.text
