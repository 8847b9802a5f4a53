"""Raw text to units and back: the same as the recipes do it, file by file."""

import pytest
from recipes.corpora import awkward_corpus, tsv_corpus
from recipes.served import serve_fairseq

from fairseq_alone.cli import main
from fairseq_alone.errors import UserError
from fairseq_alone.inference.run_source import text_settings
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import TextSettings
from fairseq_alone.recipes.work_folder import open_work
from fairseq_alone.text_files import read_lines


def prepared(folder, corpus, *flags):
    """A folder that ``prepare`` made, and the pipeline of its runs."""
    with pytest.MonkeyPatch.context() as patch:
        serve_fairseq(patch)
        assert main(["prepare", str(folder), str(corpus), "--workers", "1", *flags]) == 0
    work = open_work(folder)
    return work.path, TextPipeline(text_settings(work), str(folder))


def lines(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--merges", "60"), ("--subwords", "sentencepiece", "--merges", "90")])
def test_translation_is_split_as_prepare_splits_it(tmp_path, flags):
    corpus = awkward_corpus(tmp_path / "corpus")
    work, pipeline = prepared(tmp_path / "work", corpus, *flags)
    # The test set has an empty line, which check-corpus drops.
    raw = [line for line in read_lines(str(corpus / "test.en")) if line]
    assert [pipeline.encode(line) for line in raw] == lines(work / "subwords/test.en")
    assert len(raw) == 91


@pytest.mark.slow
def test_translation_comes_back(tmp_path):
    """A hypothesis that equals the split reference is joined into the reference."""
    corpus = awkward_corpus(tmp_path / "corpus")
    work, pipeline = prepared(tmp_path / "work", corpus, "--merges", "60")
    references = lines(work / "clean/test.de")
    joined = [pipeline.decode(line) for line in lines(work / "subwords/test.de")]
    # The detokeniser cannot know where German quotes belong.
    assert [line for line in joined if "„" not in line] == [line for line in references if "„" not in line]


@pytest.mark.slow
def test_headlines_are_split_as_prepare_splits_them(tmp_path):
    corpus = tsv_corpus(tmp_path / "corpus")
    work, pipeline = prepared(tmp_path / "work", corpus, "--recipe", "headlines", "--merges", "60")
    raw = [line.split("\t")[0] for line in read_lines(str(corpus / "test.tsv"))]
    assert [pipeline.encode(line) for line in raw] == lines(work / "units/test.source")
    assert pipeline.decode("o i l ▁ p r i c e s") == "oil prices"


def test_blank_text_has_no_units():
    pipeline = TextPipeline(TextSettings(), "model")
    assert [pipeline.encode(text) for text in ("", "  ", "\u200b\u00ad")] == ["", "", ""]
    assert pipeline.encode(" a\u2028b ") == "a b"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            TextSettings(subwords="sentencepiece", subword_model=b"no model"),
            "m: its SentencePiece model cannot be read",
        ),
        (
            TextSettings(subwords="subword-nmt", subword_model=b"\xff\xfe"),
            "m: its subword codes are none of subword-nmt",
        ),
        (
            TextSettings(subwords="subword-nmt", subword_model=b"#version: 0.2\na b c\n"),
            "m: its subword codes are none of subword-nmt",
        ),
    ],
)
def test_codes_that_are_none(settings, sentence):
    with pytest.raises(UserError) as error:
        TextPipeline(settings, "m")
    assert str(error.value) == sentence
