"""``fairseq-alone vectors``: the vectors of any model's words, its pieces joined, and what is refused."""

import json

import numpy as np
import pytest
import torch
from gensim.models import KeyedVectors
from small_models import KINDS, dictionary
from toy_checkpoints import toy_model, write_checkpoint
from toy_trained import toy_trained, with_subwords

from fairseq_alone.cli import main
from fairseq_alone.corpus.vector_reader import read_vectors
from fairseq_alone.inference import word_vectors

WORDS = [f"w{number}" for number in range(16)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for side in ("en", "de"):
        dictionary(20).save(str(tmp_path / f"data/dict.{side}.txt"))
    return tmp_path


@pytest.mark.parametrize("arch", ["transformer", "transformer_alone"])
def test_a_checkpoint(arch, data, capsys):
    def with_languages(checkpoint):
        checkpoint["cfg"]["task"] |= {"source_lang": "en", "target_lang": "de"}

    path = write_checkpoint(data / "model.pt", arch=arch, tying="none", change=with_languages)
    model, _, _ = toy_model(arch=arch, tying="none")
    model.eval()
    expected = {
        "encoder": model.encoder.embed_tokens.weight,
        "decoder": model.decoder.embed_tokens.weight,
        "output": model.decoder.output_projection.weight,
    }
    for embedding, matrix in expected.items():
        command = ["vectors", path, "--data", "data", "--embedding", embedding, "--output", f"{embedding}.bin"]
        assert main(command) == 0
        assert f"{embedding}.bin: 16 vectors of 8 values, {embedding} of " in capsys.readouterr().out
        theirs = KeyedVectors.load_word2vec_format(f"{embedding}.bin", binary=True)
        assert theirs.index_to_key == WORDS
        assert np.allclose(theirs.vectors, matrix[4:].detach().numpy(), atol=1e-6)
    assert not torch.equal(expected["decoder"], expected["output"])


def test_a_task_that_only_fairseq_knows(data, capsys):
    def other_task(checkpoint):
        checkpoint["cfg"]["task"] = {
            "_name": "translation_lev",
            "data": "gone",
            "source_lang": "en",
            "target_lang": "de",
        }
        checkpoint["cfg"]["model"].task = "translation_lev"

    path = write_checkpoint(data / "model.pt", arch="transformer", tying="two-way", change=other_task)
    command = ["vectors", path, "--embedding", "output", "--output", "out.vec"]
    assert main(command) == 1
    assert "model.pt: where is its dictionary? there is no folder gone; give --data DATA_BIN" in capsys.readouterr().err
    assert main([*command, "--data", "data"]) == 0
    model, _, _ = toy_model(arch="transformer", tying="two-way")
    assert np.allclose(read_vectors("out.vec").vectors, model.decoder.embed_tokens.weight[4:].detach().numpy())
    (data / "data/dict.de.txt").unlink()
    assert main([*command, "--data", "data"]) == 1
    assert "dict.de.txt" in capsys.readouterr().err


def opened(monkeypatch, trained):
    monkeypatch.setattr(word_vectors, "open_model", lambda path, given: trained)
    return trained


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", ["lstm_lm", "transformer_lm"])
def test_language_models_over_every_family(network, kind, tmp_path, monkeypatch):
    trained = opened(monkeypatch, toy_trained(f"{network}_{kind}", "--tie-embeddings=none"))
    decoder = trained.model.decoder
    ids = torch.arange(4, 20)
    with torch.no_grad():
        features = torch.randn(3, 8)
        logits = decoder.output_projection(features)[:, 4:]
        looked_up = decoder.embed_tokens(ids)
    found = {}
    for embedding in ("decoder", "output"):
        path = str(tmp_path / f"{embedding}.txt")
        assert main(["vectors", "toy", "--embedding", embedding, "--output", path]) == 0
        found[embedding] = torch.from_numpy(read_vectors(path).vectors)
    assert torch.allclose(found["decoder"], looked_up, atol=1e-5)
    assert torch.allclose(features @ found["output"].T, logits, atol=1e-4)


@pytest.mark.parametrize(
    "flags", [["--decoder-out-embed-dim=8"], ["--share-decoder-input-output-embed", "--decoder-out-embed-dim=8"]]
)
def test_fairseqs_own_lstm(flags, tmp_path, monkeypatch, capsys):
    decoder = opened(monkeypatch, toy_trained("lstm_lm", *flags)).model.decoder
    path = str(tmp_path / "out.txt")
    assert main(["vectors", "toy", "--embedding", "output", "--output", path]) == 0
    expected = decoder.embed_tokens if decoder.share_input_output_embed else decoder.fc_out
    assert np.allclose(read_vectors(path).vectors, expected.weight[4:].detach().numpy(), atol=1e-6)
    capsys.readouterr()
    assert main(["vectors", "toy", "--embedding", "encoder", "--output", path]) == 1
    error = capsys.readouterr().err
    assert "--embedding encoder: toy has no vectors of words there; it has decoder and output" in error


PENALTY = ["--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss"]


@pytest.mark.parametrize("flags", [["--output-layer=hierarchical"], PENALTY])
def test_other_output_layers(flags, tmp_path, monkeypatch, capsys):
    trained = toy_trained("transformer_conventional", "--tie-embeddings=none", *flags)
    decoder = opened(monkeypatch, trained).model.decoder
    path = str(tmp_path / "out.txt")
    hierarchical = "hierarchical" in flags[0]
    assert main(["vectors", "toy", "--embedding", "output", "--output", path]) == hierarchical
    if hierarchical:
        assert "has no vectors of words there; it has encoder and decoder" in capsys.readouterr().err
    else:
        features = torch.randn(3, 8)
        logits = decoder.output_projection(features)[:, 4:]
        assert torch.allclose(features @ torch.from_numpy(read_vectors(path).vectors).T, logits, atol=1e-4)


def test_whole_words_are_the_mean_of_their_pieces(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained = opened(monkeypatch, with_subwords(toy_trained("transformer_conventional", "--tie-embeddings=all")))
    (tmp_path / "words.txt").write_text("wob\nwow\n\nzebra\nwob\n")
    command = ["vectors", "toy", "--embedding", "encoder", "--output", "out.txt", "--words", "words.txt"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err == "note: 1 of words.txt have no vector: zebra\n"
    found = read_vectors("out.txt")
    assert found.words == ["wob", "wow"]
    table = trained.model.encoder.embed_tokens.weight.detach()
    index = trained.source_dictionary.index
    assert np.allclose(found.vectors[0], (table[index("wo@@")] + table[index("b")]).numpy() / 2, atol=1e-6)
    assert np.allclose(found.vectors[1], table[index("wow")].numpy(), atol=1e-6)
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": "out.txt", "words": 2, "dim": 8, "missing": ["zebra"]}
    # All entries, pieces as they are.
    assert main(command[:-2]) == 0
    assert read_vectors("out.txt").words == trained.source_dictionary.symbols[4:]


def test_characters_and_added_entries(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = opened(monkeypatch, toy_trained("transformer_conventional", "--tie-embeddings=none"))
    trained.text = word_vectors.TextSettings(target_units="characters")
    names = ["a", "b", "▁", "madeupword0000"]
    for number, name in enumerate(names, start=4):
        del trained.target_dictionary.indices[trained.target_dictionary.symbols[number]]
        trained.target_dictionary.symbols[number], trained.target_dictionary.indices[name] = name, number
    (tmp_path / "words.txt").write_text("abb\n▁\n")
    command = ["vectors", "toy", "--embedding", "decoder", "--output", "out.txt"]
    assert main([*command, "--words", "words.txt"]) == 0
    table = trained.model.decoder.embed_tokens.weight.detach()
    found = read_vectors("out.txt")
    assert found.words == ["abb"]
    assert np.allclose(found.vectors[0], ((table[4] + 2 * table[5]) / 3).numpy(), atol=1e-6)
    assert main(command) == 0
    assert read_vectors("out.txt").words == ["a", "b", "▁", *WORDS[4:]]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--output", "out.npy"], "--output out.npy: must end in .txt, .vec (text) or .bin (binary)"),
        (["--output", "words.txt", "--words", "words.txt"], "--output words.txt: would overwrite an input"),
        (["--words", "words.txt"], "words.txt, line 2: expected one word"),
        (["--words", "empty.txt"], "empty.txt: holds no word"),
        (["--words", "unknown.txt"], "unknown.txt: toy has no vector of any of its words"),
    ],
)
def test_what_is_refused(flags, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    opened(monkeypatch, toy_trained("transformer_conventional"))
    for name, text in (("words", "w1\nw2 w3\n"), ("empty", "\n"), ("unknown", "zebra\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    assert main(["vectors", "toy", "--embedding", "encoder", "--output", "out.txt", *flags]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out.txt").exists()
