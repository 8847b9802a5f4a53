"""``--task word_vectors`` with the real commands: resumed, in parts, by two processes, validated."""

import json
import random
import re

import pytest
import torch
from fairseq_commands import assert_same_parameters, fairseq, one_sentence, train_in_two_processes, train_log
from toy_text import binarize

from fairseq_alone.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow

SKIP_GRAM = ("--arch", "skip_gram", "--criterion", "negative_sampling", "--negative-row-samples", 8)
SKIP_GRAM += ("--window-subsample", 0.02, "--rows-rule", "sgd")
CBOW_ALONE = ("--arch", "cbow_alone", "--alone-inter-dim", 12, *SKIP_GRAM[2:])
CW = ("--arch", "cw", "--criterion", "window_ranking", "--cw-hidden-dim", 8)
NNLM = ("--arch", "nnlm", "--criterion", "cross_entropy", "--tie-embeddings", "decoder")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Binarised text of 30 words, in which neighbours are near each other; 8 batches of 150 tokens."""
    folder = tmp_path_factory.mktemp("text")
    generator = random.Random(4)
    for split, size in (("train", 200), ("valid", 20)):
        starts = [generator.randrange(30) for _ in range(size)]
        lines = [" ".join(f"w{(start + generator.randrange(4)) % 30}" for _ in range(5)) for start in starts]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return binarize(folder, folder / "bin")


def flags_of(data, save_dir, *flags):
    return [
        *(data, "--user-dir", "fairseq_alone", "--task", "word_vectors", "--decoder-embed-dim", 8, "--window", 2),
        *("--max-tokens", 150, "--tokens-per-sample", 16, "--optimizer", "adam_rows", "--lr", 0.05, "--cpu"),
        *("--lr-scheduler", "linear_over_epochs", "--max-epoch", 2, "--num-workers", 0, "--save-dir", save_dir),
        *("--log-format", "json", "--log-interval", 1, "--no-epoch-checkpoints", *flags),
    ]


def train(data, save_dir, *flags):
    """What was printed."""
    return fairseq("train", *flags_of(data, save_dir, *flags)).stdout


def losses(output):
    return [(line["num_updates"], line["loss"], line["lr"], line["gnorm"]) for line in train_log(output)]


@pytest.mark.parametrize("flags", [SKIP_GRAM, CBOW_ALONE, CW, NNLM], ids=lambda flags: flags[1])
def test_a_resumed_training_is_the_one_that_was_never_stopped(flags, data, tmp_path):
    whole = train(data, tmp_path / "whole", *flags)
    first = train(data, tmp_path / "parts", *flags, "--max-update", 11)
    second = train(data, tmp_path / "parts", *flags)
    assert losses(first) + losses(second) == losses(whole)
    ours, theirs = (load_checkpoint(tmp_path / name / "checkpoint_last.pt")["model"] for name in ("parts", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    # It has learned, and the rate has fallen to its end.
    valid = [json.loads(line) for line in re.findall(r"\| valid \| (\{.*\})", whole)]
    assert float(valid[1]["valid_loss"]) < float(valid[0]["valid_loss"])
    assert ("valid_ppl" in valid[1]) == (flags is NNLM)
    assert len(losses(whole)) == 16
    assert float(losses(whole)[-1][2]) == pytest.approx(0.05e-4)
    # fairseq-validate says the same.
    path = ("--path", tmp_path / "whole" / "checkpoint_last.pt", "--valid-subset", "valid", "--max-tokens", 150)
    done = fairseq("validate", data, "--user-dir", "fairseq_alone", "--task", "word_vectors", *path, "--cpu")
    (found,) = re.findall(r"\| valid \| .*?\| loss ([0-9.]+)", done.stdout + done.stderr)
    assert float(found) == pytest.approx(float(valid[1]["valid_loss"]), abs=2e-3)


@pytest.mark.parametrize("flags", [SKIP_GRAM, CBOW_ALONE, CW], ids=lambda flags: flags[1])
def test_two_processes_equal_one_with_twice_the_micro_batches(flags, data, tmp_path):
    flags = (*flags, "--adam-eps", 1e-3, "--clip-norm", 0.05, "--max-epoch", 1)
    one = train(data, tmp_path / "one", *flags, "--update-freq", 2)
    two = train_in_two_processes(tmp_path, flags_of(data, tmp_path / "two", *flags))[0].stdout
    assert len(losses(one)) == 4
    pairs = list(zip(train_log(one), train_log(two), strict=True))
    assert [float(f["loss"]) for f, _ in pairs] == pytest.approx([float(s["loss"]) for _, s in pairs], abs=3e-3)
    last = [tmp_path / folder / "checkpoint_last.pt" for folder in ("one", "two")]
    assert_same_parameters(*last, rtol=1e-3, atol=1e-5)


def test_batches_of_which_nothing_is_left_do_no_harm(data, tmp_path):
    log = train_log(train(data, tmp_path, *SKIP_GRAM, "--window-subsample", 1e-9, "--max-update", 2))
    assert [float(line["loss"]) for line in log] == [0.0, 0.0]


def test_a_refusal_is_one_sentence(data, tmp_path):
    done = fairseq("train", *flags_of(data, tmp_path, *SKIP_GRAM, "--window-subsample", -1), check=False)
    one_sentence(done, "--window-subsample must be at least 0, got -1")
