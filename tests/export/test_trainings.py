"""Exports of checkpoints as the trainer writes them in other ways: hydra, half precision, moving averages."""

import json

import pytest
from conftest import fairseq, train
from fairseq_commands import stock_fairseq
from models.test_hydra import configuration, hydra_train

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow


def verified(checkpoint, output, data, capsys):
    capsys.readouterr()
    command = ["export", str(checkpoint), str(output), "--to", "fairseq", "--data", str(data), "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)["verification"]
    assert found == {"sentences": 32, "equal": 32, "largest_score_difference": 0.0}
    return output / "model.pt"


def test_a_training_of_hydra(data, tmp_path, capsys):
    hydra_train(tmp_path / "run", configuration(data, "rows"))
    path = verified(tmp_path / "run/checkpoints/checkpoint_last.pt", tmp_path / "out", data, capsys)
    flags = ("--task", "translation", "--max-tokens", 400, "--cpu", "--num-workers", 0, "--log-format", "simple")
    # Its criterion is stock fairseq's without the additional loss.
    done = stock_fairseq("validate", data, "--path", path, *flags)
    assert "nll_loss" in done.stdout + done.stderr


def test_half_precision_with_a_moving_average(data, tmp_path, capsys):
    half = ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2]
    pre_norm = ["--encoder-normalize-before", "--decoder-normalize-before"]
    train(data, tmp_path, "--share-all-embeddings", "--no-epoch-checkpoints", "--store-ema", *half, *pre_norm)
    verified(tmp_path / "checkpoint_last.pt", tmp_path / "out", data, capsys)


@pytest.mark.parametrize(
    ("arch", "flags"),
    [
        ("transformer_lm_gpt", ["--decoder-ffn-embed-dim=16", "--decoder-attention-heads=2"]),
        ("lstm_lm", ["--decoder-hidden-size=16"]),
    ],
)
def test_language_models_of_stock_fairseq(arch, flags, english, tmp_path, capsys):
    fairseq(
        *("train", english, "--task=language_modeling", "--tokens-per-sample=50", "--arch", arch, *flags),
        *("--decoder-embed-dim=16", "--decoder-layers=1", "--optimizer=adam", "--max-tokens=400", "--cpu"),
        *("--num-workers=0", "--required-batch-size-multiple=1", "--max-update=2", "--no-epoch-checkpoints"),
        *("--save-dir", tmp_path, "--criterion=cross_entropy"),
    )
    verified(tmp_path / "checkpoint_last.pt", tmp_path / "out", english, capsys)
