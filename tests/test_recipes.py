"""The recipe examples/wmt_ende end to end, on a corpus of a few hundred sentences."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT, environment, run

from fairseq_alone.checkpoints import load_checkpoint

RECIPE = ROOT / "examples/wmt_ende"


def script(name, *arguments, check=True, **variables):
    """Run a script of the recipe, as from a user's shell."""
    known = {"PRESET": "small", "CPU": "1", "MERGES": "60", "WORKERS": "1"}
    done = subprocess.run(
        ["bash", str(RECIPE / name), *map(str, arguments)],
        env={**environment(), **known, **variables},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def updates(run_dir):
    return load_checkpoint(run_dir / "checkpoints/checkpoint_last.pt")["optimizer_history"][-1]["num_updates"]


@pytest.fixture(scope="module")
def work(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "work dir"
    script("prepare.sh", folder, corpus)
    return folder


TRAINING = {"EMBEDDING": "alone_real", "INTER_DIM": "16", "MAX_EPOCH": "2", "EFFECTIVE_TOKENS": "1024"}


def test_from_raw_text_to_a_table(work, tmp_path):
    """Two processes, interrupted between epochs, then average, translate, score, compare and plot."""
    first = script("train.sh", work, "two", WORKERS="2", **{**TRAINING, "MAX_EPOCH": "1"})
    assert "effective batch 1,024 tokens = 2 workers x 512 tokens x update-freq 1" in first.stdout
    run_dir = work / "runs/two"
    done_after_one = updates(run_dir)
    # As if it had been stopped after the first epoch: not done, and the settings ask for one more.
    (run_dir / "done").unlink()
    settings = run_dir / "settings"
    settings.write_text(settings.read_text().replace("max_epoch=1", "max_epoch=2"))
    script("train.sh", work, "two", WORKERS="2", **TRAINING)
    assert updates(run_dir) == 2 * done_after_one

    again = script("train.sh", work, "two", WORKERS="2", **TRAINING)
    assert "nothing to do" in again.stdout
    other = script("train.sh", work, "two", check=False, **{**TRAINING, "INTER_DIM": "32"})
    assert other.returncode != 0
    assert "trained with other settings" in other.stderr

    script("evaluate.sh", work, "two")
    scores = json.loads((run_dir / "scores.json").read_text())
    assert scores["sentences"] == 33
    assert "case:mixed" in scores["BLEU"]["signature"]
    assert len((run_dir / "test.hyp.de").read_text().split("\n")) == 34
    assert "nothing to do" in script("evaluate.sh", work, "two").stdout

    tool = [sys.executable, "-m", "fairseq_alone"]
    (row,) = json.loads(run([*tool, "compare", str(run_dir), "--json"]).stdout)
    assert row["embedding_parameters"] == 16 * (128 + 128) + 128
    assert row["BLEU"] == scores["BLEU"]
    run([*tool, "plot", str(run_dir), "--output", str(tmp_path / "curve.png")])
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("embedding", ["conventional", "factorized", "alone_binary"])
def test_every_embedding_trains(work, embedding):
    variables = {"EMBEDDING": embedding, "INTER_DIM": "16", "MAX_UPDATE": "1"}
    script("train.sh", work, embedding, "--disable-validation", **variables)
    assert updates(work / "runs" / embedding) == 1


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*/*.sh")), ids=lambda path: path.parent.name + path.name
)
def test_the_scripts_of_a_recipe_can_be_run_and_those_to_be_sourced_cannot(path):
    assert bool(path.stat().st_mode & 0o111) == (path.parent.name != "common")


SCRIPTS_WITH_A_PYTHON = (
    *("wmt_ende/train.sh", "wmt_ende/evaluate.sh"),
    *("duc2004/train.sh", "duc2004/generate.sh", "duc2004/evaluate.sh"),
    *("language_model/prepare.sh", "language_model/train.sh", "language_model/evaluate.sh"),
)


@pytest.mark.parametrize("name", SCRIPTS_WITH_A_PYTHON)
def test_a_python_without_the_packages_is_refused(name, tmp_path):
    """One sentence names what is missing, and nothing is written. Without -S and -E Python sees its packages."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    bare.chmod(0o755)
    command = ["bash", str(ROOT / "examples" / name), str(tmp_path / "work"), "run"]
    done = subprocess.run(command, env={**environment(), "PYTHON": str(bare)}, cwd="/", capture_output=True, text=True)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    script_name = name.split("/")[1]
    assert line.startswith(f"{script_name}: error: PYTHON={bare} has no torch, no fairseq; name the Python")
    assert not (tmp_path / "work").exists()
