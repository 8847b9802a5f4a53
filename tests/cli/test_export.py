"""``fairseq-alone export``: what it prints, what it refuses, and that nothing is left of what did not succeed."""

import json
from pathlib import Path

import pytest
from toy_checkpoints import write_checkpoint

from fairseq_alone.cli import export as command
from fairseq_alone.cli import main
from fairseq_alone.export import targets, verification
from fairseq_alone.export.verification import Verification


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    words = "".join(f"w{number} 1\n" for number in range(16))
    for lang in ("en", "de"):
        (folder / f"dict.{lang}.txt").write_text(words)

    def languages(state):
        state["cfg"]["task"].update(source_lang="en", target_lang="de", data=str(folder))

    return write_checkpoint(folder / "model.pt", arch="transformer_alone", change=languages)


def export(checkpoint, output, *flags):
    return main(["export", checkpoint, str(output), "--to", "fairseq", *flags])


def test_the_table_and_json(checkpoint, tmp_path, capsys):
    assert export(checkpoint, tmp_path / "out", "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert export(checkpoint, tmp_path / "again") == 0
    printed = capsys.readouterr().out
    size = (tmp_path / "again/model.pt").stat().st_size
    assert f"{size:,} |" in printed
    assert "| words of the dictionary | 32 of 32 (100.0%) |" in printed
    assert export(checkpoint, tmp_path / "json", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"]["model.pt"] == size
    assert found["bytes"] == sum(found["files"].values())
    assert found["verification"]["equal"] == found["verification"]["sentences"] == 32


def test_given_sentences_and_no_verification(checkpoint, tmp_path, capsys):
    (tmp_path / "text").write_text("w1 w2\nw3\n")
    assert export(checkpoint, tmp_path / "out", "--sentences", str(tmp_path / "text")) == 0
    assert "| sentences of your file | 2 of 2 (100.0%) |" in capsys.readouterr().out
    assert export(checkpoint, tmp_path / "unverified", "--no-verify", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verification"] is None


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--quantization", "int8"], "--quantization: --to fairseq has no such setting; it has none of its own"),
        (["--max-input-length", "5"], "--max-input-length: --to fairseq has no such setting"),
        (["--no-verify", "--sentences", "x"], "--sentences contradicts --no-verify"),
        (["--sentences", "/nowhere"], "/nowhere: there is no such file"),
        (["--data", "/nowhere"], "there is no folder /nowhere"),
    ],
)
def test_refusals_leave_nothing(flags, sentence, checkpoint, tmp_path, capsys):
    assert export(checkpoint, tmp_path / "out", *flags) == 1
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_old_folder_is_not_replaced(checkpoint, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert export(checkpoint, tmp_path) == 1
    assert "is there already; name a new folder" in capsys.readouterr().err


class Target:
    """Writes a folder or a file, and may be interrupted."""

    OPTIONS = ("quantization",)

    def __init__(self, is_file, interrupted):
        self.IS_FILE, self.interrupted = is_file, interrupted

    def write(self, trained, output, options):
        (output if self.IS_FILE else output / "part").write_text("half")
        if self.interrupted == "writing":
            raise KeyboardInterrupt
        if self.interrupted == "a full disk":
            raise OSError(28, "No space left on device")

    def open_backend(self, trained, output):
        raise KeyboardInterrupt


@pytest.mark.parametrize("is_file", [True, False])
@pytest.mark.parametrize("moment", ["writing", "verifying", "a full disk"])
def test_an_interruption_leaves_nothing(is_file, moment, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(targets, "target_of", lambda name: Target(is_file, moment))
    if moment == "a full disk":
        assert export(checkpoint, tmp_path / "out") == 1
        assert f"{tmp_path / 'out'}: cannot be written (No space left on device)" in capsys.readouterr().err
    else:
        assert export(checkpoint, tmp_path / "out") == 130
        assert capsys.readouterr().err == "fairseq-alone export: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_does_not_replace_the_model(checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(targets, "target_of", lambda name: Target(True, None))
    before = Path(checkpoint).read_bytes()
    assert export(checkpoint, checkpoint) == 1
    assert "would overwrite an input" in capsys.readouterr().err
    assert Path(checkpoint).read_bytes() == before


def test_a_difference_is_a_warning(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verification, "verify_translation", lambda *_: Verification(32, 3, 0.5))
    assert export(checkpoint, tmp_path / "out", "--quiet") == 0
    assert f"warning: {tmp_path / 'out'}: only 3 of 32 results are equal" in capsys.readouterr().err


def test_the_targets_of_the_command_are_those_of_the_package():
    assert tuple(targets.TARGETS) == command.TARGETS
