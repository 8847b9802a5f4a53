"""``fairseq-alone reconstruct``: files, an interruption in the middle, other settings, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from fairseq_alone.cli import main
from fairseq_alone.compression import reconstruction
from fairseq_alone.corpus.vector_file import write_vectors
from fairseq_alone.corpus.vector_reader import read_vectors
from fairseq_alone.folder_lock import unlock_folders
from fairseq_alone.modules.reconstruction import Reconstruction

SMALL = ["--filter", "real", "--inter-dim", "40", "--epochs", "40", "--batch-size", "8", "--first", "12", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(1)
    write_vectors("given.txt", [f"w{n}" for n in range(20)], generator.normal(size=(20, 4)).astype(np.float32))
    lines = [f"w{n} w{n + 5} {generator.random()}" for n in range(10)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    yield tmp_path
    unlock_folders()


def test_vectors_curve_and_table(folder, capsys):
    command = ["reconstruct", "given.txt", "--output", "out", "--pairs", "pairs.txt", "--seeds", "1", "2", *SMALL]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "of the variance of 12 words, by 324 trained values in place of 48" in output
    assert "mean of 2, ± deviation" not in output.splitlines()[0]
    assert "| given " in output
    results = json.loads((folder / "out/results.json").read_text())
    assert [one["covered"] for one in results["given"]["pairs"]] == [7]
    assert results["mean"]["count"] == 2
    assert results["settings"]["inter_dim"] == 40
    given = read_vectors("given.txt").first(12)
    for number, seed in enumerate((1, 2)):
        found = read_vectors(f"out/seed{seed}.txt")
        assert found.words == given.words
        error = np.square(found.vectors - given.vectors).sum() / np.square(given.vectors - given.vectors.mean(0)).sum()
        assert results["seeds"][number]["explained"] == pytest.approx(1 - error, abs=1e-5)
        assert results["seeds"][number]["explained"] > 0
    losses = json.loads((folder / "out/losses.json").read_text())
    assert [len(losses[seed]) for seed in ("1", "2")] == [40, 40]
    assert losses["1"][-1] < losses["1"][0]
    assert losses["1"] != losses["2"]
    assert (folder / "out/loss.png").read_bytes().startswith(b"\x89PNG")
    # What is done is not done again, and other settings are refused.
    before = (folder / "out/seed1.txt").read_bytes()
    assert main(command) == 0
    assert (folder / "out/seed1.txt").read_bytes() == before
    capsys.readouterr()
    assert main([*command, "--inter-dim", "30", "--fix-base"]) == 1
    assert "was begun with other settings (--inter-dim, --fix-base)" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_to_the_same_result(folder, monkeypatch, capsys):
    command = ["reconstruct", "given.txt", "--seeds", "1", *SMALL, "--output"]
    assert main([*command, "whole"]) == 0
    monkeypatch.setattr(reconstruction, "_SECONDS_BETWEEN_SAVES", 0.0)
    train, done = Reconstruction.train_epoch, []

    def interrupted(training):
        done.append(training.epochs)
        if training.epochs == 25:
            raise KeyboardInterrupt
        return train(training)

    with monkeypatch.context() as context:
        context.setattr(Reconstruction, "train_epoch", interrupted)
        assert main([*command, "parts"]) == 130
    assert not (folder / "parts/seed1.txt").exists()
    done.clear()
    monkeypatch.setattr(Reconstruction, "train_epoch", lambda training: done.append(training.epochs) or train(training))
    assert main([*command, "parts"]) == 0
    assert done == list(range(25, 40))
    for name in ("seed1.txt", "losses.json", "results.json"):
        assert (folder / "parts" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    # A state of another training is no start.
    shutil.copy("whole/seed1.pt", "parts/seed2.pt")
    assert main([*command, "parts", "--seeds", "2"]) == 1
    assert "belongs to a training of other settings (seed)" in capsys.readouterr().err
    (folder / "parts/seed2.pt").write_bytes(b"damaged")
    assert main([*command, "parts", "--seeds", "2"]) == 1
    assert "seed2.pt" in capsys.readouterr().err


def test_rounded_products_are_another_training_and_nearly_the_same(folder, capsys):
    command = ["reconstruct", "given.txt", "--seeds", "1", *SMALL, "--output"]
    assert main([*command, "exact"]) == 0
    assert main([*command, "rounded", "--matmul-precision", "medium"]) == 0
    exact, rounded = (json.loads((folder / name / "losses.json").read_text())["1"] for name in ("exact", "rounded"))
    assert rounded == pytest.approx(exact, rel=0.1)
    # A folder of before says nothing of it.
    settings = folder / "exact/settings.json"
    known = json.loads(settings.read_text())
    assert known.pop("matmul_precision") == "highest"
    settings.write_text(json.dumps(known))
    assert main([*command, "exact"]) == 0
    assert main([*command, "exact", "--matmul-precision", "medium"]) == 1
    assert "was begun with other settings (--matmul-precision)" in capsys.readouterr().err


def test_words_of_pairs_are_rebuilt_as_well(folder, capsys):
    command = ["reconstruct", "given.txt", "--output", "out", "--pairs", "pairs.txt", "--seeds", "1", *SMALL]
    assert main([*command, "--with-pairs", "--first", "3", "--epochs", "1", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["words"] == 15
    assert results["given"]["pairs"][0]["covered"] == 10


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--inter-dim", "0"], "--inter-dim must be at least 1, got 0"),
        (["--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--first", "-1"], "--first must be at least 0, got -1"),
        (["--threads", "0"], "--threads must be at least 1, got 0"),
        (["--seeds", "-1"], "--seeds must be from 0"),
        (["--seeds", "1", "1"], "--seeds: give each seed once"),
        (["--codebook-size", "1"], "--codebook-size is too small"),
        (["--with-pairs"], "--with-pairs needs --pairs"),
        (["--output", "given.txt"], "--output given.txt"),
        (["--pairs", "given.txt"], "given.txt, line 1: expected two words and a score"),
    ],
)
def test_what_is_refused(flags, sentence, folder, capsys):
    assert main(["reconstruct", "given.txt", "--output", "out", *SMALL, *flags]) == 1
    assert sentence in capsys.readouterr().err
    assert not (folder / "out").exists()
