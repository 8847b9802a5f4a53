"""Compact files: round trips of every kind of model, bytes, and files that are refused."""

import json

import pytest
import torch
from small_models import KINDS
from toy_trained import toy_trained

from fairseq_alone import __version__
from fairseq_alone.errors import UserError
from fairseq_alone.export import compact_export
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.compact_source import read_compact
from fairseq_alone.inference.opening import Given, open_model
from fairseq_alone.inference.trained_model import TextSettings
from fairseq_alone.modules.compact_file import (
    bytes_under,
    compact_bytes,
    is_safetensors,
    read_compact_file,
    read_metadata,
)

SOURCE, LENGTHS = torch.tensor([[5, 6, 7, 2], [8, 9, 2, 1]]), torch.tensor([4, 3])
TARGET = torch.tensor([[2, 5, 6], [2, 7, 8]])
SHARED = {"all": "--share-all-embeddings", "decoder": "--share-decoder-input-output-embed", "none": None}
REGULARIZED = ("--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss")


def models():
    for network in ("transformer_{}", "transformer_lm_{}", "lstm_lm_{}", "transformer_{}_duc"):
        for kind in KINDS:
            for tying in ("all", "decoder", "none") if "lm" not in network else ("decoder", "none"):
                name = network.format(kind)
                name = {"transformer_conventional_duc": "transformer_length_duc"}.get(name, name)
                yield pytest.param(name, (f"--tie-embeddings={tying}",), id=f"{name}-{tying}")
    rows = ("--tie-embeddings=all", "--alone-free-rows=3,4x2")
    yield pytest.param("transformer_alone", rows, id="rows")
    yield pytest.param("transformer_alone", ("--tie-embeddings=none", *REGULARIZED), id="regularized")
    for stock in ("transformer", "transformer_lm", "lstm_lm"):
        for tying in ("decoder", "none"):
            yield pytest.param(stock, (SHARED[tying],) if SHARED[tying] else (), id=f"{stock}-{tying}")


def build(arch, flags=(), **sizes):
    if "_codes" in arch:
        flags = (*flags, "--codes-num-codebooks=3")  # unique for up to 64 words
    if arch == "lstm_lm":
        flags = (*flags, "--decoder-out-embed-dim=8")
    if arch.endswith("_duc"):
        return toy_trained(arch, *flags, task="headline_generation", **sizes)
    return toy_trained(arch, *flags, **sizes)


@torch.no_grad()
def logits(trained):
    model = trained.model
    if trained.kind == "language_model":
        return model(TARGET)[0]
    if trained.kind == "headlines":
        encoded = model.encoder(SOURCE, LENGTHS, target_lengths=torch.tensor([3, 2]))
        return model.decoder(TARGET, encoder_out=encoded)[0]
    return model(SOURCE, LENGTHS, TARGET)[0]


def written(trained, path, quantization=None, embedding_quantization=None):
    compact_export.write(trained, path, ExportOptions(quantization, embedding_quantization))
    return path


@pytest.mark.parametrize(("arch", "flags"), list(models()))
def test_float32_gives_the_same_logits_bit_for_bit(arch, flags, tmp_path):
    trained = build(arch, flags)
    read = open_model(str(written(trained, tmp_path / "model.safetensors", "fp32")))
    assert torch.equal(logits(read), logits(trained))
    assert (read.kind, read.config, read.text, read.decoding) == (
        *(trained.kind, trained.config, trained.text, trained.decoding),
    )
    assert read.target_dictionary.symbols == trained.target_dictionary.symbols
    assert read.target_dictionary.count == trained.target_dictionary.count
    assert (read.source_dictionary is None) == (trained.source_dictionary is None)
    # Written again, it is the same file.
    again = written(read, tmp_path / "again.safetensors", "fp32")
    assert again.read_bytes() == (tmp_path / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("quantization", "close"), [("fp16", 2e-2), ("int8", 0.3), ("int4", 4.0)])
