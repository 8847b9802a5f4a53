"""Embeddings that begin with given vectors: every family, every place, and what is refused."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq import options
from fairseq.data.dictionary import TruncatedDictionary
from fairseq.models import ARCH_MODEL_REGISTRY
from small_models import KINDS, SIZES, Task, build, dictionary
from torch import nn

from fairseq_alone.corpus.learning import WordVectors
from fairseq_alone.corpus.vectors import standardized
from fairseq_alone.errors import UserError
from fairseq_alone.models import starting
from fairseq_alone.models.families import FAMILIES
from fairseq_alone.models.starting import start, start_embeddings, variance_explained
from fairseq_alone.modules import CodeEmbedding, TableEmbedding
from fairseq_alone.modules import fit as fitting

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def few_updates(monkeypatch):
    monkeypatch.setattr(fitting, "_UPDATES", 20)


def vectors(words=50, dim=8, seed=1):
    """Strongest directions first; padding and the last two words have none."""
    generator = np.random.default_rng(seed)
    found = (generator.normal(size=(words, dim)) * 0.7 ** np.arange(dim)).astype(np.float32)
    frequency = np.arange(words, 0, -1).astype(float)
    for word in (1, words - 2, words - 1):
        found[word], frequency[word] = 0, 0
    return WordVectors(found, frequency)


def expected(words, dim=8, rows=None):
    return torch.from_numpy(standardized(words.vectors[:rows, :dim], dim**-0.5, 1))


def write(path, rows):
    path.write_text("".join(" ".join([word, *map(str, values)]) + "\n" for word, values in rows))
    return str(path)


@pytest.fixture
def file(tmp_path):
    """Vectors of w0 to w30, of 8 values, and what a model should have of them."""
    found = vectors(31).vectors[:, :8]
    found[1] = found[-2:] = 1.5
    return write(tmp_path / "vectors.txt", ((f"w{number}", row.tolist()) for number, row in enumerate(found)))


def of_file(path, dim=8, words=31):
    """What a table has of a file."""
    rows = np.array([line.split()[1 : dim + 1] for line in Path(path).read_text().splitlines()][:words], float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows -= rows.mean(0)
    return torch.tensor(rows * dim**-0.5 / rows.std(), dtype=torch.float32)


def started(arch, path, *flags, task=None, **more):
    model = build(arch, *flags, task=task)
    start_embeddings(model, argparse.Namespace(embedding_init=path), task or Task())
    return model


def test_a_table_has_the_vectors_and_padding_zero():
    table, words = TableEmbedding(50, 8, 1), vectors()
    assert start(FAMILIES["conventional"], table, words) == pytest.approx(1, abs=1e-6)
    matrix = table.weight.detach()
    others = [word for word in range(50) if word != 1]
    assert torch.equal(matrix[others], expected(words)[others])
    assert not matrix[1].any()
    # Words without counts have vectors, each another.
    assert not torch.equal(matrix[48], matrix[49])
    assert matrix.std().item() == pytest.approx(8**-0.5, rel=0.1)


def test_a_narrower_module_takes_the_strongest_directions_and_the_first_words():
    table, layer, words = TableEmbedding(40, 5, 1), nn.Linear(8, 45, bias=False), vectors()
    start(FAMILIES["conventional"], table, words)
    assert torch.equal(table.weight[2:], expected(words, 5, 40)[2:])
    assert start(FAMILIES["conventional"], layer, words) == 1
    assert torch.equal(layer.weight, expected(words, 8, 45))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_every_family_comes_nearer(kind, dtype):
    torch.manual_seed(1)
    sizes = {"codes": ["--codes-num-codebooks=3", "--codes-codebook-size=8"]}.get(kind, [])
    module = build(f"transformer_{kind}", "--tie-embeddings=all", *sizes).encoder.embed_tokens
    words, wanted = vectors(), expected(vectors())
    weights = torch.from_numpy(words.frequency).float()
    before = variance_explained(module.matrix().detach(), wanted, weights)
    module.to(dtype)
    state, names = torch.get_rng_state(), [(name, id(value)) for name, value in module.named_parameters()]
    explained = start(FAMILIES[kind], module, words)
    assert explained > before + 0.3
    assert explained == pytest.approx(variance_explained(module.matrix().detach().float(), wanted, weights), abs=0.02)
    assert not module.matrix()[1].any()
    assert module.training
    assert all(parameter.dtype == dtype for parameter in module.parameters())
    # An optimizer that holds the parameters sees the new values; what is drawn after it is what was before.
    assert [(name, id(value)) for name, value in module.named_parameters()] == names
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("flags", [["--alone-fix-base"], ["--alone-free-rows=10,20x3"], ["--alone-free-rows=49"]])
def test_alone_with_rows_and_a_fixed_base(flags):
    if flags[0].startswith("--alone-fix"):
        flags = [*flags, "--alone-num-layers=2"]
    torch.manual_seed(1)
    model = build("transformer_alone", "--tie-embeddings=all", "--alone-filter=real", *flags)
    embedding, words = model.encoder.embed_tokens, vectors()
    base = embedding.o.clone()
    start(FAMILIES["alone"], embedding, words)
    if "--alone-fix-base" in flags:
        # The base is made smaller, and the matrices larger.
        torch.testing.assert_close(embedding.o * 25, base)
    elif embedding.free.bands:
        torch.testing.assert_close(embedding.matrix()[2:11], expected(words)[2:11])
        assert embedding.o.requires_grad


def test_variance_explained_by_hand():
    wanted = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    weights = torch.tensor([1.0, 1.0])
    assert variance_explained(wanted, wanted, weights) == 1
    assert variance_explained(torch.zeros(2, 2), wanted, weights) == 0
    # The error of the first word is 0.25 of a weight of 3/4; the variance is 3/4.
    found = torch.tensor([[0.5, 0.0], [-1.0, 0.0]])
    assert variance_explained(found, wanted, torch.tensor([3.0, 1.0])) == pytest.approx(1 - 0.1875 / 0.75)


def codes(**settings):
    torch.manual_seed(1)
    sizes = {"num_codebooks": 3, "codebook_size": 8, **settings}
    return CodeEmbedding(50, 8, 1, **sizes)


def distinct(embedding):
    return len(set(map(tuple, embedding.codes.tolist())))


def test_codes_are_learned_and_unique():
    embedding, words = codes(), vectors()
    random = embedding.codes.clone()
    learned = start(FAMILIES["codes"], embedding, words)
    assert not torch.equal(embedding.codes, random)
    assert distinct(embedding) == 50
    # Codes that were given stay, and then only the codebooks are fitted.
    given = codes()
    given.set_codes(random)
    of_random = start(FAMILIES["codes"], given, words)
    assert torch.equal(given.codes, random)
    assert learned > of_random + 0.2
    assert 0 < of_random < 1


def test_codes_describe_what_the_rows_leave():
    words = vectors()
    rows_only = codes(free_rows=[(4, 8), (45, 3)])
    FAMILIES["codes"].start_from(rows_only, expected(words), torch.from_numpy(words.frequency).float())
    with torch.no_grad():
        rows_only.codebooks.zero_()
    weights = torch.from_numpy(words.frequency).float()
    of_rows = variance_explained(rows_only.matrix().detach(), expected(words), weights)
    both = codes(free_rows=[(4, 8), (45, 3)])
    of_both = start(FAMILIES["codes"], both, words)
    assert of_both > of_rows + 0.1
    torch.testing.assert_close(both.matrix()[[0, 2, 3, 4]], expected(words)[[0, 2, 3, 4]])


def test_more_vectors_in_a_codebook_than_words():
    embedding = codes(codebook_size=64)
    assert start(FAMILIES["codes"], embedding, vectors()) == pytest.approx(1, abs=0.01)
    assert distinct(embedding) == 50


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("tying", "places"),
    [
        ("all", {"encoder.embed_tokens"}),
        ("decoder", {"encoder.embed_tokens", "decoder.embed_tokens"}),
        ("none", {"encoder.embed_tokens", "decoder.embed_tokens", "output"}),
    ],
)
def test_every_embedding_of_a_transformer_starts_once(kind, tying, places, file, caplog):
    sizes = {"codes": ["--codes-num-codebooks=3", "--codes-codebook-size=8"]}.get(kind, [])
    with caplog.at_level(logging.INFO):
        model = started(f"transformer_{kind}", file, f"--tie-embeddings={tying}", *sizes)
    lines = [line for line in caplog.messages if " starts with " in line]
    output = "decoder.output_projection" if kind == "conventional" else "decoder.output_embedding"
    assert {line.split(" ")[0] for line in lines} == {output if place == "output" else place for place in places}
    assert len(lines) == len(places)
    if kind == "conventional":
        assert all(" 100.0 % of the variance" in line for line in lines)
        tables = [model.encoder.embed_tokens.weight, model.decoder.embed_tokens.weight]
        for table in (*tables, model.decoder.output_projection.weight):
            torch.testing.assert_close(table[4:35], of_file(file))
            assert not torch.equal(table[40], table[41])


def test_separate_dictionaries_and_widths(tmp_path, file):
    task = Task(source=50, target=40)
    flags = ["--tie-embeddings=none", "--decoder-embed-dim=6", "--decoder-output-dim=6"]
    model = started("transformer_conventional", file, *flags, task=task)
    assert model.encoder.embed_tokens.weight.shape == (50, 8)
    assert model.decoder.embed_tokens.weight.shape == (40, 6)
    # Both begin with the same words of the file; the narrower one has the first values.
    source, target = model.encoder.embed_tokens.weight[4:35], model.decoder.embed_tokens.weight[4:35]
    torch.testing.assert_close(source, of_file(file))
    torch.testing.assert_close(target, of_file(file, dim=6))
    assert torch.equal(model.decoder.output_projection.weight[4:35], target)


def test_each_side_has_the_vectors_of_its_own_words(file):
    task = Task()
    words = task.target_dictionary
    words.symbols[4:35] = words.symbols[34:3:-1]
    words.indices = {word: number for number, word in enumerate(words.symbols)}
    model = started("transformer_conventional", file, "--tie-embeddings=decoder", task=task)
    torch.testing.assert_close(model.encoder.embed_tokens.weight[4:35], of_file(file))
    torch.testing.assert_close(model.decoder.embed_tokens.weight[4:35], of_file(file).flip(0))


SMALL = {
    "transformer_lm": ["--decoder-ffn-embed-dim=8", "--decoder-attention-heads=2", "--decoder-layers=1"],
    "lstm_lm": ["--decoder-hidden-size=8", "--decoder-layers=1"],
}


def language_model(network, kind, file, *flags, predicted=50):
    words = dictionary(50)
    target = words if predicted == 50 else TruncatedDictionary(words, predicted)
    task = argparse.Namespace(source_dictionary=words, target_dictionary=target)
    size = [*SMALL[network], "--decoder-embed-dim=8", "--tokens-per-sample=9", *SIZES.get(kind, [])]
    size += ["--codes-num-codebooks=3", "--codes-codebook-size=8"] if kind == "codes" else []
    arch = f"{network}_{kind}"
    parser = options.get_training_parser("language_modeling")
    args = options.parse_args_and_arch(
        parser, ["data", "--task=language_modeling", f"--arch={arch}", *size, *flags, f"--embedding-init={file}"]
    )
    model = ARCH_MODEL_REGISTRY[arch].build_model(args, task)
    start_embeddings(model, args, task)
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("tying", ["decoder", "none"])
def test_language_models(network, kind, tying, file, caplog):
    with caplog.at_level(logging.INFO):
        model = language_model(network, kind, file, f"--tie-embeddings={tying}")
    assert len([line for line in caplog.messages if " starts with " in line]) == (1 if tying == "decoder" else 2)
    if kind == "conventional":
        table = model.decoder.embed_tokens.weight
        assert torch.equal(model.decoder.output_projection(torch.eye(8)).t(), table) or tying == "none"
        torch.testing.assert_close(table[4:35], of_file(file))


@pytest.mark.parametrize("kind", ["conventional", "factorized"])
def test_a_smaller_output_dictionary(kind, file):
    model = language_model("transformer_lm", kind, file, "--tie-embeddings=none", predicted=30)
    output = model.decoder.output_projection(torch.eye(8)).t()
    assert output.shape == (30, 8)
    if kind == "conventional":
        # Of the vectors of 26 words, mean and scale differ.
        torch.testing.assert_close(output[4:], of_file(file, words=26))


@pytest.mark.parametrize("what", ["random", None])
def test_without_vectors_nothing_changes(what):
    model = build("transformer_conventional", "--tie-embeddings=all")
    before = model.encoder.embed_tokens.weight.clone()
    start_embeddings(model, argparse.Namespace(embedding_init=what), Task())
    start_embeddings(model, argparse.Namespace(), Task())
    assert torch.equal(model.encoder.embed_tokens.weight, before)


WIDE = ["--encoder-embed-dim=16", "--decoder-embed-dim=16"]


def test_what_is_refused(tmp_path, file):
    with pytest.raises(UserError, match=r"--embedding-init .*vectors.txt: has vectors of 8 values, the model needs 16"):
        started(
            "transformer_conventional", file, "--tie-embeddings=all", "--encoder-embed-dim=16", "--decoder-embed-dim=16"
        )
    with pytest.raises(UserError, match=r"nowhere.txt"):
        started("transformer_conventional", str(tmp_path / "nowhere.txt"), "--tie-embeddings=all")
    with pytest.raises(UserError, match="--embedding-init corpus needs --task translation or language_modeling"):
        started("transformer_conventional", "corpus", "--tie-embeddings=all")
    other = write(tmp_path / "other.txt", [("unknown", [1.0] * 8)])
    with pytest.raises(UserError, match="holds no vector for any word of the vocabulary"):
        started("transformer_conventional", other, "--tie-embeddings=all")


def test_a_file_is_read_once_for_one_dictionary(file, monkeypatch):
    reads, read = [], starting.read_word_vectors
    monkeypatch.setattr(starting, "read_word_vectors", lambda *arguments: reads.append(1) or read(*arguments))
    words = dictionary(50)
    task = argparse.Namespace(source_dictionary=words, target_dictionary=words)
    started("transformer_conventional", file, "--tie-embeddings=all", task=task)
    assert len(reads) == 1
