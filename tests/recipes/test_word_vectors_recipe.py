"""The word vectors recipe on a small text: from text to a table."""

import json
import random
import re

import pytest
from served import serve_fairseq, served_command
from toy_text import text_corpus

import fairseq_alone
from fairseq_alone.cli import main
from fairseq_alone.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    generator = random.Random(3)
    words = [f"w{number}" for number in range(30)]
    lines = [" ".join(generator.choices(words, k=8)) for _ in range(200)]
    # Empty lines go, and a text without ends is cut.
    text = "\n".join(["rare", *lines, "", "  ", " ".join(words * 70)])
    (folder / "text.txt").write_text(text + "\n", encoding="utf-8")
    (folder / "pairs.txt").write_text("W1 w2 3.5\nw3 w4 1\nw5 w6 2\nrare w1 0\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        serve_fairseq(patch)
        assert main(["prepare", str(folder / "work dir"), str(folder / "text.txt"), "--recipe", "word_vectors"]) == 0
    return folder / "work dir"


@pytest.fixture
def command(monkeypatch, capsys):
    return served_command(monkeypatch, capsys)


def dry_run(command, work, *words):
    return command("train", work, "dry", *words, "--cpu", "--dry-run").out


def test_text_is_cleaned_cut_and_counted(work, command):
    lines = (work / "clean/train.txt").read_text().splitlines()
    assert [len(line.split()) for line in lines] == [1] + [8] * 200 + [1000, 1000, 100]
    assert len((work / "data-bin/dict.txt").read_text().splitlines()) == 30
    out = command("prepare", work, work.parent / "text.txt", "--recipe", "word_vectors").out
    assert "train: 204 sentences, 3701 words\n30 words that occur at least 5 times\n" in out
    refused = ("prepare", work, work.parent / "text.txt", "--recipe", "word_vectors", "--min-count", 2)
    assert "min_count=2" in command(*refused, status=1).err


@pytest.mark.parametrize(
    ("model", "embedding", "rows"),
    [("skip_gram", "alone", 2), ("cw", "conventional", 1), ("nnlm", "conventional", 2)],
)
def test_from_text_to_a_table(model, embedding, rows, work, command):
    name = f"{model}_{embedding}"
    flags = ("--model", model, "--embedding", embedding, "--inter-dim", 16, "--max-epoch", 2, "--cpu")
    command("train", work, name, *flags, "--", "--decoder-embed-dim", 8, "--tokens-per-sample", 16)
    assert (
        "nothing to do"
        in command("train", work, name, *flags, "--", *("--decoder-embed-dim", 8), *("--tokens-per-sample", 16)).out
    )
    evaluation = ("evaluate", work, name, "--pairs", work.parent / "pairs.txt")
    first = command(*evaluation).out
    again = command(*evaluation).out
    assert "is evaluated already" in again
    table = re.findall(r"^\| (?:input|output)\.txt .*$", first, re.MULTILINE)
    assert len(table) == rows
    assert table == re.findall(r"^\| (?:input|output)\.txt .*$", again, re.MULTILINE)
    assert "3 of 4" in table[0]
    assert "1 word has no vector, of" in first
    assert len((work / "runs" / name / "input.txt").read_text().splitlines()) == 31

    # Another file of pairs is measured beside the first, with the vectors that are there.
    (work.parent / "more.txt").write_text("w1 w2 3\nw2 w3 2\nw1 w5 1\n")
    written = (work / "runs" / name / "input.txt").stat().st_mtime_ns
    more = command("evaluate", work, name, "--pairs", work.parent / "more.txt", work.parent / "pairs.txt").out
    for row, line in zip(table, re.findall(r"^\| (?:input|output)\.txt .*$", more, re.MULTILINE), strict=True):
        assert line.startswith(row.rstrip("| "))
        assert line.endswith("| 3 of 3 |")
    assert (work / "runs" / name / "input.txt").stat().st_mtime_ns == written

    # The other tools know the run.
    run = work / "runs" / name
    (row,) = json.loads(command("compare", run, "--json").out)
    assert [one["pairs"][0]["covered"] for one in row["word_vectors"]] == [3] * rows
    assert "| pairs input / output | more input / output |" in command("compare", run).out
    written = command("vectors", run, "--embedding", "decoder", "--output", work.parent / f"{name}.vec").out
    assert f"{name}.vec: 30 vectors of 8 values, decoder of " in written
    assert (work.parent / f"{name}.vec").read_bytes() == (run / "input.txt").read_bytes()
    assert "embedding" in command("report", run).out
    with pytest.raises(UserError, match="has word vectors, and no model of text"):
        fairseq_alone.load(run)


def test_commands_follow_from_the_options(work, command):
    out = dry_run(command, work)
    assert "--task word_vectors --arch skip_gram --decoder-embed-dim 200 --window 5 --window-subsample 1e-4" in out
    assert "--criterion negative_sampling --optimizer adam_rows --lr 0.05 " in out
    assert "--rows-rule sgd --max-tokens 4096 --update-freq 1 --max-epoch 5" in out
    out = dry_run(command, work, "--model", "cbow", "--embedding", "alone", "--tie", "decoder", "--preset", "large")
    assert "--arch cbow_alone --alone-filter real --alone-inter-dim 600 --decoder-embed-dim 300" in out
    assert "--tie-embeddings decoder" in out
    assert "--lr 0.002" in out
    assert "--rows-rule" not in out
    out = dry_run(command, work, "--model", "nnlm", "--workers", 2)
    assert "--nnlm-hidden-dim 200 --tie-embeddings none --criterion cross_entropy" in out
    assert "--max-tokens 2048 --update-freq 1" in out
    assert out.count("command: ") == 2
    out = dry_run(command, work, "--model", "cw")
    assert "--lr 0.01 --lr-scheduler linear_over_epochs --ranking-power 1 --ranking-num-samples 5" in out
    assert "--rows-rule sgd --rows-lr-scale 5 --rows-clip-norm 10 " in out
    assert "--decoder-embed-dim 50 --window 5 --window-subsample 1e-4 --cw-hidden-dim 100" in out
    assert "--rows-lr-scale" not in dry_run(command, work, "--model", "cw", "--embedding", "alone")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "glove"), "--model must be skip_gram, cbow, nnlm or cw, got 'glove'"),
        (("--augmented-loss", "0.5"), "--augmented-loss does not belong to the recipe word_vectors"),
        (("--bits", 8), "--bits does not belong to the recipe word_vectors"),
        (("--", "--arch", "cbow"), "--arch is worked out from --model and --embedding"),
        (("--", "--max-tokens", "9"), "--max-tokens is fixed by the preset"),
    ],
)
def test_what_does_not_fit_is_refused(words, sentence, work, command):
    assert sentence in command("train", work, "refused", *words, status=1).err
    assert not (work / "runs/refused").exists()