def test_fewer_bits_give_similar_logits(quantization, close, tmp_path):
    trained = build("transformer_alone", ("--tie-embeddings=all",))
    read = read_compact(str(written(trained, tmp_path / "model", quantization)))
    difference = (logits(read) - logits(trained)).abs().max().item()
    assert close / 100 < difference < close


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_computed_is_not_there_and_a_table_is_there_once(kind, tmp_path):
    path = written(build(f"transformer_{kind}", ("--tie-embeddings=all",), vocabulary=50), tmp_path / "model", "fp32")
    # D_e is 8. ALONE: o, w1, w2 and the fingerprint; a factor and its projection; codebooks and 2 codes of 2 bits.
    expected = {
        "alone": (8 + 2 * 12 * 8) * 4 + 43 * 8,
        "conventional": 50 * 8 * 4,
        "factorized": (50 + 8) * 3 * 4,
        "codes": 0,
        # Blocks of 8 x 5, 16 x 2 and 26 x 1.
        "differentiated": (8 * 5 + 16 * 2 + 26) * 4,
        # Three products of (8, 3) and (7, 3), and two whole numbers.
        "tensor_product": 3 * (8 + 7) * 3 * 4 + 2 * 8,
    }
    found = compact_bytes(path)
    if kind == "codes":
        trained = build(f"transformer_{kind}", ("--tie-embeddings=all",), vocabulary=50)
        codes, codebooks = (trained.model.state_dict()[f"encoder.embed_tokens.{n}"] for n in ("codes", "codebooks"))
        bits = int(codes.max()).bit_length()
        expected[kind] = codebooks.numel() * 4 + (codes.numel() * bits + 7) // 8
    assert found["embedding"] == expected[kind]
    assert sum(found.values()) == path.stat().st_size


@pytest.mark.parametrize("quantization", ["fp32", "fp16", "int8", "int4"])
@pytest.mark.parametrize("arch", ["transformer_alone", "transformer_conventional", "lstm_lm_codes", "transformer"])
def test_bytes_are_known_before(arch, quantization, tmp_path):
    trained = build(arch, vocabulary=50)
    known = bytes_under(trained.model.state_dict(), quantization, "int4")
    found = compact_bytes(written(trained, tmp_path / "model", quantization, "int4"))
    assert {**known, "metadata": found["metadata"]} == found


def test_embeddings_of_their_own_quantization(tmp_path):
    trained = build("transformer_conventional", ("--tie-embeddings=none",))
    schemes = json.loads(read_metadata(written(trained, tmp_path / "model", "int8", "int4"))["tensors"])
    fours = {name for name, scheme in schemes.items() if scheme["scheme"] == "int4"}
    modules = ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_projection")
    assert fours == {f"{module}.weight" for module in modules}
    assert schemes["encoder.layers.0.fc1.weight"] == {"scheme": "int8", "shape": [12, 8]}
    assert schemes["encoder.layers.0.fc1.bias"] == {"scheme": "fp16"}


def test_half_precision_unless_told_otherwise(tmp_path):
    schemes = json.loads(read_metadata(written(build("transformer_alone"), tmp_path / "model"))["tensors"])
    assert schemes["encoder.layers.0.fc1.weight"] == {"scheme": "fp16"}


def test_two_dictionaries(tmp_path):
    trained = build("transformer_alone", ("--tie-embeddings=none",), vocabulary=30, target_vocabulary=20)
    path = written(trained, tmp_path / "model", "fp32")
    read = read_compact(str(path))
    assert (len(read.source_dictionary), len(read.target_dictionary)) == (30, 20)
    assert torch.equal(logits(read), logits(trained))
    joined = read_metadata(written(build("transformer_alone"), tmp_path / "joined"))
    assert ("source_dictionary" in joined, "source_dictionary" in read_metadata(path)) == (False, True)
    assert joined["target_dictionary"].startswith("w0 1\nw1 1\n")
    assert (joined["package_version"], joined["format_version"]) == (__version__, "1")


def test_words_that_are_symbols_stay_apart(tmp_path):
    trained = build("transformer_lm_alone", vocabulary=20)
    dictionary = trained.target_dictionary
    dictionary.symbols[7], dictionary.count[7] = "<unk>", 5
    dictionary.indices["<unk>"] = 7
    read = read_compact(str(written(trained, tmp_path / "model", "fp32"))).target_dictionary
    assert (read.symbols, read.count, read.indices["<unk>"]) == (dictionary.symbols, dictionary.count, 7)


