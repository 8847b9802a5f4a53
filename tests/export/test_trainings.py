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
    assert "nll_loss" in stock_fairseq("validate", data, "--path", path, *flags).stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2],
        ["--store-ema", "--encoder-normalize-before", "--decoder-normalize-before"],
    ],
    ids=["fp16", "ema"],
)
def test_half_precision_and_moving_averages(flags, data, tmp_path, capsys):
    train(data, tmp_path, "--share-all-embeddings", "--no-epoch-checkpoints", *flags)
    verified(tmp_path / "checkpoint_last.pt", tmp_path / "out", data, capsys)


@pytest.mark.parametrize("arch", ["transformer_lm_gpt", "transformer_iwslt_de_en", "lstm_lm"])
def test_trainings_of_stock_fairseq(arch, data, tmp_path, capsys):
    sizes = ["--decoder-embed-dim=16", "--decoder-layers=1"]
    if arch.startswith("lstm"):
        sizes += ["--decoder-hidden-size=16"]
    else:
        sizes += ["--decoder-ffn-embed-dim=16", "--decoder-attention-heads=2"]
    if "_lm" in arch:
        sizes += ["--task=language_modeling", "--tokens-per-sample=50", "--sample-break-mode=eos"]
        folder = tmp_path / "text"
        folder.mkdir()
        for split in ("train", "valid"):
            for suffix in ("bin", "idx"):
                (folder / f"{split}.{suffix}").symlink_to(data / f"{split}.en-de.en.{suffix}")
        (folder / "dict.txt").symlink_to(data / "dict.en.txt")
        data = folder
    else:
        sizes += ["--encoder-embed-dim=16", "--encoder-layers=1", "--share-all-embeddings"]
    fairseq(
        *("train", data, "--arch", arch, *sizes, "--optimizer=adam", "--max-tokens=400", "--cpu", "--num-workers=0"),
        *("--max-update=2", "--save-dir", tmp_path, "--no-epoch-checkpoints", "--criterion=cross_entropy"),
    )
    verified(tmp_path / "checkpoint_last.pt", tmp_path / "out", data, capsys)
