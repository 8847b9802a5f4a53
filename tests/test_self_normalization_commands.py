"""Self-normalisation with the real commands: train, resume, two processes, generate, eval-lm, translate and log-z."""

import json
import math
import re

import pytest
from conftest import fairseq
from fairseq_commands import (
    assert_same_parameters,
    generate,
    hypotheses,
    one_sentence,
    train,
    train_flags,
    train_in_two_processes,
    train_log,
)

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

TRANSLATION = "label_smoothed_cross_entropy_with_self_normalization"
FLAGS = ("--tie-embeddings", "all", "--criterion", TRANSLATION, "--self-normalization-share", 0.3)
UNNORMALIZED = ("--model-overrides", "{'unnormalized_scores': True}")


@pytest.fixture(scope="module")
def translator(data, tmp_path_factory):
    """A folder with a checkpoint of six updates, and the training's log."""
    folder = tmp_path_factory.mktemp("translator")
    return folder, train(data, folder, *FLAGS, "--max-update", 6).stdout


def log_z(*arguments):
    assert main(["log-z", *map(str, arguments), "--json", "--quiet"]) == 0


def test_resume_goes_on_exactly(data, translator, tmp_path):
    train(data, tmp_path, *FLAGS, "--max-update", 3)
    resumed = train(data, tmp_path, *FLAGS, "--max-update", 6).stdout
    whole = train_log(translator[1])
    assert [line["log_z"] for line in train_log(resumed)] == [line["log_z"] for line in whole[3:]]
    assert_same_parameters(translator[0] / "checkpoint_last.pt", tmp_path / "checkpoint_last.pt", rtol=0, atol=1e-6)


def test_two_processes_choose_the_positions_of_one(data, tmp_path):
    flags = [*FLAGS, "--dropout", 0, "--max-tokens", 150, "--max-update", 4, "--adam-eps", 1e-3]
    one = train(data, tmp_path / "one", *flags, "--update-freq", 2).stdout
    two = train_in_two_processes(tmp_path, train_flags(data, tmp_path / "two", *flags))[0].stdout
    for name in ("loss", "log_z", "log_z_deviation"):
        first, second = ([float(line[name]) for line in train_log(log)] for log in (one, two))
        assert first == pytest.approx(second, abs=2e-3)


def test_log_z_is_what_the_validation_logged(data, translator, capsys):
    log_z(translator[0] / "checkpoint_last.pt", data)
    (found,) = json.loads(capsys.readouterr().out)
    logged = train_log(translator[1], "valid")[-1]
    assert found["mean"] == pytest.approx(float(logged["valid_log_z"]), abs=2e-3)
    assert found["deviation"] == pytest.approx(float(logged["valid_log_z_deviation"]), abs=2e-3)
    assert found["perplexity"] == pytest.approx(float(logged["valid_ppl"]), rel=2e-3)
    assert found["quantiles"]["0"] <= found["quantiles"]["0.5"] <= found["quantiles"]["1"]


def test_decoding_with_scores_as_they_are(data, translator, corpus, capsys):
    checkpoint = translator[0] / "checkpoint_last.pt"
    done = generate(data, [checkpoint], *UNNORMALIZED, "--max-len-b", 12)
    found = hypotheses(done.stdout)
    assert len(found) == 33
    assert "unnormalized-scores" not in done.stdout + done.stderr  # no warning
    flags = ["--data", data, "--device", "cpu", "--beam", 4, "--max-len-b", 12, "--input", corpus / "test.en"]
    assert main(["translate", *map(str, [checkpoint, "--unnormalized-scores", *flags])]) == 0
    assert capsys.readouterr().out.splitlines() == [found[number].strip() for number in range(33)]


def test_a_model_trained_without_gets_a_warning_and_a_stock_one_is_refused(data, trained, tmp_path, capsys):
    done = generate(data, [trained / "checkpoint_last.pt"], *UNNORMALIZED, "--max-len-b", 12)
    assert (
        "trained with --criterion label_smoothed_cross_entropy, not with self-normalisation"
        in done.stdout + done.stderr
    )
    train(data, tmp_path, arch="transformer")
    path = str(tmp_path / "checkpoint_last.pt")
    assert main(["translate", path, "--data", str(data), "--unnormalized-scores", "w1"]) == 1
    assert "--unnormalized-scores is for architectures of this package" in capsys.readouterr().err
    log_z(path, trained / "checkpoint_last.pt", data, "--split", "test")
    assert [round(one["mean"]) > 0 for one in json.loads(capsys.readouterr().out)] == [True, True]


def test_refused(data, tmp_path, capsys):
    done = train(data, tmp_path / "x", *FLAGS[:4], "--self-normalization-weight", -1, check=False)
    one_sentence(done, "--self-normalization-weight must be at least 0, got -1")
    done = train(data, tmp_path / "x", "--unnormalized-scores", check=False)
    one_sentence(done, "--unnormalized-scores is for decoding")
    assert main(["log-z", "none.pt", str(data)]) == 1
    assert "none.pt: there is no such" in capsys.readouterr().err
    assert main(["log-z", "none.pt", "no-folder"]) == 1
    assert "no-folder: there is no such folder" in capsys.readouterr().err


def test_language_model(english, tmp_path, capsys):
    flags = ("--user-dir", "fairseq_alone", "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0)
    flags += ("--tokens-per-sample", 12)
    log = fairseq(
        *("train", english, *flags, "--task", "language_modeling", "--arch", "lstm_lm_conventional"),
        *("--decoder-embed-dim", 16, "--decoder-hidden-size", 16, "--decoder-layers", 1, "--tie-embeddings", "all"),
        *("--criterion", "self_normalization", "--self-normalization-weight", 0.3),
        *("--self-normalization-share", 0.5, "--batch-size", 8, "--optimizer", "adam", "--lr", 0.01, "--dropout", 0),
        *("--max-epoch", 2, "--save-dir", tmp_path, "--log-format", "json", "--log-interval", 1),
        "--no-epoch-checkpoints",
    ).stdout
    path = tmp_path / "checkpoint_last.pt"
    log_z(path, english)
    (found,) = json.loads(capsys.readouterr().out)
    logged = train_log(log, "valid")[-1]
    assert found["mean"] == pytest.approx(float(logged["valid_log_z"]), abs=2e-3)
    for overrides, name in (((), "perplexity"), (UNNORMALIZED, "perplexity_unnormalized")):
        done = fairseq("eval_lm", english, *flags, "--path", path, "--gen-subset", "valid", *overrides)
        (perplexity,) = re.findall(r"Perplexity: ([0-9.]+)", done.stdout + done.stderr)
        assert found[name] == pytest.approx(float(perplexity), rel=2e-3)
    difference = math.log(found["perplexity"] / found["perplexity_unnormalized"])
    assert difference == pytest.approx(found["mean"])
    assert main(["log-z", str(path), str(english), "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("mean of log Z")] == [f"{found['mean']:.3f}"]
