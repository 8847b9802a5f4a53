"""The codes of compositional embeddings come from a file, and a checkpoint does without it."""

import pytest
import torch
from small_models import build

from fairseq_alone.errors import UserError

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
