"""Models exported to CTranslate2 do what fairseq does, and are refused where they could not."""

import dataclasses
import json
import re

import numpy
import pytest
import torch
from small_models import KINDS
from toy_trained import toy_trained, with_subwords

from fairseq_alone.errors import UserError
from fairseq_alone.export import ctranslate2_export
from fairseq_alone.export.ctranslate2_export import QUANTIZATIONS, open_backend, open_scorer, write
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.fairseq_scorer import FairseqScorer
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import Decoding, TextSettings

ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")

TYINGS = {"three-way": ["--share-all-embeddings"], "two-way": ["--share-decoder-input-output-embed"], "none": []}
PRE_NORM = ["--encoder-normalize-before", "--decoder-normalize-before"]
SOURCES = ["w1 w2 w3", "w4", "w9 w9 w2 w14 w1 w5 w3", "w7 w1", "unseen w2 w8 w8"]
SEARCH = Search(beam=3, lenpen=1.0, sentences=2, max_len_a=1.0, max_len_b=3, nbest=2)


def toy(arch, *flags, **options):
    """A model whose padding is unlikely, as training makes it, and which prefers some words to others."""
    trained = toy_trained(arch, *flags, **options)
    decoder = trained.model.decoder
    with torch.no_grad():
        norm = decoder.layer_norm or decoder.layers[-1].final_layer_norm
        norm.weight.mul_(4)
        norm.bias.mul_(4)
        for name, tensor in trained.model.named_parameters():
            if name.endswith(("embed_tokens.weight", "output_projection.weight")):
                tensor[trained.target_dictionary.pad()] = 0
    return trained


def export(trained, folder, **options):
    folder.mkdir()
    write(trained, folder, ExportOptions(**options))
    return folder


def assert_same(trained, folder, sources=SOURCES, search=SEARCH, tolerance=1e-5):
    expected = FairseqBackend(trained).decode(sources, search)
    found = open_backend(trained, folder).decode(sources, search)
    assert [best[0].units for best in found] == [best[0].units for best in expected]
    assert len({best[0].units for best in found}) > 1
    for one, other in zip(found, expected, strict=True):
        assert one[0].score == pytest.approx(other[0].score, abs=tolerance, rel=1e-5)


