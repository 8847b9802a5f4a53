"""Output layers with fairseq's real commands: train, resume, validate, translate, evaluate, and two processes."""

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

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

UNTIED = ("--tie-embeddings", "none")
LAYERS = {
    "hierarchical": ("transformer_alone", (*UNTIED, "--output-layer", "hierarchical")),
    "differentiated": (
        "transformer_differentiated",
        ("--tie-embeddings", "all", "--differentiated-blocks", "10x8,20x6,rest x2"),
    ),
    "differentiated output": ("transformer_alone", (*UNTIED, "--output-layer", "differentiated")),
    "characters as output": (
        "transformer_alone",
        (*UNTIED, "--output-layer", "char_cnn", "--char-cnn-filters", "1x4,2x4"),
    ),
}


def loss_flags(data, folder, *flags, arch="transformer_alone"):
    """Flags of a small training with the criterion of the output layer."""
    given = train_flags(data, folder, *flags, arch=arch)
    where = given.index("--label-smoothing")
    return [*given[:where], *given[where + 2 :], "--criterion", "output_layer_loss"]


@pytest.mark.parametrize("layer", LAYERS)
def test_it_trains_resumes_and_translates(data, tmp_path, layer):
    arch, flags = LAYERS[layer]
    whole = fairseq("train", *loss_flags(data, tmp_path / "whole", *flags, "--max-update", 6, arch=arch))
    for updates in (3, 6):
        fairseq("train", *loss_flags(data, tmp_path / "parts", *flags, "--max-update", updates, arch=arch))
    checkpoints = [tmp_path / folder / "checkpoint_last.pt" for folder in ("whole", "parts")]
    assert_same_parameters(*checkpoints, rtol=0, atol=0)
    assert len(hypotheses(generate(data, checkpoints[:1]).stdout)) == 33
    # The whole distribution agrees with what the training's criterion found.
    validated = fairseq(
        *("validate", data, "--user-dir", "fairseq_alone", "--task", "translation", "--path", checkpoints[0], "--cpu"),
        *("--required-batch-size-multiple", 1, "--max-tokens", 400, "--num-workers", 0, "--valid-subset", "valid"),
    )
    (last, *_) = reversed(train_log(whole.stdout, "valid"))
    assert re.search(rf"\bloss {re.escape(last['valid_loss'])}\b", validated.stderr + validated.stdout)
    mean = str(tmp_path / "mean.pt")
    assert main(["average", *map(str, checkpoints), "--output", mean]) == 0
    assert_same_parameters(checkpoints[0], mean, rtol=0, atol=0)


def test_the_tree_of_a_checkpoint_counts_not_the_files(data, tmp_path):
    """Clusters need their vectors in training only, and label smoothing works with log-probabilities."""
    words = [line.split()[0] for line in (data / "dict.de.txt").read_text().splitlines()]
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {number} {number % 7}\n" for number, word in enumerate(words)))
    flags = (*UNTIED, "--output-layer", "hierarchical", "--hierarchical-tree", "clusters")
    train(data, tmp_path, *flags, "--hierarchical-vectors", vectors)
    vectors.unlink()
    checkpoint = tmp_path / "checkpoint_last.pt"
    assert load_checkpoint(checkpoint)["model"]["decoder.output_projection.tree"].shape == (len(words) + 3, 2)
    assert len(hypotheses(generate(data, [checkpoint]).stdout)) == 33
    refused = train(data, tmp_path / "new", *flags, "--hierarchical-vectors", vectors, check=False)
    one_sentence(refused, r"--hierarchical-vectors .*vectors.txt: there is no such file")


def test_a_dictionary_without_counts_is_refused_in_a_sentence(corpus, tmp_path):
    words = sorted(set((corpus / "train.en").read_text().split()))
    (tmp_path / "dict").write_text("".join(f"{word} 1\n" for word in words))
    prefixes = [f"--{split}pref={corpus / split}" for split in ("train", "valid")]
    dictionaries = ["--srcdict", tmp_path / "dict", "--tgtdict", tmp_path / "dict"]
    fairseq(
        "preprocess", "-s", "en", "-t", "de", *prefixes, "--destdir", tmp_path / "bin", "--workers", 1, *dictionaries
    )
    flags = (*UNTIED, "--output-layer", "hierarchical")
    refused = train(tmp_path / "bin", tmp_path / "run", *flags, check=False)
    one_sentence(
        refused, r"--hierarchical-tree huffman needs the counts of words, but .*/dict.de.txt has the count 1 for"
    )


def test_language_models_evaluate_to_what_they_validated(english, tmp_path):
    for number, output in enumerate(("hierarchical", "differentiated")):
        folder = tmp_path / str(number)
        trained = fairseq(
            *("train", english, "--user-dir", "fairseq_alone", "--task", "language_modeling", "--cpu"),
            *("--arch", "lstm_lm_alone", "--alone-inter-dim", 32, "--decoder-embed-dim", 16, "--decoder-layers", 1),
            *("--output-layer", output, "--criterion", "output_layer_loss", "--tokens-per-sample", 12),
            *("--batch-size", 8, "--required-batch-size-multiple", 1, "--optimizer", "adam", "--lr", 0.01),
            *("--max-update", 3, "--num-workers", 0, "--save-dir", folder, "--log-format", "json"),
        )
        done = fairseq(
            *("eval_lm", english, "--user-dir", "fairseq_alone", "--path", folder / "checkpoint_last.pt"),
            *("--gen-subset", "valid", "--tokens-per-sample", 12, "--required-batch-size-multiple", 1, "--cpu"),
            *("--num-workers", 0),
        )
        found = re.search(r"Perplexity: ([0-9.]+)", done.stdout + done.stderr)
        assert float(found[1]) == pytest.approx(float(train_log(trained.stdout, "valid")[-1]["valid_ppl"]), abs=0.01)


def test_two_processes_equal_one_with_twice_the_micro_batches(data, tmp_path):
    flags = [*UNTIED, "--output-layer", "hierarchical", "--dropout", 0]
    flags += ["--max-tokens", 150, "--clip-norm", 1, "--adam-eps", 1e-3, "--max-update", 4]
    one = fairseq("train", *loss_flags(data, tmp_path / "one", *flags, "--update-freq", 2)).stdout
    two = train_in_two_processes(tmp_path, loss_flags(data, tmp_path / "two", *flags))[0].stdout
    losses = [[float(line["loss"]) for line in train_log(log)] for log in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)
    paths = [tmp_path / folder / "checkpoint_last.pt" for folder in ("one", "two")]
    assert_same_parameters(*paths, rtol=1e-4, atol=1e-5)
