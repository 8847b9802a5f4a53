"""FSMT beside fairseq: logits, files and searches."""

import json
import sys

import pytest
import torch
from fairseq_commands import generate, hypotheses
from safetensors import safe_open
from small_models import KINDS
from toy_trained import toy_trained

from fairseq_alone.errors import UserError
from fairseq_alone.export import fsmt, huggingface_export
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.checkpoint_source import read_checkpoint
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.trained_model import Decoding, TextSettings

# Importing transformers takes seconds.
pytestmark = pytest.mark.slow

TYING = {"three-way": "--share-all-embeddings", "two-way": "--share-decoder-input-output-embed", "none": None}
TABLES = ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_projection")


def toy(arch="transformer_alone", *flags, tying="three-way", **options):
    return toy_trained(arch, *filter(None, (TYING[tying], *flags)), **{"vocabulary": 16, **options})


@torch.no_grad()
def assert_same_logits(trained, model):
    """On sentences of different lengths, padded."""
    sources = torch.tensor([[4, 5, 6, 7, 8, 2], [9, 3, 2, 1, 1, 1]])
    before = torch.tensor([[2, 7, 8, 9], [2, 5, 1, 1]])
    expected, _ = trained.model(sources, sources.ne(1).sum(1), before)
    logits = model(
        input_ids=sources, attention_mask=sources.ne(1).long(), decoder_input_ids=before, use_cache=False
    ).logits
    assert expected.abs().max() > 0.1
    # What is written after padding is nothing.
    torch.testing.assert_close(logits[before.ne(1)], expected[before.ne(1)], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tying", TYING)
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_fairseqs(kind, tying):
    trained = toy(f"transformer_{kind}", tying=tying)
    assert_same_logits(trained, fsmt.fsmt_model(trained))


@pytest.mark.parametrize("tying", ["two-way", "none"])
def test_source_and_target_may_have_vocabularies_of_their_own(tying):
    trained = toy("transformer", tying=tying, vocabulary=12, target_vocabulary=20)
    model = fsmt.fsmt_model(trained)
    assert (model.config.src_vocab_size, model.config.tgt_vocab_size) == (12, 20)
    assert_same_logits(trained, model)


@pytest.mark.parametrize(
    "flags",
    [
        ["--no-scale-embedding"],
        ["--encoder-layers=1", "--decoder-attention-heads=4", "--encoder-ffn-embed-dim=20"],
        # The square matrix is folded into the rows of the output.
        ["--output-projection-regularization=0.15", "--criterion=cross_entropy_with_augmented_loss"],
        *([f"--activation-fn={name}"] for name in fsmt._ACTIVATIONS),
    ],
)
def test_other_settings_of_the_network(flags):
    arch, tying = ("transformer_conventional", "none") if "projection" in flags[0] else ("transformer", "three-way")
    trained = toy(arch, *flags, tying=tying)
    assert_same_logits(trained, fsmt.fsmt_model(trained))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--encoder-normalize-before"], "before each block .--encoder-normalize-before."),
        (["--decoder-normalize-before"], "before each block .--decoder-normalize-before."),
        (["--decoder-learned-pos"], "learned its positions .--decoder-learned-pos."),
        (["--no-token-positional-embeddings"], "knows no positions"),
        (["--layernorm-embedding"], "normalises its embeddings"),
        (["--no-cross-attention"], "another attention to the source"),
        (["--cross-self-attention"], "another attention to the source"),
        (["--decoder-output-dim=6"], "more than one size of vectors .*--decoder-output-dim 6"),
        (["--encoder-embed-dim=12"], "more than one size of vectors .--encoder-embed-dim 12, --decoder-embed-dim 8"),
    ],
)
def test_what_fsmt_has_not_is_refused(flags, words):
    with pytest.raises(UserError, match=f"^toy: .*{words}.*, which Hugging Face's FSMT has not"):
        fsmt.fsmt_model(toy("transformer_conventional", *flags, tying="none"))


def test_language_models_and_length_encodings_are_refused():
    with pytest.raises(UserError, match="toy: is a language model"):
        fsmt.fsmt_model(toy_trained("transformer_lm_alone"))
    lengths = toy("transformer_length_duc", "--length-encoding=ldpe", tying="none", task="headline_generation")
    with pytest.raises(UserError, match="--length-encoding ldpe, which no other tool has"):
        fsmt.fsmt_model(lengths)


def exported(trained, folder, kind=None):
    folder.mkdir()
    huggingface_export.write(trained, folder, ExportOptions(quantization=kind))
    return folder


@pytest.mark.parametrize("tying", TYING)
def test_what_is_read_is_what_was_written(tmp_path, tying):
    trained = toy(tying=tying)
    written = fsmt.fsmt_model(trained)
    folder = exported(trained, tmp_path / "out")
    read = huggingface_export._load(folder)
    assert_same_logits(trained, read)
    before, after = written.state_dict(), read.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with safe_open(folder / "model.safetensors", "pt") as file:
        tables = [name for name in file.keys() if name.removeprefix("model.").removesuffix(".weight") in TABLES]  # noqa: SIM118
    assert len(tables) == (1 if tying == "three-way" else 3)
    # Readable by all, as the other files.
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


