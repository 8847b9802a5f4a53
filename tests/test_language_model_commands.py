"""Language models with the real commands: preprocess, train, resume, eval-lm."""

import json
import re

import pytest
from conftest import fairseq
from toy_text import binarize, text_corpus

from fairseq_alone.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return text_corpus(tmp_path_factory.mktemp("text") / "corpus")


def tokens(path):
    """Words and ends of sentences."""
    return sum(len(line.split()) + 1 for line in path.read_text().splitlines())


@pytest.fixture(scope="module")
def data(text, tmp_path_factory):
    return binarize(text, tmp_path_factory.mktemp("data") / "bin")


def train(data, save_dir, arch, *flags):
    """Train and return the reports of validation."""
    size = ["--decoder-embed-dim", 16, "--decoder-layers", 1]
    size += {"alone": ["--alone-inter-dim", 32], "factorized": ["--factorized-dim", 4]}[arch.split("_")[-1]]
    done = fairseq(
        *("train", data, "--user-dir", "fairseq_alone", "--task", "language_modeling", "--arch", arch, *size),
        *("--tokens-per-sample", 12, "--batch-size", 8, "--required-batch-size-multiple", 1, "--cpu"),
        *("--optimizer", "adam", "--lr", 0.01, "--num-workers", 0, "--save-dir", save_dir, "--log-format", "json"),
        *("--log-interval", 1, "--no-epoch-checkpoints", *flags),
    )
    return [json.loads(line) for line in re.findall(r"\| (?:valid|train_inner) \| (\{.*\})", done.stdout)]


def evaluate(data, checkpoint, split):
    """The number of tokens and the perplexity that fairseq-eval-lm prints."""
    flags = ("--user-dir", "fairseq_alone", "--path", checkpoint, "--gen-subset", split, "--tokens-per-sample", 12)
    done = fairseq("eval_lm", data, *flags, "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0)
    log = done.stdout + done.stderr
    (count,) = re.findall(r"Evaluated ([0-9,]+) tokens", log)
    (perplexity,) = re.findall(r"Perplexity: ([0-9.]+)", log)
    return int(count.replace(",", "")), float(perplexity)


AUGMENTED = ["--criterion", "cross_entropy_with_augmented_loss", "--augmented-loss-temperature", 5]


def test_transformer_trains_with_the_augmented_loss_resumes_and_is_evaluated(text, data, tmp_path):
    flags = ["--tie-embeddings", "all", *AUGMENTED, "--decoder-ffn-embed-dim", 16, "--decoder-attention-heads", 2]
    train(data, tmp_path, "transformer_lm_alone", *flags, "--max-epoch", 1)
    reports = train(data, tmp_path, "transformer_lm_alone", *flags, "--max-epoch", 3)
    assert [report["epoch"] for report in reports if "valid_ppl" in report] == [2, 3]
    assert all("augmented_loss" in report for report in reports if "loss" in report)
    model = load_checkpoint(tmp_path / "checkpoint_last.pt")["model"]
    assert [name for name in model if name.endswith((".o", ".w1", ".w2"))] == [
        f"decoder.embed_tokens.{name}" for name in ("o", "w1", "w2")
    ]
    count, perplexity = evaluate(data, tmp_path / "checkpoint_last.pt", "valid")
    assert count == tokens(text / "valid.txt")
    assert perplexity == pytest.approx(float(reports[-1]["valid_ppl"]), abs=0.02)


def test_untied_factorized_lstm_trains_and_is_evaluated(text, data, tmp_path):
    flags = ["--tie-embeddings", "none", "--output-projection-regularization", 0.15, *AUGMENTED]
    train(data, tmp_path, "lstm_lm_factorized", *flags, "--augmented-loss-weight", 0, "--max-epoch", 1)
    count, perplexity = evaluate(data, tmp_path / "checkpoint_last.pt", "test")
    assert count == tokens(text / "test.txt")
    assert 1 < perplexity < 60
