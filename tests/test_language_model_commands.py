"""Language models with the real commands: preprocess, train, resume, eval-lm, and the recipe on a small text."""

import json
import random
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, environment, fairseq, run

from fairseq_alone.checkpoints import load_checkpoint

RECIPE = ROOT / "examples/language_model"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A folder with sentences in which each word follows from the one before, more or less."""
    folder = tmp_path_factory.mktemp("text")
    generator = random.Random(2)
    for split, size in (("train", 150), ("valid", 20), ("test", 17)):
        lines = []
        for _ in range(size):
            word = generator.randrange(30)
            words = [word := (word * 7 + generator.randrange(3)) % 30 for _ in range(generator.randint(3, 9))]
            lines.append(" ".join(f"w{word}" for word in words))
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def tokens(path):
    """Words and ends of sentences."""
    return sum(len(line.split()) + 1 for line in path.read_text().splitlines())


@pytest.fixture(scope="module")
def data(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "bin"
    prefixes = [flag for split in ("train", "valid", "test") for flag in (f"--{split}pref", text / f"{split}.txt")]
    fairseq("preprocess", "--only-source", *prefixes, "--destdir", folder, "--workers", 1)
    return folder


def train(data, save_dir, arch, *flags):
    """Train and return the reports of validation."""
    size = ["--decoder-embed-dim", 16, "--decoder-layers", 1]
    size += {"alone": ["--alone-inter-dim", 32], "factorized": ["--factorized-dim", 4]}[arch.split("_")[-1]]
    done = fairseq(
        *("train", data, "--user-dir", "fairseq_alone", "--task", "language_modeling", "--arch", arch, *size),
        *("--tokens-per-sample", 12, "--batch-size", 8, "--required-batch-size-multiple", 1, "--cpu"),
        *("--optimizer", "adam", "--lr", 0.01, "--num-workers", 0, "--save-dir", save_dir, "--log-format", "json"),
        *("--log-interval", 1, "--no-epoch-checkpoints", *flags),
    )
    return [json.loads(line) for line in re.findall(r"\| (?:valid|train_inner) \| (\{.*\})", done.stdout)]


def evaluate(data, checkpoint, split):
    """The number of tokens and the perplexity that fairseq-eval-lm prints."""
    flags = ("--user-dir", "fairseq_alone", "--path", checkpoint, "--gen-subset", split, "--tokens-per-sample", 12)
    done = fairseq("eval_lm", data, *flags, "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0)
    log = done.stdout + done.stderr
    (count,) = re.findall(r"Evaluated ([0-9,]+) tokens", log)
    (perplexity,) = re.findall(r"Perplexity: ([0-9.]+)", log)
    return int(count.replace(",", "")), float(perplexity)


AUGMENTED = ["--criterion", "cross_entropy_with_augmented_loss", "--augmented-loss-temperature", 5]


def test_transformer_trains_with_the_augmented_loss_resumes_and_is_evaluated(text, data, tmp_path):
    flags = ["--tie-embeddings", "all", *AUGMENTED, "--decoder-ffn-embed-dim", 16, "--decoder-attention-heads", 2]
    train(data, tmp_path, "transformer_lm_alone", *flags, "--max-epoch", 1)
    reports = train(data, tmp_path, "transformer_lm_alone", *flags, "--max-epoch", 3)
    assert [report["epoch"] for report in reports if "valid_ppl" in report] == [2, 3]
    assert all("augmented_loss" in report for report in reports if "loss" in report)
    model = load_checkpoint(tmp_path / "checkpoint_last.pt")["model"]
    assert [name for name in model if name.endswith((".o", ".w1", ".w2"))] == [
        f"decoder.embed_tokens.{name}" for name in ("o", "w1", "w2")
    ]
    count, perplexity = evaluate(data, tmp_path / "checkpoint_last.pt", "valid")
    assert count == tokens(text / "valid.txt")
    assert perplexity == pytest.approx(float(reports[-1]["valid_ppl"]), abs=0.02)


def test_untied_factorized_lstm_trains_and_is_evaluated(text, data, tmp_path):
    flags = ["--tie-embeddings", "none", "--output-projection-regularization", 0.15, *AUGMENTED]
    train(data, tmp_path, "lstm_lm_factorized", *flags, "--augmented-loss-weight", 0, "--max-epoch", 1)
    count, perplexity = evaluate(data, tmp_path / "checkpoint_last.pt", "test")
    assert count == tokens(text / "test.txt")
    assert 1 < perplexity < 60


def script(name, *arguments, check=True, **variables):
    """Run a script of the recipe, as from a user's shell."""
    done = subprocess.run(
        ["bash", str(RECIPE / name), *map(str, arguments)],
        env={**environment(), "CPU": "1", **variables},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def work(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "work dir"
    script("prepare.sh", folder, text)
    return folder


REAL = {"EMBEDDING": "alone", "TIE": "decoder", "AUGMENTED_LOSS": "0.5", "INTER_DIM": "16", "MAX_EPOCH": "2"}


def test_recipe_from_text_to_a_table(text, work):
    """LSTM, ALONE, tied, augmented loss: every word counted, the table printed, and nothing done twice."""
    small = ["--decoder-embed-dim", 16, "--decoder-hidden-size", 16, "--decoder-out-embed-dim", 16]
    script("train.sh", work, "alone_real", *small, **REAL)
    log = (work / "runs/alone_real/train.log").read_text()
    rates = [float(rate) for rate in re.findall(r'"train_lr": "([^"]*)"', log)]
    assert rates[-1] == 0 < rates[0]
    assert "nothing to do" in script("train.sh", work, "alone_real", *small, **REAL).stdout
    refused = script("train.sh", work, "alone_real", *small, check=False, **{**REAL, "AUGMENTED_LOSS": "0.8"})
    assert "was trained with other settings" in refused.stderr

    script("evaluate.sh", work, "alone_real", CONTEXT="40")
    scores = json.loads((work / "runs/alone_real/scores.json").read_text())["language_model"]
    assert {split: score["tokens"] for split, score in scores.items()} == {
        split: tokens(text / f"{split}.txt") for split in ("valid", "test")
    }
    assert "nothing to do" in script("evaluate.sh", work, "alone_real", CONTEXT="40").stdout

    done = run([sys.executable, "-m", "fairseq_alone", "compare", str(work / "runs/alone_real"), "--json"])
    (row,) = json.loads(done.stdout)
    assert (row["embedding"], row["tying"]) == ("alone (real)", "two-way")
    assert row["embedding_parameters"] == 16 * (16 + 16) + 16
    assert row["language_model"] == scores


def test_recipe_command_follows_from_the_variables(work):
    done = script("train.sh", work, "baseline", DRY_RUN="1", PRESET="medium", MAX_EPOCH="3")
    command = done.stdout
    assert "--arch lstm_lm_conventional" in command
    assert "--tie-embeddings none --criterion cross_entropy " in command
    assert "--decoder-hidden-size 650" in command
    # 150 sentences, in batches of 20 x 70 words: one update an epoch.
    assert "--total-num-update 3 --max-epoch 3" in command
    assert not (work / "runs/baseline").exists()


def test_recipe_with_an_embedding_of_a_share_of_the_table(work):
    variables = {"EMBEDDING": "alone_share", "SHARE": "0.6", "TIE": "decoder", "DRY_RUN": "1"}
    assert "--arch lstm_lm_alone --alone-share 0.6 --tie-embeddings decoder" in (
        script("train.sh", work, "share", **variables).stdout
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PRESET": "tiny"}, "PRESET must be"),
        ({"TIE": "all"}, "TIE must be"),
        ({"EMBEDDING": "none"}, "EMBEDDING must be"),
        ({"AUGMENTED_LOSS": "-1"}, "AUGMENTED_LOSS must be"),
        ({"MAX_EPOCH": "0"}, "MAX_EPOCH must be"),
        ({"EMBEDDING": "alone_share", "SHARE": "half"}, "SHARE must be"),
    ],
)
def test_recipe_refuses_bad_variables(work, variables, words):
    done = script("train.sh", work, "bad", check=False, **variables)
    assert done.returncode != 0
    assert words in done.stderr


def test_recipe_refuses_bad_text_by_file_and_line(text, work, tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_bytes((text / f"{split}.txt").read_bytes())
    other = script("prepare.sh", work, tmp_path, check=False)
    assert other.returncode == 0  # the same text from another folder
    (tmp_path / "valid.txt").write_bytes(b"good\nbad \xff\n")
    done = script("prepare.sh", work, tmp_path, check=False)
    assert "was made from other data" in done.stderr
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbfa b\n\xef\xbb\xbfa c\n")
    done = script("prepare.sh", tmp_path / "new", tmp_path, check=False)
    assert done.returncode != 0
    assert "train.txt: 2 byte order marks removed, first in line 1" in done.stderr
    assert "valid.txt, line 2: not UTF-8" in done.stderr
    assert not (tmp_path / "new/clean").exists()
    (tmp_path / "test.txt").unlink()
    done = script("prepare.sh", tmp_path / "new", tmp_path, check=False)
    assert "test.txt: there is no such file" in done.stderr


def test_all_five_models_are_trained_and_evaluated(tmp_path):
    """all.sh with stand-ins for the other scripts and for Python, which only say how they were called."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "all.sh").write_text((RECIPE / "all.sh").read_text())
    shutil.copytree(RECIPE.parent / "common", tmp_path / "common")
    for name in ("prepare.sh", "train.sh", "evaluate.sh", "python"):
        (scripts / name).write_text(
            '#!/usr/bin/env bash\nmkdir -p "$CALLS"\n'
            'echo "$(basename "$0") ${2:-} ${EMBEDDING:-} ${TIE:-} ${AUGMENTED_LOSS:-}" >>"$CALLS/calls"\n'
        )
        (scripts / name).chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    variables = {**environment(), "PYTHON": str(scripts / "python"), "CALLS": str(tmp_path), "GAMMA": "0.7"}
    subprocess.run(["bash", str(scripts / "all.sh"), str(work), "corpus"], env=variables, check=True)
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert {tuple(call[1:]) for call in calls if call[0] == "train.sh"} == {
        ("baseline", "conventional", "none", "0"),
        ("al", "conventional", "none", "0.7"),
        ("re", "conventional", "decoder", "0"),
        ("real", "conventional", "decoder", "0.7"),
        ("alone_re", "alone", "decoder", "0"),
    }
    names = [call[1] for call in calls if call[0] in ("train.sh", "evaluate.sh")]
    assert names[::2] == names[1::2]