def test_half_precision(tmp_path):
    trained = toy()
    single, half = exported(trained, tmp_path / "fp32"), exported(trained, tmp_path / "fp16", "fp16")
    read, model = huggingface_export._load(half), fsmt.fsmt_model(trained)
    assert json.loads((half / "config.json").read_text())["dtype"] == "float16"
    assert (half / "model.safetensors").stat().st_size < 0.7 * (single / "model.safetensors").stat().st_size
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.half().float(), read.state_dict()[name]), name


def test_what_cannot_be_written_is_refused(tmp_path):
    trained = toy()
    with pytest.raises(UserError, match="--quantization int3: --to huggingface knows fp32 and fp16"):
        huggingface_export.write(trained, tmp_path, ExportOptions(quantization="int3"))
    trained.text = TextSettings(subwords="subword-nmt")
    with pytest.raises(UserError, match="toy: is without its subwords; give --bpe-codes or --sentencepiece"):
        huggingface_export.write(trained, tmp_path, ExportOptions())
    trained.text = TextSettings()
    trained.model.decoder.layers[1].fc1.bias.data[3] = 1e5
    with pytest.raises(UserError, match="toy: model.decoder.layers.1.fc1.bias has values that fp16 cannot hold"):
        huggingface_export.write(trained, tmp_path, ExportOptions(quantization="fp16"))
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_fairseqs_search(tmp_path):
    trained = toy()
    trained.decoding = Decoding(beam=3, lenpen=0.5, max_len_a=0.5, max_len_b=7)
    settings = json.loads((exported(trained, tmp_path / "out") / "generation_config.json").read_text())
    expected = {"num_beams": 3, "length_penalty": 0.5, "early_stopping": True, "min_new_tokens": 1}
    expected |= {"decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "suppress_tokens": [1]}
    # Half of the longest source, 40, and 7; the symbols at both ends.
    expected |= {"max_length": 29, "forced_eos_token_id": 2}
    assert {name: settings[name] for name in expected} == expected


@pytest.mark.parametrize(
    "search",
    [
        Search(beam=1, lenpen=1.0, sentences=2, max_len_a=0.0, max_len_b=8),
        Search(beam=4, lenpen=0.3, sentences=3, max_len_a=1.0, max_len_b=2, nbest=3),
        # The table has 16 rows, and padding is never written.
        Search(beam=30, lenpen=2.0, sentences=8, max_len_a=0.0, max_len_b=3),
    ],
)
def test_the_search_is_fairseqs(tmp_path, search):
    """Toy models know no end: most of these hypotheses are cut."""
    sources = ["w1 w2 w3", "w4", "w5 w6 w0 w9 w9 w8", "w7 nowhere w7", "w2"]
    for seed in (1, 2):
        trained = toy(seed=seed)
        backend = huggingface_export.open_backend(trained, exported(trained, tmp_path / str(seed)))
        done = []
        found = backend.decode(sources, search, done.append)
        expected = FairseqBackend(trained).decode(sources, search)
        assert [[one.units for one in best] for best in found] == [[one.units for one in best] for best in expected]
        for best, others in zip(found, expected, strict=True):
            assert [one.score for one in best] == pytest.approx([one.score for one in others], abs=1e-5)
        assert sum(done) == len(sources)
        assert backend.max_source_units == 39


def test_a_trained_model_gives_the_same_hypotheses(tmp_path, trained, data, corpus):
    checkpoint = str(trained / "checkpoint_best.pt")
    model = read_checkpoint(checkpoint, str(data))
    backend = huggingface_export.open_backend(model, exported(model, tmp_path / "out"))
    sources = (corpus / "test.en").read_text().splitlines()
    found = backend.decode(sources, Search(beam=4, lenpen=1.0, sentences=16, max_len_a=0.0, max_len_b=200))
    expected = hypotheses(generate(data, [checkpoint]).stdout)
    assert [best[0].units for best in found] == [expected[number] for number in range(len(sources))]


def test_a_library_that_is_missing_or_broken_gets_a_sentence(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "transformers", None)
        with pytest.raises(UserError, match="needs the library transformers: pip install transformers$"):
            fsmt.import_fsmt()
    other = fsmt._import_problem(RuntimeError("of something else"))
    assert other == "--to huggingface: the library transformers cannot be imported (of something else)"
    (tmp_path / "torchaudio.py").write_text("raise OSError('libtorchaudio.so: undefined symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    assert "pip uninstall torchaudio" in fsmt._import_problem(RuntimeError("Could not load libtorchaudio"))


def test_language_models_have_no_scorer_here(tmp_path):
    with pytest.raises(UserError, match="toy: is a language model"):
        huggingface_export.open_scorer(toy_trained("lstm_lm"), tmp_path)
