"""Which checkpoint of a run is used: what ``evaluate`` scored, and never one of an earlier state."""

import json
import os

import pytest
from toy_checkpoints import write_checkpoint

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.errors import UserError
from fairseq_alone.inference.run_source import is_run, read_run

_FLAGS = {"arch": "transformer_alone", "tying": "three-way"}


def in_languages(checkpoint):
    checkpoint["cfg"]["task"] |= {"source_lang": "en", "target_lang": "de"}


@pytest.fixture
def run(tmp_path):
    """A run of a translation recipe with the checkpoints of two epochs, a minute apart."""
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
        path = write_checkpoint(folder / "checkpoints" / name, updates=epoch, seed=epoch, change=in_languages, **_FLAGS)
        os.utime(path, (60 * epoch, 60 * epoch))


def write_results(folder, minute):
    (folder / "scores.json").write_text(json.dumps({"BLEU": {"score": 12.5}}))
    os.utime(folder / "scores.json", (60 * minute, 60 * minute))


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


def test_what_evaluate_made_is_used(run):
    write_checkpoint(run / "averaged.pt", seed=7, change=in_languages, **_FLAGS)
    write_results(run, minute=10**8)
    trained = read_run(str(run))
    assert averaged_from_nothing(run)
    assert trained.scores == {"BLEU": {"score": 12.5}}


def averaged_from_nothing(folder):
    return "averaged_from" not in load_checkpoint(str(folder / "averaged.pt"))["extra_state"]


def test_a_mean_of_an_earlier_state_is_made_again(run):
    """The training went on, or goes on now."""
    read_run(str(run))
    os.utime(run / "averaged.pt", (150, 150))
    write_results(run, minute=2.6)
    assert read_run(str(run)).scores == {"BLEU": {"score": 12.5}}
    add_epoch(run, 3)
    trained = read_run(str(run))
    assert averaged_from(run) == ["checkpoint1.pt", "checkpoint2.pt", "checkpoint3.pt"]
    assert trained.scores == {}


def test_a_run_without_a_checkpoint(run):
    (run / "checkpoints/checkpoint_last.pt").unlink()
    with pytest.raises(UserError, match=r"checkpoint_last\.pt is missing; run fairseq-alone train first"):
        read_run(str(run))
