"""No command may lose a file: an output that is an input, or another output, is refused before any work is done."""

import shlex

import pytest

from fairseq_alone.cli import main
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_folder, require_writable

# Flags of each command with files of the folder below; the last word is the output that would take a file's place.
LOST = (
    "score --generated generated --reference text --target-lang de --output text",
    "score --generated generated --reference text --target-lang de --output ./generated",
    "score --generated generated --reference text --target-lang de --source other --hypotheses other",
    "score --generated generated --reference text --target-lang de --hypotheses new --output new",
    "rerank --generated generated --source text --output text",
    "rerank --generated generated --source text --output new --first generated",
    "rerank --generated generated --source text --output new --first new",
    "rouge --hypotheses text --references other --output text",
    "rouge --hypotheses text --references text other --output other",
    "score-headlines --headlines ours 9 text --source other --references other --output text",
    "score-headlines --headlines ours 9 text --source other --references other --output other",
    "score-headlines --headlines ours 9 text --source other --references other --output new.png --plot new.png",
    "duc2004 duc --source duc/input.txt",
    "duc2004 duc --references new --source new.3",
)


def test_a_folder_is_no_prefix_of_references(tmp_path, capsys):
    for name in ("input.txt", *(f"task1_ref{n}.txt" for n in range(4))):
        (tmp_path / name).write_text("text\n")
    assert main(["duc2004", str(tmp_path), "--references", f"{tmp_path}/"]) == 1
    assert capsys.readouterr().err.endswith(f"--references {tmp_path}/: is a folder\n")


@pytest.mark.parametrize("command", LOST)
def test_no_output_takes_the_place_of_another_file(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "duc").mkdir()
    for name in ("generated", "text", "other", "duc/input.txt", *(f"duc/task1_ref{n}.txt" for n in range(4))):
        (tmp_path / name).write_text(f"H-0\t-0.1\tthe text of {name}\n")
    before = {path: path.read_bytes() for path in tmp_path.glob("**/*") if path.is_file()}
    assert main(shlex.split(command)) == 1
    *_, flag, output = shlex.split(command)
    assert capsys.readouterr().err.endswith(f"error: {flag} {output}: would overwrite an input or another output\n")
    assert {path: path.read_bytes() for path in tmp_path.glob("**/*") if path.is_file()} == before


def test_a_folder_in_which_no_file_can_be_made_is_refused(tmp_path):
    require_writable("--output", str(tmp_path / "new"))
    require_folder("--output", str(tmp_path / "new" / "newer"))
    assert list(tmp_path.iterdir()) == []
    # Not even root can make a file there.
    for require, path, folder in (
        (require_writable, "/proc/new", "/proc"),
        (require_folder, "/proc/new/newer", "/proc"),
        (require_writable, str(tmp_path / ("x" * 255)), str(tmp_path)),
    ):
        with pytest.raises(UserError) as refused:
            require("--output", path)
        assert str(refused.value).startswith(f"--output {path}: no file can be made in {folder} (")
    (tmp_path / "file").touch()
    for path in ("file", "file/new"):
        with pytest.raises(UserError, match=f"--output .*/{path}: {tmp_path}/file is no folder"):
            require_folder("--output", str(tmp_path / path))
