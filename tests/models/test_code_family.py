"""The codes of compositional embeddings come from a file, and a checkpoint does without it."""

import logging

import pytest
import torch
from small_models import Task, build

from fairseq_alone.errors import UserError
from fairseq_alone.models.code_family import CodeFamily
from fairseq_alone.modules.build_embedding import build_embedding

FLAGS = ["--tie-embeddings=all", "--codes-num-codebooks=3", "--codes-codebook-size=5"]


def test_codes_of_a_file(tmp_path):
    path = tmp_path / "codes.txt"
    path.write_text("w0 4 3 2\nunknown 0 0 0\nw5 0 1 4\n")
    model = build("transformer_codes", *FLAGS, f"--codes-file={path}").eval()
    plain = build("transformer_codes", *FLAGS)
    codes = model.encoder.embed_tokens.codes
    assert codes[[4, 9]].tolist() == [[4, 3, 2], [0, 1, 4]]
    rest = [word for word in range(50) if word not in (4, 9)]
    assert torch.equal(codes[rest], plain.encoder.embed_tokens.codes[rest])
    path.unlink()
    again = build("transformer_codes", *FLAGS, f"--codes-file={path}").eval()
    with pytest.raises(UserError, match="--codes-file .*codes.txt: there is no such file"):
        again.encoder.embed_tokens(torch.tensor([4]))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.encoder.embed_tokens.matrix(), model.encoder.embed_tokens.matrix())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("w0 1 2\n", "line 1: expected a word and 3 whole numbers from 0 to 4"),
        ("w0 1 2 3\nw1 1 2 5\n", "line 2: expected"),
        ("w0 1 2 x\n", "line 1: expected"),
        ("other 1 2 3\n", "has no codes for any word"),
    ],
)
def test_bad_files_name_the_line(tmp_path, text, words):
    path = tmp_path / "codes.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        build("transformer_codes", *FLAGS, f"--codes-file={path}")


def test_a_share_decides_all_sizes():
    embedding = build("transformer_codes", "--tie-embeddings=all", "--codes-share=0.5").encoder.embed_tokens
    assert sum(parameter.numel() for parameter in embedding.parameters()) <= 0.5 * 50 * 8
    assert embedding.free.num_rows == 3  # a sixteenth of 50 words


@pytest.mark.parametrize("flag", ["--codes-num-codebooks=3", "--codes-codebook-size=5", "--codes-free-rows=20"])
def test_a_share_and_a_size_contradict_each_other(flag):
    name = flag.split("=")[0]
    with pytest.raises(UserError, match=f"{name} follows from --codes-share; give one of the two"):
        build("transformer_codes", "--tie-embeddings=all", "--codes-share=0.5", flag)


def test_the_rows_are_described_and_can_be_built_without_fairseq():
    embedding = build("transformer_codes", *FLAGS, "--codes-free-rows=4,20x3").eval().encoder.embed_tokens
    assert CodeFamily.describe(embedding.state_dict())["free_rows"] == "4,20x3"
    again = build_embedding("codes", CodeFamily.module_settings(embedding))
    again.load_state_dict(embedding.state_dict())
    assert torch.equal(again.matrix(), embedding.matrix())


def test_rows_for_rare_words_get_a_warning(caplog):
    task = Task()
    task.target_dictionary.count[4:] = range(1, 47)
    with caplog.at_level(logging.WARNING):
        CodeFamily.check_dictionary(
            build("transformer_codes", *FLAGS, "--codes-free-rows=4").encoder.embed_tokens,
            type("Flags", (), {"codes_file": None}),
            task.target_dictionary,
        )
    assert "the dictionary is not sorted by frequency" in caplog.text