@pytest.mark.parametrize("tying", TYINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_family_and_tying(kind, tying, tmp_path):
    vocabularies = {} if tying == "three-way" else {"target_vocabulary": 24}
    # The first seed's tensors write nothing here, or have two hypotheses of nearly one score.
    seed = 3 if tying == "two-way" and kind in ("differentiated", "char_cnn") else 1
    trained = toy(f"transformer_{kind}", *TYINGS[tying], seed=seed, **vocabularies)
    assert_same(trained, export(trained, tmp_path / "out"))


@pytest.mark.parametrize(
    "flags",
    [
        PRE_NORM,
        [*PRE_NORM, "--no-decoder-final-norm"],
        ["--encoder-layers=1", "--decoder-layers=3"],
        ["--encoder-learned-pos", "--decoder-learned-pos"],
        ["--layernorm-embedding"],
        ["--no-scale-embedding"],
        ["--activation-fn=gelu"],
        ["--activation-fn=gelu_accurate"],
        ["--activation-fn=tanh"],
    ],
    ids=" ".join,
)
def test_every_form_of_network(flags, tmp_path):
    trained = toy("transformer", *flags)
    assert_same(trained, export(trained, tmp_path / "out"), tolerance=1e-4 if "gelu" in str(flags) else 1e-5)


@pytest.mark.parametrize(
    ("arch", "flags", "words"),
    [
        (
            "transformer",
            ["--encoder-normalize-before"],
            "--encoder-normalize-before is True and --decoder-n.* is False",
        ),
        ("transformer", ["--decoder-attention-heads=4"], "--encoder-attention-heads is 2 and --decoder-.* is 4"),
        ("transformer", ["--activation-fn=linear"], "--activation-fn linear; CTranslate2 has relu, gelu"),
        ("transformer", ["--no-token-positional-embeddings"], "--no-token-positional-embeddings, which CTranslate2"),
        ("transformer", ["--no-cross-attention"], "--no-cross-attention, which CTranslate2 does not have"),
        ("transformer", ["--cross-self-attention"], "--cross-self-attention, which CTranslate2 does not have"),
        ("transformer", ["--decoder-output-dim=6"], "only one of --decoder-input-dim and --decoder-output-dim"),
        ("transformer_alone_duc", ["--length-encoding=lrpe"], "--length-encoding lrpe, which no other tool has"),
        ("lstm_lm_alone", [], "is an LSTM, and CTranslate2 has only Transformers"),
        ("transformer_lm", ["--scale-heads"], "--scale-heads, which CTranslate2 does not have"),
    ],
)
def test_what_it_cannot_hold_is_refused(arch, flags, words, tmp_path):
    task = {"task": "headline_generation"} if arch.endswith("duc") else {}
    with pytest.raises(UserError, match=words):
        write(toy_trained(arch, *flags, **task), tmp_path, ExportOptions())
    assert not list(tmp_path.iterdir())


def test_tensors_that_nothing_reads_are_refused(tmp_path):
    from fairseq_alone.export.ctranslate2_spec import translation_spec
    from fairseq_alone.export.stock import build_stock

    model, stock = build_stock(toy_trained("transformer"))
    model.encoder.extra = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(UserError, match=r"has tensors that CTranslate2 does not know \(\d+ numbers, and it takes"):
        translation_spec("toy", model, stock.config["model"], (9, 9))


def test_a_word_by_the_name_of_padding_is_refused(tmp_path):
    trained = toy_trained("transformer")
    trained.target_dictionary.symbols[7] = "<blank>"
    with pytest.raises(UserError, match="its dictionary has a word <blank>"):
        write(trained, tmp_path, ExportOptions())


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_type_of_numbers(quantization, tmp_path):
    trained = toy_trained("transformer_alone", *TYINGS["three-way"])
    folder = export(trained, tmp_path / "out", quantization=quantization)
    expected = FairseqBackend(trained).decode(SOURCES, SEARCH)
    found = open_backend(trained, folder).decode(SOURCES, SEARCH)
    differences = [abs(one[0].score - other[0].score) for one, other in zip(found, expected, strict=True)]
    assert (max(differences) < 1e-5) == (quantization == "float32")
    assert max(differences) < 0.6  # of a model with random tensors


def test_bytes_of_every_type(tmp_path):
    trained = toy_trained("transformer_conventional", *TYINGS["three-way"], vocabulary=2000)
    trained.decoding = Decoding(max_len_b=3)
    bits = {"float32": 32, "float16": 16, "bfloat16": 16, "int16": 16}
    for quantization in QUANTIZATIONS:
        folder = export(trained, tmp_path / quantization, quantization=quantization, max_input_length=2)
        # The table of 2,000 x 8 is nearly all; 8 bits have a scale a row besides.
        scales = 4 * 2000 if "int8" in quantization else 0
        table = 2000 * 8 * bits.get(quantization, 8) // 8 + scales
        assert table < (folder / "model.bin").stat().st_size < table + 16_000


def test_an_unknown_type_is_refused(tmp_path):
    with pytest.raises(UserError, match="--quantization int4: CTranslate2 has float32, float16, bfloat16, int16, int8"):
        write(toy_trained("transformer"), tmp_path, ExportOptions(quantization="int4"))


def test_a_tied_table_is_stored_once(tmp_path):
    words, dim = 400, 8
    sizes = {}
    for tying, flags in TYINGS.items():
        trained = toy_trained("transformer", *flags, vocabulary=words)
        sizes[tying] = (export(trained, tmp_path / tying) / "model.bin").stat().st_size
    # A few bytes more are names and shapes.
    table = words * dim * 4
    assert sizes["two-way"] - sizes["three-way"] == pytest.approx(table, abs=200)
    assert sizes["none"] - sizes["two-way"] == pytest.approx(table, abs=200)


@pytest.mark.parametrize("learned", [[], ["--encoder-learned-pos", "--decoder-learned-pos"]], ids=["fixed", "learned"])
def test_cut_positions(learned, tmp_path):
    trained = toy("transformer_conventional", *learned)
    trained.decoding = Decoding(max_len_a=1.0, max_len_b=4)
    whole = export(trained, tmp_path / "whole")
    cut = export(trained, tmp_path / "cut", max_input_length=8)
    # 8 units with the end symbol; 1 * 8 + 4 units and the end symbol are the longest output.
    settings = json.loads((cut / "fairseq_alone.json").read_text())
    assert (settings["max_input_length"], settings["max_output_length"]) == (8, 13)
    rows = (40 + 40 if learned else 40) - (8 + 13)
    saved = (whole / "model.bin").stat().st_size - (cut / "model.bin").stat().st_size
    assert saved == pytest.approx(rows * 8 * 4, abs=100)
    assert_same(trained, cut)
    backend = open_backend(trained, cut)
    assert backend.max_source_units == 7
    backend.decode(["w1 " * 7], SEARCH)
    with pytest.raises(UserError, match=r"sentence 2 has 8 units, and its positions end at 7; .*--max-input-length"):
        backend.decode(["w1", "w1 " * 8], SEARCH)
    # CTranslate2 itself makes an error of it, never a wrong number.
    translator = ctranslate2.Translator(str(cut), intra_threads=1)
    with pytest.raises(RuntimeError, match="No position encodings are defined for positions >= 8"):
        translator.translate_batch([["w1"] * 8], max_input_length=0, max_decoding_length=3)
    with pytest.raises(RuntimeError, match="No position encodings are defined for positions >= 13"):
        translator.translate_batch([["w1"]], min_decoding_length=20, max_decoding_length=30)
    # A longer output than the rows allow ends with them.
    longest = backend.decode(SOURCES, dataclasses.replace(SEARCH, max_len_b=200))
    assert max(len(best[0].units.split()) for best in longest) <= 12


@pytest.mark.parametrize("length", [1, 41])
def test_a_length_out_of_range_is_refused(length, tmp_path):
    with pytest.raises(UserError, match=f"--max-input-length {length}: must be between 2 and 40"):
        write(toy_trained("transformer"), tmp_path, ExportOptions(max_input_length=length))


def prefer(trained, symbol, weight):
    """Make the output layer of an untied model like one symbol."""
    with torch.no_grad():
        trained.model.decoder.layers[-1].final_layer_norm.bias.fill_(1.0)
        trained.model.decoder.output_projection.weight[symbol] = weight
    return trained


def test_padding_is_never_written(tmp_path):
    trained = prefer(toy_trained("transformer"), 1, 2.0)
    folder = export(trained, tmp_path / "out")
    units = [["w1", "w2"]]
    plain = ctranslate2.Translator(str(folder), intra_threads=1).translate_batch(units, max_decoding_length=4)
    assert "<blank>" in plain[0].hypotheses[0]
    expected = FairseqBackend(trained).decode(SOURCES, dataclasses.replace(SEARCH, nbest=3))
    scores = {hypothesis.units: hypothesis.score for best in expected for hypothesis in best}
    found = [best[0] for best in open_backend(trained, folder).decode(SOURCES, SEARCH)]
    assert not any("<blank>" in hypothesis.units or "<pad>" in hypothesis.units for hypothesis in found)
    # Padding is so likely that the two rank differently; but a hypothesis of both has the same score.
    common = [hypothesis for hypothesis in found if hypothesis.units in scores]
    assert common
    for hypothesis in common:
        assert hypothesis.score == pytest.approx(scores[hypothesis.units], abs=1e-5)


@pytest.mark.parametrize("lenpen", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("beam", [1, 4])
def test_search_stops_as_fairseq_does(beam, lenpen, tmp_path):
    # An end symbol that is likely at once, so that the shortest outputs compete with long ones.
    trained = prefer(toy("transformer", seed=5), 2, 1.0)
    sources = [f"w{one} w{other}" for one in range(1, 15) for other in (3, 9)]
    search = Search(beam, lenpen, 8, 0.0, 12, nbest=beam)
    assert_same(trained, export(trained, tmp_path / "out"), sources, search)


@pytest.mark.parametrize("tying", ["all", "decoder", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_language_models_score_as_fairseq_does(kind, tying, tmp_path):
    trained = toy_trained(f"transformer_lm_{kind}", f"--tie-embeddings={tying}")
    scorer = open_scorer(trained, export(trained, tmp_path / "out"))
    texts = ["w1 w2 w3", "w4", "w9 unseen w2 w14 w1"]
    found = scorer.score(texts)
    assert [len(scores) for scores in found] == [4, 2, 6]
    for text, scores in zip(texts, found, strict=True):
        ids = trained.target_dictionary.encode_line(text, add_if_not_exist=False).long()
        with torch.no_grad():
            logits = trained.model(torch.cat([ids[-1:], ids[:-1]])[None])[0][0]
        expected = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
        assert scores == pytest.approx(expected.tolist(), abs=1e-4)
    assert found[2] == pytest.approx(FairseqScorer(trained).score(texts)[2], abs=1e-4)


@pytest.mark.parametrize(
    "flags",
    [
        ["--decoder-normalize-before"],
        ["--decoder-normalize-before", "--no-decoder-final-norm"],
        ["--decoder-learned-pos", "--decoder-layers=3"],
        ["--add-bos-token"],
        ["--decoder-input-dim=6", "--decoder-output-dim=6"],
    ],
    ids=" ".join,
)
def test_forms_of_language_models(flags, tmp_path):
    trained = toy_trained("transformer_lm", *flags)
    texts = ["w1 w2 w3", "w4"]
    found = open_scorer(trained, export(trained, tmp_path / "out")).score(texts)
    expected = FairseqScorer(trained).score(texts)
    assert numpy.concatenate(found) == pytest.approx(numpy.concatenate(expected), abs=1e-4)


def test_a_text_beyond_the_positions_is_refused(tmp_path):
    trained = toy_trained("transformer_lm")
    folder = export(trained, tmp_path / "out", max_input_length=5)
    scorer = open_scorer(trained, folder)
    assert len(scorer.score(["w1 w2 w3 w4"])[0]) == 5
    with pytest.raises(UserError, match="text 2 has 5 units, and its positions end at 4"):
        scorer.score(["w1", "w1 w2 w3 w4 w5"])
    with pytest.raises(RuntimeError, match="No position encodings are defined"):
        ctranslate2.Generator(str(folder)).score_batch([["</s>", *["w1"] * 5, "</s>"]], max_input_length=0)


@pytest.mark.parametrize("arch", ["transformer_alone", "transformer_lm"])
def test_the_code_of_the_readme_runs(arch, tmp_path, monkeypatch, capsys):
    trained = toy_trained(arch)
    trained.decoding = Decoding(max_len_b=6, beam=2)
    folder = export(trained, tmp_path / "out", quantization="int8")
    text = (folder / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    monkeypatch.chdir(folder)
    exec(code, {})
    printed = capsys.readouterr().out.strip()
    if arch == "transformer_lm":
        assert float(printed) == pytest.approx(sum(open_scorer(trained, folder).score(["w0 w1 w2"])[0]), abs=1e-4)
    else:
        assert printed == open_backend(trained, folder).decode(["w0 w1 w2"], Search(2, 1.0, 1, 0.0, 6))[0][0].units
    assert "int8" in text


def test_the_code_of_the_readme_starts_from_text(tmp_path, monkeypatch, capsys):
    trained = with_subwords(toy("transformer_alone"))
    trained.decoding = Decoding(max_len_b=8, beam=2)
    folder = export(trained, tmp_path / "out")
    text = (folder / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert 'split("wow b o")' in code
    monkeypatch.chdir(folder)
    exec(code.replace('"wow b o"', '"Wob\'s wow wob."'), {})
    printed = capsys.readouterr().out.rstrip("\n")
    pipeline = TextPipeline(trained.text, "toy")
    units = pipeline.encode("Wob's wow wob.")
    assert units.split()[-4:] == ["wow", "wo@@", "b", "."]
    best = open_backend(trained, folder).decode([units], Search(2, 1.0, 1, 0.0, 8))[0][0]
    assert printed == pipeline.decode(best.units)
    assert "pip install ctranslate2 sacremoses subword-nmt" in text


def test_text_settings_and_decoding_travel(tmp_path):
    from fairseq_alone.inference.ctranslate2_backend import open_ctranslate2

    trained = toy_trained("transformer")
    trained.text = TextSettings("en", "de", "moses", "en", "subword-nmt", "#version: 0.2\nö w\n".encode(), ("<unk>",))
    trained.decoding = Decoding(beam=7, lenpen=0.6, max_len_b=9)
    text, decoding, _ = open_ctranslate2(str(export(trained, tmp_path / "out")), threads=1)
    assert (text, decoding) == (trained.text, trained.decoding)


def test_a_missing_library_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "ctranslate2", None)
    with pytest.raises(UserError, match="needs the library ctranslate2: pip install ctranslate2$"):
        ctranslate2_export.write(toy_trained("transformer"), tmp_path, ExportOptions())
