"""fairseq's commands and the tools with word vectors from characters: translation and language models."""

import json
import re

import pytest
import torch
from fairseq_commands import (
    assert_same_parameters,
    fairseq,
    generate,
    hypotheses,
    one_sentence,
    preprocess,
    stock_fairseq,
    train,
    train_log,
)

from fairseq_alone.cli import main
from fairseq_alone.inference.opening import Given, open_model

pytestmark = pytest.mark.slow

ARCH = "transformer_char_cnn"
SIZES = ("--char-cnn-dim", 4, "--char-cnn-filters", "1x4,2x8", "--char-cnn-correction-dim", 4)
FLAGS = ("--tie-embeddings", "none", *SIZES)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A folder of three updates and three more, of untied embeddings that are rounded to 8 bits."""
    folder = tmp_path_factory.mktemp("characters")
    train(data, folder, *FLAGS, "--embedding-bits", 8, arch=ARCH)
    train(data, folder, *FLAGS, "--embedding-bits", 8, "--max-update", 6, arch=ARCH)
    return folder


def test_it_goes_on_exactly(trained, data, tmp_path):
    done = train(data, tmp_path, *FLAGS, "--embedding-bits", 8, "--max-update", 6, arch=ARCH)
    assert_same_parameters(tmp_path / "checkpoint_last.pt", trained / "checkpoint_last.pt", rtol=0, atol=1e-6)
    losses = [float(entry["loss"]) for entry in train_log(done.stderr + done.stdout)]
    assert losses[-1] < losses[0]


def test_report_average_and_decoding(trained, data, tmp_path, capsys):
    mean, last = tmp_path / "mean.pt", trained / "checkpoint_last.pt"
    checkpoints = [str(trained / f"checkpoint{name}.pt") for name in ("1", "_last")]
    assert main(["average", *checkpoints, "--output", str(mean), "--quiet"]) == 0
    assert main(["report", "--json", str(mean)]) == 0
    settings = json.loads(capsys.readouterr().out)[0]["settings"]
    assert (settings["embedding"], settings["tying"]) == ("char_cnn", "none")
    assert (settings["character_filters"], settings["correction_dim"]) == ("1x4,2x8", 4)
    for path in (mean, last):
        assert len(hypotheses(generate(data, [path]).stdout)) == 33


def test_exports_translate_alike(trained, data, tmp_path, capsys):
    """The compact file has the numbers of the training; stock fairseq gets a table."""
    last, compact, stock = trained / "checkpoint_last.pt", tmp_path / "model.safetensors", tmp_path / "stock"
    given = ("--data", str(data), "--no-verify")
    assert main(["export", str(last), str(compact), "--to", "compact", "--quantization", "fp32", *given]) == 0
    assert main(["export", str(compact), str(stock), "--to", "fairseq", "--no-verify"]) == 0
    capsys.readouterr()
    own = hypotheses(generate(data, [last]).stdout)
    flags = ("--beam", 4, "--cpu", "--required-batch-size-multiple", 1, "--num-workers", 0)
    assert hypotheses(stock_fairseq("generate", data, "--path", stock / "model.pt", *flags).stdout) == own
    opened = open_model(str(compact)), open_model(str(last), Given(data=str(data)))
    embedding, before = (found.model.decoder.embed_tokens for found in opened)
    with torch.no_grad():
        assert torch.equal(embedding.matrix(), before.matrix())
        assert torch.equal(embedding.vectors_of(["w999"]), before.vectors_of(["w999"]))


def test_another_dictionary_is_refused(trained, corpus, tmp_path):
    """As many words with as many characters, in another order."""
    lines = [*(corpus / "train.en").read_text().splitlines(), "w11 " * 2000]
    for split in ("train", "valid", "test"):
        for language in ("en", "de"):
            text = "\n".join(lines) if split == "train" else (corpus / f"{split}.{language}").read_text()
            (tmp_path / f"{split}.{language}").write_text(text + "\n")
    other = preprocess(tmp_path, tmp_path / "data", "--joined-dictionary")
    done = generate(other, [trained / "checkpoint_last.pt"], check=False)
    one_sentence(done, "checkpoint_last.pt: .*the words of the checkpoint are not those of this dictionary")


def test_numbers_are_refused(corpus, tmp_path):
    for file in corpus.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace("w", ""))
    numbers = preprocess(tmp_path, tmp_path / "data", "--joined-dictionary")
    done = train(numbers, tmp_path / "no", *FLAGS, arch=ARCH, check=False)
    one_sentence(done, "needs words with a spelling, but every entry of the dictionary is a number")


@pytest.mark.parametrize(
    ("arch", "criterion"),
    [
        ("lstm_lm_char_cnn", ("--criterion", "sampled_softmax", "--sampled-num-samples", 10)),
        ("transformer_lm_char_cnn", ("--criterion", "cross_entropy")),
    ],
)
def test_language_models(english, tmp_path, arch, criterion):
    size = ["--decoder-embed-dim", 16, "--decoder-layers", 1, *SIZES, "--tie-embeddings", "decoder"]
    if arch.startswith("transformer"):
        size += ["--decoder-attention-heads", 2, "--decoder-ffn-embed-dim", 16]
    run = ("--tokens-per-sample", 12, "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0)
    fairseq(
        *("train", english, "--user-dir", "fairseq_alone", "--task", "language_modeling", "--arch", arch),
        *(*size, *run, "--batch-size", 8, "--optimizer", "adam", "--lr", 0.01, "--save-dir", tmp_path / "run"),
        *("--max-update", 4, "--log-format", "json", *criterion),
    )
    path = ("--user-dir", "fairseq_alone", "--path", tmp_path / "run/checkpoint_last.pt")
    done = fairseq("eval_lm", english, *path, *run, "--gen-subset", "test")
    assert 1 < float(re.search(r"Perplexity: ([0-9.]+)", done.stdout + done.stderr)[1]) < 60
