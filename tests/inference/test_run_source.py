"""Which checkpoint of a run is used: what ``evaluate`` scored, and never one of an earlier state."""

import json
import os

import pytest
from toy_checkpoints import write_checkpoint

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.errors import UserError
from fairseq_alone.inference.opening import Given, open_model
from fairseq_alone.inference.run_source import is_run, read_run
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import TextSettings

_FLAGS = {"arch": "transformer_alone", "tying": "three-way"}


def in_languages(checkpoint):
    checkpoint["cfg"]["task"] |= {"source_lang": "en", "target_lang": "de"}


@pytest.fixture
def run(tmp_path):
    """A run of a translation recipe with the checkpoints of two epochs."""
    words = "".join(f"w{number} 1\n" for number in range(16))
    settings = "PRESET=small\nSUBWORDS=subword-nmt\nSOURCE_LANG=en\nTARGET_LANG=de\n"
    (tmp_path / "data-bin").mkdir()
    for lang in ("en", "de"):
        (tmp_path / f"data-bin/dict.{lang}.txt").write_text(words)
    (tmp_path / "prepare.settings").write_text(settings)
    (tmp_path / "codes").write_text("#version: 0.2\n")
    folder = tmp_path / "runs/toy"
    (folder / "checkpoints").mkdir(parents=True)
    for epoch in (1, 2):
        add_epoch(folder, epoch)
    return folder


def add_epoch(folder, epoch):
    for name in (f"checkpoint{epoch}.pt", "checkpoint_last.pt"):
        write_checkpoint(folder / "checkpoints" / name, updates=epoch, seed=epoch, change=in_languages, **_FLAGS)


def write_results(folder):
    (folder / "scores.json").write_text(json.dumps({"BLEU": {"score": 12.5}}))


def averaged_from(folder):
    return load_checkpoint(str(folder / "averaged.pt"))["extra_state"]["averaged_from"]


def test_the_mean_is_made_where_there_is_none(run, capsys):
    assert is_run(str(run))
    trained = read_run(str(run))
    assert averaged_from(run) == ["checkpoint1.pt", "checkpoint2.pt"]
    assert (trained.kind, trained.decoding.beam, trained.decoding.lenpen) == ("translation", 4, 0.6)
    assert (trained.text.tokenizer, trained.text.subwords, trained.scores) == ("moses", "subword-nmt", {})
    # Standard output is for translations.
    assert capsys.readouterr().out == ""


def test_what_evaluate_made_is_used_whatever_the_times_of_the_files_are(run):
    write_checkpoint(run / "averaged.pt", updates=2, seed=7, change=in_languages, **_FLAGS)
    os.utime(run / "averaged.pt", (1, 1))
    write_results(run)
    assert read_run(str(run)).scores == {}  # the training has not ended
    (run / "done").touch()
    assert read_run(str(run)).scores == {"BLEU": {"score": 12.5}}
    assert averaged_from_nothing(run)


def averaged_from_nothing(folder):
    return "averaged_from" not in load_checkpoint(str(folder / "averaged.pt"))["extra_state"]


def test_a_mean_of_an_earlier_state_is_made_again(run):
    """The training went on, or goes on now."""
    read_run(str(run))
    write_results(run)
    (run / "done").touch()
    assert read_run(str(run)).scores == {"BLEU": {"score": 12.5}}
    add_epoch(run, 3)
    trained = read_run(str(run))
    assert averaged_from(run) == ["checkpoint1.pt", "checkpoint2.pt", "checkpoint3.pt"]
    assert trained.scores == {}


def test_a_run_without_a_checkpoint(run):
    (run / "checkpoints/checkpoint_last.pt").unlink()
    with pytest.raises(UserError, match=r"checkpoint_last\.pt is missing; run fairseq-alone train first"):
        read_run(str(run))


def test_a_run_that_is_not_there(run):
    with pytest.raises(UserError, match=r"runs/other: there is no such run; .*runs has toy"):
        read_run(str(run.parent / "other"))


def test_a_checkpoint_in_a_run_is_split_as_the_recipe_splits(run):
    checkpoint, data = str(run / "checkpoints/checkpoint1.pt"), str(run.parent.parent / "data-bin")
    trained = open_model(checkpoint)
    assert (trained.text.tokenizer, trained.text.subwords, trained.decoding.beam) == ("moses", "subword-nmt", 4)
    assert trained.text.subword_model == b"#version: 0.2\n"
    split = open_model(checkpoint, Given(data, TextSettings())).text
    assert (split.tokenizer, split.subwords) == ("none", "none")


def test_what_a_run_knows_is_not_said_again(run):
    with pytest.raises(UserError, match="knows its dictionaries; leave out --data"):
        open_model(str(run), Given(data="elsewhere"))
    with pytest.raises(UserError, match="knows how its text is split; leave out --bpe-codes"):
        open_model(str(run), Given(text=TextSettings()))


@pytest.mark.parametrize(
    ("words", "subwords"),
    [(["a@@", "b@@", "c"], "subword-nmt"), (["▁a", "▁b", "c"], "sentencepiece"), (["a", "b", "c"], "none")],
)
def test_subwords_that_are_not_given_are_noticed(tmp_path, words, subwords):
    lines = "".join(f"{word} 1\n" for word in words)
    for lang in ("en", "de"):
        (tmp_path / f"dict.{lang}.txt").write_text(lines, encoding="utf-8")
    path = write_checkpoint(tmp_path / "model.pt", vocabulary=7, change=in_languages, **_FLAGS)
    trained = open_model(path)  # the dictionaries are beside it
    assert (trained.text.subwords, trained.text.subword_model) == (subwords, None)
    if subwords == "none":
        assert TextPipeline(trained.text, path).encode("a b") == "a b"
        return
    with pytest.raises(UserError, match=f"model.pt: does not hold its subwords .{subwords}.; give --"):
        TextPipeline(trained.text, path)
    assert TextPipeline(open_model(path, Given(text=TextSettings())).text, path).encode("a b") == "a b"
