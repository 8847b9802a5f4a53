"""Criterions that draw noise, with fairseq's commands: trained, resumed, on two processes, evaluated, decoded with."""

import json
import math
import re

import pytest
import torch
from fairseq_commands import (
    assert_same_parameters,
    fairseq,
    generate,
    hypotheses,
    one_sentence,
    train_flags,
    train_in_two_processes,
    train_log,
)

from fairseq_alone.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow

SAMPLED = ["--criterion", "sampled_softmax", "--sampled-num-samples", 8, "--sampled-min-effective-size", 6]
NCE = ["--criterion", "noise_contrastive_estimation", "--nce-num-samples", 20, "--nce-learn-normalizer"]
ADAPTIVE = ["--criterion", "sampled_softmax", "--sampled-num-samples", 20, "--sampled-proposal", "adaptive"]
NEGATIVE = ["--criterion", "negative_sampling", "--negative-shared-samples", 20]
SAME = {"rtol": 0, "atol": 1e-6}


def assert_same_criterions(paths):
    """The same trained numbers of the criterion, which are not those of the start."""
    first, second = (load_checkpoint(path)["criterion"] for path in paths)
    assert list(first) == list(second)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-5)
        assert ((first[name] != 0) & (first[name] != math.log(44))).any()


def language_model(text, save_dir, *flags):
    """Train; what was printed."""
    return fairseq(
        *("train", text, "--user-dir", "fairseq_alone", "--task", "language_modeling", "--arch", "lstm_lm_alone"),
        *("--decoder-embed-dim", 16, "--decoder-layers", 1, "--decoder-hidden-size", 16, "--alone-inter-dim", 32),
        *("--tie-embeddings", "decoder", "--tokens-per-sample", 20, "--batch-size", 8, "--save-dir", save_dir),
        *("--required-batch-size-multiple", 1, "--cpu", "--optimizer", "adam", "--lr", 0.01, "--num-workers", 0),
        *("--log-format", "json", "--log-interval", 1, *flags),
    ).stdout


@pytest.mark.parametrize("flags", [SAMPLED, ADAPTIVE, NCE], ids=["sampled softmax", "adaptive", "nce"])
def test_a_resumed_language_model_is_the_one_that_was_never_stopped(flags, english, tmp_path):
    whole = train_log(language_model(english, tmp_path / "whole", *flags, "--max-update", 6))
    first = train_log(language_model(english, tmp_path / "parts", *flags, "--max-update", 3))
    log = language_model(english, tmp_path / "parts", *flags, "--max-update", 6)
    assert [line["loss"] for line in whole] == [line["loss"] for line in first + train_log(log)]
    assert "ppl" not in whole[0]
    assert "by the dictionary" not in log
    last = [tmp_path / folder / "checkpoint_last.pt" for folder in ("whole", "parts")]
    assert_same_parameters(*last, **SAME)
    if flags is not SAMPLED:
        assert_same_criterions(last)
        name = "log_z" if flags is NCE else "bigram_weight"
        assert float(whole[0][name]) != float(whole[-1][name])
    flags = ("--user-dir", "fairseq_alone", "--path", last[1], "--gen-subset", "valid", "--tokens-per-sample", 20)
    done = fairseq("eval_lm", english, *flags, "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0)
    (perplexity,) = re.findall(r"Perplexity: ([0-9.]+)", done.stdout + done.stderr)
    valid = json.loads(re.findall(r"\| valid \| (\{.*\})", log)[-1])
    assert float(perplexity) == pytest.approx(float(valid["valid_ppl"]), abs=0.02)


def translation(data, folder, *flags):
    """Flags of a small translation model; the usual ones smooth labels, which these criterions do not."""
    flags = train_flags(data, folder, "--share-all-embeddings", *flags)
    place = flags.index("--label-smoothing")
    return flags[:place] + flags[place + 2 :]


def two_processes(data, folder, *flags):
    """fairseq-train as two CPU processes."""
    return train_in_two_processes(folder.parent, translation(data, folder, *flags))[0].stdout


@pytest.mark.parametrize("criterion", [SAMPLED, ADAPTIVE, NCE], ids=["sampled softmax", "adaptive", "nce"])
def test_two_processes_equal_one_with_twice_the_micro_batches(criterion, data, tmp_path):
    flags = [*criterion, "--dropout", 0, "--max-tokens", 150, "--adam-eps", 1e-3, "--max-update", 4]
    one = fairseq("train", *translation(data, tmp_path / "one", *flags, "--update-freq", 2)).stdout
    two = two_processes(data, tmp_path / "two", *flags)
    losses = [[float(line["loss"]) for line in train_log(log)] for log in (one, two)]
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)
    last = [tmp_path / folder / "checkpoint_last.pt" for folder in ("one", "two")]
    assert_same_parameters(*last, rtol=1e-4, atol=1e-5)
    if criterion is not SAMPLED:
        assert_same_criterions(last)


def test_translation_by_negative_sampling_warns_and_decodes(data, tmp_path):
    done = fairseq("train", *translation(data, tmp_path, *NEGATIVE, "--max-update", 3))
    assert "--criterion negative_sampling learns word vectors and no language model" in done.stdout + done.stderr
    assert len(hypotheses(generate(data, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33


def test_a_refusal_is_one_sentence(data, tmp_path):
    flags = ("--criterion", "sampled_softmax", "--sampled-num-samples", 0)
    done = fairseq("train", *translation(data, tmp_path, *flags), check=False)
    one_sentence(done, "--sampled-num-samples must be at least 1, got 0")
