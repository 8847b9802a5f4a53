"""The ``--char-cnn-`` flags, the spelling of a dictionary, what a checkpoint says of itself, refusals."""

import argparse
import copy
import logging

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.tasks.language_modeling import TruncatedDictionary
from small_models import Task, build, parse

from fairseq_alone.errors import UserError
from fairseq_alone.models.char_cnn_family import CharCnnFamily, _warn_once, filters_of, spelling_of_dictionary
from fairseq_alone.modules import build_embedding
from fairseq_alone.modules.char_cnn_budget import CharCnnBudget

ARCH = "transformer_char_cnn"
FLAGS = ["--tie-embeddings=all", "--char-cnn-dim=3", "--char-cnn-filters=1x3,2x4", "--char-cnn-correction-dim=0"]


class TaskOf(argparse.Namespace):
    def __init__(self, *words, joined=True):
        dictionary = Dictionary()
        for word in words:
            dictionary.add_symbol(word)
        super().__init__(source_dictionary=dictionary, target_dictionary=dictionary)


def embedding(*flags, task=None):
    return build(ARCH, *FLAGS, *flags, task=task).eval().encoder.embed_tokens


def of_share(*flags, task=None):
    return build(ARCH, "--tie-embeddings=all", *flags, task=task).encoder.embed_tokens


@pytest.mark.parametrize("corrections", [0, 2])
def test_flags_description_and_settings(corrections):
    module = embedding("--char-cnn-highway-layers=2", f"--char-cnn-correction-dim={corrections}")
    description = {
        "vocabulary": 50,
        "embed_dim": 8,
        "characters": 5 + 4 + 11,  # marks and the rare one, special symbols, w and digits
        "character_dim": 3,
        "character_filters": "1x3,2x4",
        "highway_layers": 2,
        "correction_dim": corrections or None,
        # w0 to w9 and w10 to w45 with two marks each.
        "spelling_bytes": 4 + 10 * 4 + 36 * 5 + 4 * 11,
    }
    assert CharCnnFamily.describe(module.state_dict()) == description
    assert CharCnnFamily.variant(description) == ("corrections" if corrections else "")
    assert CharCnnFamily.describe({"characters": torch.zeros(2, 2)}) is None
    again = build_embedding("char_cnn", CharCnnFamily.module_settings(module))
    again.load_state_dict(module.state_dict())
    assert torch.equal(again.matrix(), module.matrix())
    assert torch.equal(again.vectors_of(["w100"]), module.vectors_of(["w100"]))


def test_more_than_ten_filters_are_described_in_their_order():
    filters = ",".join(f"{width}x1" for width in range(1, 13))
    assert (
        CharCnnFamily.describe(embedding(f"--char-cnn-filters={filters}").state_dict())["character_filters"] == filters
    )


def test_special_symbols_and_madeup_words_have_characters_of_their_own():
    dictionary = TaskOf("ab", "madeupword0000", "madeupword0001", "madeupword0000s").source_dictionary
    spelling = spelling_of_dictionary(dictionary, 32)
    assert spelling.num_characters - len(spelling.code_points) == 6 + 4 + 2
    assert spelling.characters[:4].tolist() == [6, 7, 8, 9]
    assert spelling.characters[8:11].tolist() == [10, 11, 2]  # behind the four of "ab"
    assert sorted(map(chr, spelling.code_points)) == sorted(set("abmadeupword0000s"))


def test_an_output_dictionary_of_the_first_words():
    whole = TaskOf("ab", "cd", "efg").source_dictionary
    spelling = spelling_of_dictionary(TruncatedDictionary(whole, 6), 32)
    assert (spelling.num_entries, len(spelling.code_points)) == (6, 4)


def test_untied_embeddings_are_networks_of_their_own():
    model = build(ARCH, "--tie-embeddings=none", *FLAGS[1:])
    found = [model.encoder.embed_tokens, model.decoder.embed_tokens, model.decoder.output_embedding]
    assert len({module.projection.data_ptr() for module in found}) == 3
    assert len({module.matrix().sum().item() for module in found}) == 3


@pytest.mark.parametrize(
    ("arch", "filters"),
    [
        ("transformer_char_cnn_tiny", "1x32,2x64,3x128,4x128"),
        ("lstm_lm_char_cnn", "1x32,2x64,3x128,4x128"),
        ("transformer_char_cnn_wmt_en_de", "1x64,2x128,3x192,4x256"),
        ("transformer_lm_char_cnn_big", "1x64,2x128,3x256,4x256,5x256"),
    ],
)
def test_larger_shapes_have_more_filters(arch, filters):
    assert parse(arch).char_cnn_filters == filters


