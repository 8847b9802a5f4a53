"""The shell scripts of earlier versions, which stay for one release."""

import subprocess
import sys

import pytest
from conftest import ROOT, environment

from fairseq_alone.cli import build_parser
from fairseq_alone.errors import UserError
from fairseq_alone.recipes.old_variables import KNOWN, arguments

FOLDERS = {"translation": "wmt_ende", "headlines": "duc2004", "language_model": "language_model"}
SCRIPTS = sorted((ROOT / "examples").glob("*/*.sh"))


def test_every_script_is_known_can_be_run_and_is_short():
    assert {(path.parent.name, path.stem) for path in SCRIPTS} == {
        (FOLDERS[recipe], script) for recipe, script in KNOWN
    }
    for path in SCRIPTS:
        assert path.stat().st_mode & 0o111
        assert len(path.read_text().splitlines()) <= 6


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_script_hands_everything_to_the_python_that_was_named(path, tmp_path):
    """From another folder, with the package beside the scripts in front of an installed one."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$PYTHONPATH" "$@"\n')
    python.chmod(0o755)
    settings = {"env": {**environment(), "PYTHON": "./python", "PYTHONPATH": "/other"}, "cwd": tmp_path}
    done = subprocess.run([path, "a b", "--c"], capture_output=True, text=True, check=True, **settings)
    recipe = next(recipe for recipe, folder in FOLDERS.items() if folder == path.parent.name)
    module = "fairseq_alone.recipes.old_variables"
    assert done.stdout.splitlines() == [f"{ROOT}:/other", "-m", module, recipe, path.stem, "a b", "--c"]


@pytest.mark.parametrize(
    ("recipe", "script", "given", "variables", "words"),
    [
        (
            *(
                "translation",
                "prepare",
                ["W", "C"],
                {"PRESET": "wmt16", "MERGES": "7", "TARGET_LANG": "fr", "CPU": "1"},
            ),
            "prepare W C --preset wmt16 --target-lang fr --merges 7 --recipe translation",
        ),
        ("translation", "demo", ["D"], {"PRESET": "small"}, "demo D"),
        (
            *("translation", "evaluate", ["W", "R", "--x", "1"], {"BATCH": "8", "CPU": "0"}),
            "evaluate W R --sentences 8 -- --x 1",
        ),
        (
            *("translation", "train", ["W", "R"], {"FP16": "0", "QUIET": "1", "SHARE": "", "LENGTH": "none"}),
            "train W R --no-fp16 --quiet --start random --embedding alone_share --",
        ),
        (
            "translation",
            "download_wmt16",
            ["D", "O"],
            {"WMT16_MIRROR": "file:///x"},
            "download-wmt16 D O --mirror file:///x",
        ),
        (
            *("headlines", "prepare", ["W", "C", "DUC"], {"LOWERCASE": "0", "TARGET_UNITS": "sentencepiece"}),
            "prepare W C --units sentencepiece --keep-case --recipe headlines --duc DUC",
        ),
        (
            *("headlines", "train", ["W", "R", "--x"], {"ABSOLUTE": "0", "LENGTH": "lrpe", "EMBEDDING": "factorized"}),
            "train W R --embedding factorized --length lrpe --no-absolute --start random -- --x",
        ),
        ("headlines", "generate", ["W", "R"], {"LENGTHS": "30 free"}, "generate W R --lengths 30 free --"),
        ("headlines", "evaluate", ["W", "R", "--json"], {"BYTES": "0"}, "evaluate W R --json --bytes 0"),
        ("language_model", "prepare", ["W", "C"], {"PRESET": "small"}, "prepare W C --recipe language_model"),
        ("language_model", "train", ["W", "R"], {"TEMPERATURE": "5"}, "train W R --temperature 5 --"),
        ("language_model", "evaluate", ["W", "R"], {"CONTEXT": "9", "CPU": "1"}, "evaluate W R --context 9 --cpu"),
        ("language_model", "all", ["W", "C"], {"GAMMA": "0.7", "TIE": "none"}, "language-models W C --weight 0.7"),
    ],
)
def test_variables_become_flags(recipe, script, given, variables, words):
    assert " ".join(arguments(recipe, script, given, variables)) == words
    build_parser().parse_args(words.split())


def test_a_switch_is_0_or_1():
    with pytest.raises(UserError, match="FP16 must be 0 or 1, got '2'"):
        arguments("translation", "train", ["W", "R"], {"FP16": "2"})


def test_a_python_without_fairseq_is_refused_in_one_sentence(tmp_path):
    """Without -S Python sees its packages. Nothing is written."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    variables = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    command = [ROOT / "examples/wmt_ende/train.sh", tmp_path / "work", "run"]
    done = subprocess.run(command, env={**variables, "PYTHON": str(bare)}, cwd="/", capture_output=True, text=True)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("fairseq-alone train: error: fairseq is not installed: install torch first")
    assert not (tmp_path / "work").exists()