def test_the_subword_model_is_given_apart(tmp_path):
    trained = build("transformer_alone")
    trained.text = TextSettings("en", "de", "moses", "en", "subword-nmt", b"#version: 0.2\na b\n", ("<unk>",))
    path = str(written(trained, tmp_path / "model.safetensors"))
    assert open_model(path).text == TextSettings("en", "de", "moses", "en", "subword-nmt", None, ("<unk>",))
    given = TextSettings(subwords="subword-nmt", subword_model=trained.text.subword_model)
    assert open_model(path, Given(text=given)).text == trained.text
    with pytest.raises(UserError, match="its subwords are subword-nmt, but the model of sentencepiece was given"):
        open_model(path, Given(text=TextSettings(subwords="sentencepiece", subword_model=b"x")))


@pytest.mark.slow
def test_every_flipped_byte_and_every_cut_is_noticed(tmp_path):
    path = written(build("transformer_factorized", ("--tie-embeddings=all",)), tmp_path / "model.safetensors", "int4")
    whole = path.read_bytes()
    for at in [*range(200), *range(200, len(whole), 97)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"model\.safetensors: (is|has)"):
            read_compact_file(path)
    for size in (0, 5, 8, 9, 500, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"model\.safetensors: is"):
            read_compact_file(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(UserError, match="is damaged"):
        read_compact_file(path)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    from safetensors.torch import save_file

    foreign = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"x": torch.ones(2)}, foreign, metadata)
        with pytest.raises(UserError, match=r"foreign\.safetensors: is a safetensors file, but none that"):
            open_model(str(foreign))
    with pytest.raises(UserError, match=r"no\.safetensors: there is no such file"):
        read_compact_file(tmp_path / "no.safetensors")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        read_compact_file(tmp_path)
    path = written(build("transformer_alone"), tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes().replace(b'"format_version":"1"', b'"format_version":"2"'))
    for read in (read_compact_file, compact_bytes):
        with pytest.raises(UserError, match=r"model\.safetensors: has version 2 of the format.* reads version 1"):
            read(path)


def test_a_file_is_known_by_its_beginning(tmp_path):
    path = written(build("transformer_alone"), tmp_path / "model")
    assert is_safetensors(path)
    assert open_model(str(path)).kind == "translation"
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"a": torch.ones(2)}, checkpoint)
    (tmp_path / "empty").touch()
    assert not is_safetensors(checkpoint)
    assert not is_safetensors(tmp_path / "empty")


def test_numbers_that_are_not_finite_and_unknown_types_leave_nothing(tmp_path):
    trained = build("transformer_alone")
    with pytest.raises(UserError, match="--embedding-quantization must be one of fp32, fp16, int8, int4 for"):
        written(trained, tmp_path / "model", "int8", "int2")
    trained.model.encoder.layers[0].fc1.bias.data[1] = float("nan")
    with pytest.raises(UserError, match=r"encoder\.layers\.0\.fc1\.bias holds a value that is not a finite number"):
        written(trained, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_other_filters_are_refused(tmp_path, monkeypatch):
    trained = build("transformer_alone")
    trained.config["model"]["alone_seed"] = 2
    path = written(trained, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="seed is 1 in the checkpoint and 2 in the model"):
        read_compact(str(path))


def test_what_was_written_translates(tmp_path):
    from fairseq_alone.inference.backend import Search
    from fairseq_alone.inference.fairseq_backend import FairseqBackend

    trained = build("transformer_alone", ("--tie-embeddings=all",))
    path = written(trained, tmp_path / "model", "fp32")
    search = Search(beam=2, lenpen=1.0, sentences=2, max_len_a=0.0, max_len_b=5)
    sources = ["w1 w2 w3", "w4"]
    expected = FairseqBackend(trained).decode(sources, search)
    assert compact_export.open_backend(trained, path).decode(sources, search) == expected
