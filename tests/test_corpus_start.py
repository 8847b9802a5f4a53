"""fairseq-train with ``--embedding-init``: it starts once, goes on, finetunes, and is the same on every worker."""

import pytest
import torch
from fairseq_commands import (
    assert_same_parameters,
    fairseq,
    generate,
    hypotheses,
    one_sentence,
    preprocess,
    train,
    train_flags,
    train_in_two_processes,
)
from toy_text import binarize

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.corpus.binarized import read_corpus
from fairseq_alone.corpus.learning import learn
from fairseq_alone.corpus.vectors import VectorSettings, standardized
from fairseq_alone.export.stock import matrix_of
from fairseq_alone.inference.checkpoint_source import read_checkpoint

pytestmark = pytest.mark.slow

STARTED = "starts with"
TABLE = ["--tie-embeddings", "all", "--embedding-init", "corpus"]
# So small a step that the checkpoint still has the start.
STILL = ["--lr", 1e-9, "--max-update", 1]
CODES = ["--codes-num-codebooks", 2, "--codes-codebook-size", 8, "--codes-free-rows", "4,39x3"]
TRANSFORMER = ["--decoder-ffn-embed-dim", 16, "--decoder-attention-heads", 2]


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
    """Data of its own, because vectors are kept beside it."""
    return preprocess(corpus, tmp_path_factory.mktemp("data") / "start", "--joined-dictionary")


def log(done):
    return done.stdout + done.stderr


def kept(folder):
    return sorted(folder.glob("corpus-vectors-*.npz"))


def tensors(folder):
    return load_checkpoint(str(folder / "checkpoint_last.pt"))["model"]


def vectors_of(folder, dim=16):
    corpus = read_corpus(str(folder), "en", "de")
    (words,) = learn(corpus, VectorSettings(dim))
    return torch.from_numpy(standardized(words.vectors, dim**-0.5, 1))


def test_starts_once_resumes_and_decodes(folder, tmp_path):
    arch = {"arch": "transformer_conventional"}
    first = train(folder, tmp_path / "still", *TABLE, *STILL, **arch)
    assert log(first).count(STARTED) == 1
    assert "encoder.embed_tokens starts with 100.0 % of the variance of the vectors of corpus" in log(first)
    table = tensors(tmp_path / "still")["encoder.embed_tokens.weight"]
    torch.testing.assert_close(table[4:], vectors_of(folder)[4:], rtol=0, atol=1e-6)
    assert not table[1].abs().max() > 1e-6
    (file,) = kept(folder)
    written = file.stat().st_mtime_ns
    # The vectors that are kept are those that were learned; and they are not needed to go on.
    train(folder, tmp_path / "parts", *TABLE, "--max-update", 2, **arch)
    assert file.stat().st_mtime_ns == written
    file.unlink()
    second = train(folder, tmp_path / "parts", *TABLE, "--max-update", 4, **arch)
    assert STARTED not in log(second)
    assert kept(folder) == []
    train(folder, tmp_path / "whole", *TABLE, "--max-update", 4, **arch)
    paths = [tmp_path / name / "checkpoint_last.pt" for name in ("parts", "whole")]
    assert_same_parameters(*paths, rtol=0, atol=1e-6)
    assert len(hypotheses(generate(folder, paths[:1]).stdout)) == 33
    # The same command gives the same checkpoint.
    train(folder, tmp_path / "again", *TABLE, "--max-update", 4, **arch)
    assert_same_parameters(tmp_path / "again/checkpoint_last.pt", paths[1], rtol=0, atol=0)
    # A model that begins as another one does not begin with the vectors.
    flags = ["--finetune-from-model", paths[1], *STILL]
    third = train(folder, tmp_path / "tuned", *TABLE, *flags, **arch)
    assert STARTED not in log(third)
    assert_same_parameters(tmp_path / "tuned/checkpoint_last.pt", paths[1], rtol=0, atol=1e-6)


