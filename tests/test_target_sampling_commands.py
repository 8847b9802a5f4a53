"""Target sampling with the real commands: train, resume, two processes, generate and eval-lm."""

import json
import re

import pytest
from conftest import fairseq
from fairseq_commands import (
    assert_same_parameters,
    generate,
    hypotheses,
    one_sentence,
    train_flags,
    train_in_two_processes,
    train_log,
)

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

# Later flags win, but target sampling knows no --label-smoothing.
FLAGS = ("--tie-embeddings", "all", "--max-tokens", 40, "--target-sampling-size", 38)


def flags_of(data, folder, *flags):
    every = [str(flag) for flag in train_flags(data, folder, *FLAGS, *flags)]
    at = every.index("--label-smoothing")
    del every[at : at + 2]
    every[every.index("label_smoothed_cross_entropy")] = "target_sampling"
    return every


def train_with(data, folder, *flags, check=True):
    return fairseq("train", *flags_of(data, folder, *flags), check=check)


def parts(log):
    """Batches, parts and words of a part, each time that they were found."""
    return re.findall(r"target sampling: (\d+) batches in (\d+) parts of (\d+) words", log)


def test_resume_goes_on_exactly_and_the_model_translates(data, tmp_path):
    """Within an epoch: in a later one, fairseq makes other batches after a resume, whatever the criterion."""
    done = train_with(data, tmp_path / "whole", "--max-update", 16)
    train_with(data, tmp_path / "parts", "--max-update", 9)
    resumed = train_with(data, tmp_path / "parts", "--max-update", 16)
    ((batches, number, words),) = parts(done.stdout + done.stderr)
    assert 1 < int(number) < int(batches)
    assert int(words) <= 38
    losses = [[line["loss"] for line in train_log(log)] for log in (done.stdout, resumed.stdout)]
    assert losses[0][9:] == losses[1]
    checkpoints = [tmp_path / folder / "checkpoint_last.pt" for folder in ("whole", "parts")]
    assert_same_parameters(*checkpoints, rtol=0, atol=1e-6)
    assert len(hypotheses(generate(data, checkpoints[:1]).stdout)) == 33
    assert "ppl" not in train_log(done.stdout)[0]
    assert float(train_log(done.stdout, "valid")[-1]["valid_ppl"]) > 1


def test_a_training_goes_on_in_a_later_epoch(data, tmp_path):
    train_with(data, tmp_path, "--max-update", 40)
    assert len(train_log(train_with(data, tmp_path, "--max-update", 44).stdout)) == 4


def test_two_processes_have_the_parts_of_one(data, tmp_path):
    flags = ["--dropout", 0, "--max-update", 5, "--adam-eps", 1e-3]
    one = train_with(data, tmp_path / "one", *flags, "--update-freq", 2)
    two = train_in_two_processes(tmp_path, flags_of(data, tmp_path / "two", *flags))[0]
    assert parts(one.stdout + one.stderr) == parts(two.stdout + two.stderr)
    losses = [[float(line["loss"]) for line in train_log(log)] for log in (one.stdout, two.stdout)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)


def test_refused(data, tmp_path):
    for size, sentence in ((1, "must be at least 2, got 1"), (4, r"4 is less than the \d+ different targets of one")):
        done = train_with(data, tmp_path, "--target-sampling-size", size, check=False)
        one_sentence(done, f"--target-sampling-size {sentence}")


def test_language_model(english, tmp_path):
    flags = ("--user-dir", "fairseq_alone", "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0)
    flags += ("--tokens-per-sample", 12)
    done = fairseq(
        *("train", english, *flags, "--task", "language_modeling", "--arch", "lstm_lm_alone", "--alone-inter-dim", 16),
        *("--decoder-embed-dim", 16, "--decoder-hidden-size", 16, "--decoder-layers", 1, "--tie-embeddings", "all"),
        *("--criterion", "target_sampling", "--target-sampling-size", 40, "--batch-size", 4, "--optimizer", "adam"),
        *("--lr", 0.01, "--max-epoch", 2, "--save-dir", tmp_path, "--log-format", "json", "--no-epoch-checkpoints"),
    )
    assert int(parts(done.stdout + done.stderr)[0][1]) > 1
    path = tmp_path / "checkpoint_last.pt"
    evaluated = fairseq("eval_lm", english, *flags, "--path", path, "--gen-subset", "valid")
    (perplexity,) = re.findall(r"Perplexity: ([0-9.]+)", evaluated.stdout + evaluated.stderr)
    assert float(perplexity) == pytest.approx(float(train_log(done.stdout, "valid")[-1]["valid_ppl"]), abs=0.02)


def test_candidates_are_found_and_limit_decoding(data, trained, tmp_path, capsys):
    file = tmp_path / "candidates"
    assert main(["candidates", str(data), "--output", str(file), "--frequent", "3", "--per-word", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["lines"], facts["source_words"]) == (200, 40)
    frequent, *lines = [line.split("\t") for line in file.read_text().splitlines()]
    # The target is the source backwards, so each word translates itself.
    frequent = frequent[1].split()
    likely = {word: targets.split() for word, targets in lines}
    assert all(targets[0] == word for word, targets in likely.items() if word not in frequent)
    checkpoint = trained / "checkpoint_last.pt"
    overrides = ("--model-overrides", f"{{'candidates': '{file}'}}")
    done = generate(data, [checkpoint], *overrides, "--max-len-b", 12)
    sources = dict(re.findall(r"^S-(\d+)\t(.*)$", done.stdout, re.MULTILINE))
    batch = {other for source in sources.values() for word in source.split() for other in likely.get(word, [])}
    found = hypotheses(done.stdout)
    assert len(found) == 33
    assert {word for text in found.values() for word in text.split()} <= batch | {*frequent, "<unk>"}
    # One sentence at a time has fewer.
    alone = generate(data, [checkpoint], *overrides, "--max-len-b", 12, "--batch-size", 1).stdout
    for number, text in hypotheses(alone).items():
        of_source = {other for word in sources[str(number)].split() for other in likely.get(word, [])}
        assert set(text.split()) <= of_source | {*frequent, "<unk>"}


def test_candidates_refused(data, tmp_path, capsys):
    output = str(tmp_path / "file")
    for flags, sentence in (
        (["--per-word", "0"], "--per-word must be at least 1, got 0"),
        (["--lines", "-1"], "--lines must be at least 0, got -1"),
        (["--output", str(tmp_path / "no" / "file")], "--output"),
    ):
        assert main(["candidates", str(data), "--output", output, *flags]) == 1
        assert sentence in capsys.readouterr().err
    one_sentence(train_with(data, tmp_path, "--candidates", "no-file", check=False), "no-file")