@pytest.mark.parametrize("share", [0.3, 0.5, 0.75])
def test_a_share_decides_filters_and_corrections(share):
    task = Task(1200, 1200)
    module = of_share(f"--char-cnn-share={share}", task=task)
    values = sum(parameter.numel() for parameter in module.parameters())
    assert 0.85 * share * 1200 * 8 <= values <= share * 1200 * 8
    assert sum(found.size(0) for found in module.filters) <= 2 * 8


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.75])
def test_a_budget_is_kept_and_used(share):
    """The values of a table of 8,000 words and 128 dimensions; the network alone where the share is small."""
    budget = CharCnnBudget.of_share(share, 8000, 128, 107, 16)
    features = sum(count for _, count in budget.filters)
    values = 106 * 16 + sum(width * count for width, count in budget.filters) * 16 + features * (1 + 128) + 128
    values += 2 * features * (features + 1) + budget.correction_dim * 8128
    assert 0.95 * share * 8000 * 128 <= values <= share * 8000 * 128
    assert features <= 256
    assert (budget.correction_dim > 0) == (share > 0.01)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--char-cnn-dim=0"], "--char-cnn-dim must be at least 1, got 0"),
        (["--char-cnn-filters=3"], "--char-cnn-filters must be widths and numbers of at least 1, .*, got '3'"),
        (["--char-cnn-filters=1x3,0x2"], "--char-cnn-filters must be .*, got '1x3,0x2'"),
        (["--char-cnn-filters=1x3,-2x2"], "--char-cnn-filters must be .*, got '1x3,-2x2'"),
        (["--char-cnn-filters="], "--char-cnn-filters must be .*, got ''"),
        (["--char-cnn-highway-layers=-1"], "--char-cnn-highway-layers must be at least 0, got -1"),
        (["--char-cnn-correction-dim=-1"], "--char-cnn-correction-dim must be at least 0, got -1"),
        (["--char-cnn-max-length=0"], "--char-cnn-max-length must be at least 1, got 0"),
        (["--char-cnn-min-entries=0"], "--char-cnn-min-entries must be at least 1, got 0"),
    ],
)
def test_what_is_refused(flags, words):
    with pytest.raises(UserError, match=words):
        embedding(*flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--char-cnn-share=0.9"], "--char-cnn-share must be greater than 0 and at most 0.75, got 0.9"),
        (["--char-cnn-share=0.5"], "--char-cnn-share is too small for 50 words and vectors of 8 values, got 0.5"),
        (["--char-cnn-share=0.5", "--char-cnn-correction-dim=3"], "--char-cnn-correction-dim follows from --char-cnn-"),
        (
            ["--char-cnn-share=0.5", "--char-cnn-highway-layers=0"],
            "--char-cnn-highway-layers must be 1 with --char-cnn",
        ),
        (
            ["--char-cnn-share=0.5", "--char-cnn-filters=1x3"],
            "--char-cnn-filters follows from --char-cnn-share; give one of the two",
        ),
    ],
)
def test_what_is_refused_of_a_share(flags, words):
    with pytest.raises(UserError, match=words):
        of_share(*flags)


def test_numbers_have_no_spelling():
    words = "the embedding char_cnn needs words with a spelling, but every entry of the dictionary is a number"
    with pytest.raises(UserError, match=words):
        embedding(task=TaskOf("11", "262", "madeupword0000"))
    embedding(task=TaskOf("11", "262", "a"))
    embedding(task=TaskOf())


def test_long_and_equal_spellings_get_one_warning(caplog):
    _warn_once.cache_clear()
    task = TaskOf("abcdefgh", "abxxxxgh", "xabcdefghx", "abc")
    with caplog.at_level(logging.WARNING):
        embedding("--char-cnn-max-length=4", "--char-cnn-correction-dim=2", task=task)
        assert len(caplog.records) == 1
        for _ in range(2):
            assert embedding("--char-cnn-max-length=4", task=task).max_length == 4
    assert [record.message for record in caplog.records] == [
        "3 entries of the dictionary have more than 4 characters; of these the first and the last count "
        "(--char-cnn-max-length)",
        "1 entries of the dictionary are spelled like another one, so they have its vector; "
        "--char-cnn-correction-dim tells them apart",
    ]


def test_a_checkpoint_of_other_words_is_refused():
    model, other = (build(ARCH, *FLAGS, task=TaskOf(*words)) for words in (("ab", "cd"), ("cd", "ab")))
    with pytest.raises(UserError, match="the words of the checkpoint are not those of this dictionary"):
        other.load_state_dict(copy.deepcopy(model.state_dict()))


def test_filters_are_read():
    assert filters_of("1x32,12x7") == [(1, 32), (12, 7)]