def test_half_precision(folder, tmp_path):
    """The optimizer's copies in float32 are made of what the model starts with."""
    flags = [*TABLE, *STILL, "--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2]
    for arch, own in (("transformer_conventional", []), ("transformer_codes", CODES)):
        assert log(train(folder, tmp_path / arch, *flags, *own, arch=arch)).count(STARTED) == 1
    table = tensors(tmp_path / "transformer_conventional")["encoder.embed_tokens.weight"].float()
    torch.testing.assert_close(table[4:], vectors_of(folder)[4:], rtol=1e-3, atol=1e-3)
    codes = tensors(tmp_path / "transformer_codes")["encoder.embed_tokens.codes"]
    assert codes.dtype == torch.uint8


def two_processes(data, folder, *flags, arch):
    """fairseq-train as two CPU processes that really join; the checkpoint of each, by rank."""
    return train_in_two_processes(folder, train_flags(data, folder / "run", *flags, "--max-update", 2, arch=arch))


@pytest.mark.parametrize(
    ("arch", "own"),
    [
        ("transformer_conventional", []),
        ("transformer_codes", CODES),
        ("transformer_alone", ["--alone-codes", "corpus"]),
    ],
)
def test_two_workers_have_equal_tensors(arch, own, folder, tmp_path):
    # fairseq compares the gradients' norms of its workers after each update, and stops where they differ.
    flags = ("--clip-norm", 1, "--max-tokens", 150, *own)
    first, second = two_processes(folder, tmp_path, *TABLE, *flags, arch=arch)
    assert log(first).count(STARTED) == 1
    assert STARTED not in log(second)
    train(folder, tmp_path / "one", *TABLE, *flags, "--update-freq", 2, "--max-update", 2, arch=arch)
    paths = [tmp_path / name / "checkpoint_last.pt" for name in ("run", "one")]
    assert [load_checkpoint(path)["model"].keys() for path in paths[:1]]
    ours, theirs = (load_checkpoint(path)["model"] for path in paths)
    for name in ours:
        if "embed_tokens" in name:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0.05, msg=name)
    if arch == "transformer_codes":
        assert torch.equal(ours["encoder.embed_tokens.codes"], theirs["encoder.embed_tokens.codes"])


def test_what_is_refused_is_one_sentence(folder, tmp_path):
    for flags, words in (
        (["--embedding-init", tmp_path / "none.txt"], "none.txt"),
        (["--embedding-init", "corpus", "--corpus-lines", -1], "--corpus-lines must be at least 0, got -1"),
    ):
        done = train(folder, tmp_path / "run", "--tie-embeddings", "all", *flags, check=False)
        one_sentence(done, words)


def test_separate_dictionaries_and_some_lines(corpus, tmp_path):
    for split in ("train", "valid", "test"):
        for side, letter in (("en", "w"), ("de", "v")):
            text = (corpus / f"{split}.{side}").read_text()
            (tmp_path / f"{split}.{side}").write_text(text.replace("w", letter))
    data = preprocess(tmp_path, tmp_path / "separate")
    flags = ["--embedding-init", "corpus", "--corpus-lines", 50, *STILL]
    done = train(data, tmp_path / "run", "--tie-embeddings", "none", *flags, arch="transformer_conventional")
    assert log(done).count(STARTED) == 3
    sides = learn(read_corpus(str(data), "en", "de"), VectorSettings(16, samples=50))
    found = tensors(tmp_path / "run")
    for name, words in (
        ("encoder.embed_tokens.weight", sides[0]),
        ("decoder.embed_tokens.weight", sides[1]),
        ("decoder.output_projection.weight", sides[1]),
    ):
        wanted = torch.from_numpy(standardized(words.vectors, 0.25, 1))
        torch.testing.assert_close(found[name][4:], wanted[4:], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def language(corpus, tmp_path_factory):
    """Its own data for language models: the vectors are kept beside them."""
    return binarize(corpus, tmp_path_factory.mktemp("language") / "bin", "en")


@pytest.mark.parametrize(
    ("arch", "own"),
    [
        ("lstm_lm_conventional", []),
        ("transformer_lm_codes", [*CODES, "--codes-free-rows", 8, *TRANSFORMER]),
    ],
)
def test_language_models(arch, own, language, tmp_path):
    flags = ["--task", "language_modeling", "--tokens-per-sample", 12, "--batch-size", 8, "--cpu", "--num-workers", 0]
    flags += ["--decoder-embed-dim", 16, "--decoder-layers", 1, "--optimizer", "adam", "--no-epoch-checkpoints"]
    flags += ["--required-batch-size-multiple", 1, "--user-dir", "fairseq_alone", "--arch", arch, *own]
    done = fairseq("train", language, *flags, *TABLE, *STILL, "--save-dir", tmp_path)
    assert log(done).count(STARTED) == 1
    assert len(kept(language)) == 1
    (words,) = learn(read_corpus(str(language)), VectorSettings(16))
    wanted = torch.from_numpy(standardized(words.vectors, 0.25, 1))
    model = read_checkpoint(str(tmp_path / "checkpoint_last.pt"), str(language)).model
    found = matrix_of(model.decoder.embed_tokens)
    # Of codes, the first words have rows of their own.
    exact = slice(4, 8 if own else None)
    torch.testing.assert_close(found[exact], wanted[exact], rtol=0, atol=1e-6)
