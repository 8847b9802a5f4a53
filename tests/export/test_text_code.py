"""The Python in READMEs splits and joins text as this package does."""

import io

import pytest

from fairseq_alone.export.text_code import example, text_code
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import TextSettings

CODES = "#version: 0.2\nd o\ndo g\ndog s</w>\nt w\ntw o</w>\nü b\n".encode()
MOSES = {"source_lang": "en", "target_lang": "de", "tokenizer": "moses", "tokenizer_lang": "en"}
BPE = {"subwords": "subword-nmt", "subword_model": CODES}
RAW = "Two dogs &  a cat's über-toy, <unk> [x]."


def sentencepiece_model():
    import sentencepiece

    model = io.BytesIO()
    text = ["two dogs are running", "a cat sleeps", "the dogs sleep"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=model, vocab_size=25, minloglevel=2, hard_vocab_limit=False
    )
    return model.getvalue()


@pytest.mark.parametrize(
    "settings",
    [
        {**MOSES, **BPE},
        {**MOSES, **BPE, "whole": ("<unk>",), "headline_text": True, "lowercase": True},
        {**MOSES, **BPE, "target_units": "characters", "headline_text": True},
        MOSES,
        BPE,
        {"subwords": "sentencepiece"},
        {},
    ],
)
def test_it_does_what_the_package_does(settings, tmp_path, monkeypatch):
    if settings.get("subwords") == "sentencepiece":
        settings = {**settings, "subword_model": sentencepiece_model()}
    text = TextSettings(**settings)
    if text.subword_model is not None:
        (tmp_path / "subwords").write_bytes(text.subword_model)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(text_code(text, "subwords").code, names)
    pipeline = TextPipeline(text, "toy")
    units = pipeline.encode(RAW).split()
    assert names["split"](RAW) == units
    output = ["d@@", "og", "&amp;", "▁x", "so", "."]
    for one in (units, output):
        assert names["join"](one) == pipeline.decode(" ".join(one))


def test_unknown_subwords_leave_units():
    code = text_code(TextSettings("en", "de", "moses", "en", "subword-nmt"), "subwords")
    names = {}
    exec(code.code, names)
    assert (names["split"]("do@@ g ."), names["join"](["do@@", "g"]), code.libraries) == (
        *(["do@@", "g", "."], "do@@ g", ()),
    )


def test_libraries_and_a_language_model():
    assert text_code(TextSettings(**MOSES, **BPE), "codes").libraries == ("sacremoses", "subword-nmt")
    assert text_code(TextSettings(), None, joins=False).code == "def split(text):\n    return text.split()"


def test_examples_are_raw_text():
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    assert example([*special, ".", "▁the", "do@@", "▁dog", "a", "cat"]) == "the dog a"
    assert example([*special, "1@@", "2"]) == "1 2"
