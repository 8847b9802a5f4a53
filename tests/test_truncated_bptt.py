"""``--task truncated_bptt_lm`` with the real commands: one long forward pass, resumed, in parts, by two processes."""

import json
import math
import random
import re

import pytest
import torch
import torch.nn.functional as F
from conftest import fairseq
from fairseq import checkpoint_utils
from fairseq_commands import train_in_two_processes
from toy_text import binarize

from fairseq_alone import plugin
from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.inference.checkpoint_source import read_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Sentences of three sizes of text; the training text has 720 tokens."""
    folder = tmp_path_factory.mktemp("text")
    generator = random.Random(4)
    for split, size in (("train", 120), ("valid", 11), ("test", 9)):
        lines = [" ".join(f"w{generator.randrange(20)}" for _ in range(5)) for _ in range(size)]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(text, tmp_path_factory):
    return binarize(text, tmp_path_factory.mktemp("data") / "bin")


def flags_of(data, save_dir, *flags, arch="lstm_lm_conventional"):
    size = ("--decoder-embed-dim", 8, "--decoder-layers", 2, "--tie-embeddings", "decoder")
    size += ("--decoder-hidden-size", 8, "--decoder-out-embed-dim", 8) if arch.startswith("lstm") else ()
    return [
        *(data, "--user-dir", "fairseq_alone", "--task", "truncated_bptt_lm", "--arch", arch, *size),
        *("--tokens-per-sample", 10, "--batch-size", 6, "--required-batch-size-multiple", 1, "--cpu", "--dropout", 0),
        *("--optimizer", "adam", "--lr", 0.01, "--num-workers", 0, "--save-dir", save_dir, "--log-format", "json"),
        *("--log-interval", 1, "--no-epoch-checkpoints", *flags),
    ]


def reports(output):
    return [json.loads(line) for line in re.findall(r"\| (?:valid|train_inner) \| (\{.*\})", output)]


def train(data, save_dir, *flags, **settings):
    """The losses of the updates, and the perplexities of validation."""
    found = reports(fairseq("train", *flags_of(data, save_dir, *flags, **settings)).stdout)
    losses = [float(report["loss"]) for report in found if "loss" in report]
    return losses, [float(report["valid_ppl"]) for report in found if "valid_ppl" in report]


def perplexity(data, checkpoint, split):
    done = fairseq(
        *("eval_lm", data, "--user-dir", "fairseq_alone", "--task", "truncated_bptt_lm", "--path", checkpoint),
        *("--gen-subset", split, "--cpu", "--num-workers", 0),
    )
    log = done.stdout + done.stderr
    (count,) = re.findall(r"Evaluated ([0-9,]+) tokens", log)
    (found,) = re.findall(r"Perplexity: ([0-9.]+)", log)
    return int(count.replace(",", "")), float(found)


def test_validation_and_eval_lm_are_one_pass_over_the_text(text, data, tmp_path):
    _, perplexities = train(data, tmp_path, "--max-epoch", 2)
    for split in ("valid", "test"):
        tokens = sum(len(line.split()) + 1 for line in (text / f"{split}.txt").read_text().splitlines())
        count, found = perplexity(data, tmp_path / "checkpoint_last.pt", split)
        assert count == tokens
        if split == "valid":
            assert found == pytest.approx(perplexities[-1], abs=0.011)
    # In use it is a language model as any other.
    trained = read_checkpoint(str(tmp_path / "checkpoint_last.pt"), str(data))
    assert (trained.kind, trained.config["task"]["_name"]) == ("language_model", "language_modeling")


@pytest.mark.parametrize("streams", [1, 6])
def test_losses_are_those_of_one_long_forward_pass(data, tmp_path, streams):
    """At a standstill the model stays as it is: piece by piece is the same as each stream at one go."""
    still = ("--lr", 1e-12, "--max-epoch", 1, "--batch-size", streams)
    losses, _ = train(data, tmp_path, *still)
    plugin.register()
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(tmp_path / "checkpoint_last.pt")], {"data": str(data)}
    )
    task.load_dataset("train")
    targets = torch.from_numpy(task.datasets["train"].tokens.astype("int64"))
    inputs = torch.cat([torch.tensor([task.dictionary.eos()]), targets[:-1]])
    logits = model.eval()(inputs.view(streams, -1))[0]
    values = F.cross_entropy(logits.flatten(0, 1), targets, reduction="none") / math.log(2)
    pieces = values.view(streams, -1, 10).mean(dim=(0, 2))
    assert losses == pytest.approx(pieces.tolist(), abs=6e-4)  # the log has three digits
    # Without the state they differ.
    alone = model(inputs.view(streams, -1)[:, 10:20])[0]
    assert (alone - logits[:, 10:20]).abs().max() > 1e-3


@pytest.mark.parametrize("at", [5, 12])
def test_resumed_is_the_same(data, tmp_path, at):
    whole, _ = train(data, tmp_path / "whole", "--max-update", 17)
    first, _ = train(data, tmp_path / "parts", "--max-update", at)
    second, _ = train(data, tmp_path / "parts", "--max-update", 17)
    assert first + second == whole
    ours, theirs = (load_checkpoint(tmp_path / name / "checkpoint_last.pt")["model"] for name in ("parts", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_an_update_of_two_pieces_reads_on(data, tmp_path):
    """--update-freq 2 at a standstill: an update's loss is the mean of its two pieces'."""
    still = ("--lr", 1e-12, "--max-epoch", 1)
    single, _ = train(data, tmp_path / "single", *still)
    double, _ = train(data, tmp_path / "double", *still, "--update-freq", 2)
    means = [(one + other) / 2 for one, other in zip(single[::2], single[1::2], strict=True)]
    assert double == pytest.approx(means, abs=2e-3)


def two_processes(data, folder, *flags):
    done = train_in_two_processes(folder, flags_of(data, folder / "run", *flags))
    return [float(report["loss"]) for report in reports(done[0].stdout) if "loss" in report]


def test_two_processes_have_streams_of_their_own_and_resume(data, tmp_path):
    """Two workers with three streams each read what one worker with six reads, also after a resume."""
    one, _ = train(data, tmp_path / "one", "--max-update", 9)
    size = ("--batch-size", 3, "--tokens-per-sample", 10)
    first = two_processes(data, tmp_path, *size, "--max-update", 5)
    second = two_processes(data, tmp_path, *size, "--max-update", 9)
    assert first + second == pytest.approx(one, abs=2e-3)
    done = fairseq("train", *flags_of(data, tmp_path / "run", "--max-update", 11), check=False)
    assert done.returncode == 1
    assert "that 2 workers read, here are 1" in done.stdout + done.stderr


def test_a_transformer_sees_each_piece_by_itself(data, tmp_path):
    size = ("--decoder-ffn-embed-dim", 8, "--decoder-attention-heads", 2, "--max-epoch", 1)
    losses, perplexities = train(data, tmp_path, *size, arch="transformer_lm_alone")
    assert len(losses) == 12
    _, found = perplexity(data, tmp_path / "checkpoint_last.pt", "valid")
    assert found > 1
    assert perplexities[0] > 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--sample-break-mode", "eos"), "--sample-break-mode eos does not work with --task truncated_bptt_lm"),
        (("--add-bos-token",), "--add-bos-token does not work with --task truncated_bptt_lm"),
        (("--shorten-method", "truncate"), "--shorten-method does not work with --task truncated_bptt_lm"),
        (("--batch-size", 1000), "--batch-size 1000: a text of 720 tokens cannot be read as 1000 streams"),
    ],
)
def test_bad_flags_are_one_sentence(data, tmp_path, flags, sentence):
    done = fairseq("train", *flags_of(data, tmp_path, *flags), check=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