def test_bad_text_and_pairs_are_refused(work, command, tmp_path):
    (tmp_path / "empty").write_text("\n \n")
    for name, sentence in (("empty", "every line is empty"), ("missing", "there is no such file")):
        prepare = ("prepare", tmp_path / "new", tmp_path / name, "--recipe", "word_vectors")
        assert f"{name}: {sentence}" in command(*prepare, status=1).err
    assert not (tmp_path / "new").exists()
    (tmp_path / "rare").write_text("one two three\n")
    rare = command("prepare", tmp_path / "new", tmp_path / "rare", "--recipe", "word_vectors", status=1).err
    assert "rare: no word occurs 5 times; give a smaller --min-count in a new WORK" in rare
    assert not (tmp_path / "new/data-bin").exists()
    assert "--pairs FILE ... is missing" in command("evaluate", work, "any", status=1).err
    assert (
        "nothing.txt: there is no such file" in command("evaluate", work, "any", "--pairs", "nothing.txt", status=1).err
    )
    assert "--beam does not belong" in command("evaluate", work, "any", "--beam", 2, status=1).err
    misspelt = command("evaluate", work, "any", "--pairs", work.parent / "pairs.txt", status=1).err
    assert re.search(r"runs/any: there is no such run; .+/runs has ", misspelt)
    other = command("prepare", work, text_corpus(tmp_path / "text"), "--recipe", "language_model", status=1).err
    assert "has the data of the recipe word_vectors; each recipe needs a WORK folder of its own" in other


def test_a_run_that_left_nothing_may_begin_with_other_settings(work, command):
    folder = work / "runs/stopped"
    folder.mkdir(parents=True)
    (folder / "settings").write_text("preset=small\nmax_epoch=3 seed=1\n")
    assert "--max-epoch 1" in command("train", work, "stopped", "--max-epoch", 1, "--dry-run").out
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/checkpoint_last.pt").touch()
    refused = command("train", work, "stopped", "--max-epoch", 1, "--dry-run", status=1).err
    assert "max_epoch=3; now: " in refused
    assert "choose another RUN, or delete that folder" in refused
