"""Scores of text under language models, against fairseq-eval-lm and a plain loop."""

import math
import re

import pytest
import torch
from fairseq_commands import fairseq
from toy_text import binarize

import fairseq_alone
from fairseq_alone.cli import main
from fairseq_alone.errors import UserError
from fairseq_alone.inference.language_model import LanguageModel, TextScore, perplexity
from fairseq_alone.inference.opening import Given, open_model

pytestmark = pytest.mark.slow

LINES = {
    "train": ["a b c", "b c d e", "c d a", "e a b c d e f"] * 5,
    "valid": ["a b"],
    "test": ["a b c d", "f", "zzz a b", "b c d e a b c d e", "c"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm")
    for split, lines in LINES.items():
        (folder / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    return binarize(folder, folder / "bin")


TRANSFORMER = ("--decoder-ffn-embed-dim", 16, "--decoder-attention-heads", 2, "--alone-inter-dim", 8)


@pytest.fixture(
    scope="module",
    params=[("transformer_lm_alone", *TRANSFORMER), ("lstm_lm_conventional", "--decoder-hidden-size", 16)],
    ids=lambda param: param[0],
)
def checkpoint(request, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param[0])
    fairseq(
        *("train", data, "--user-dir", "fairseq_alone", "--task", "language_modeling", "--arch", *request.param),
        *("--decoder-embed-dim", 16, "--decoder-layers", 1, "--tie-embeddings", "decoder", "--tokens-per-sample", 12),
        *("--decoder-out-embed-dim", 16) if "lstm" in request.param[0] else (),
        *("--batch-size", 8, "--required-batch-size-multiple", 1, "--cpu", "--optimizer", "adam", "--lr", 0.1),
        *("--num-workers", 0, "--save-dir", folder, "--max-update", 4, "--no-epoch-checkpoints"),
    )
    return folder / "checkpoint_last.pt"


def test_the_perplexity_is_that_of_fairseq_eval_lm(data, checkpoint, capsys):
    flags = ("--user-dir", "fairseq_alone", "--path", checkpoint, "--gen-subset", "test", "--cpu", "--num-workers", 0)
    flags += ("--sample-break-mode", "eos", "--tokens-per-sample", 12, "--required-batch-size-multiple", 1)
    done = fairseq("eval_lm", data, *flags)
    log = done.stdout + done.stderr
    (expected,) = re.findall(r"Perplexity: ([0-9.]+)", log)
    (loss,) = re.findall(r"Loss \(base 2\): ([0-9.]+)", log)
    model = LanguageModel.load(checkpoint, data=str(data))
    scores = model.score(LINES["test"])
    assert f"{perplexity(scores):.2f}" == expected
    assert float(expected) > 1.5
    units = [5, 2, 4, 10, 2]
    assert [score.units for score in scores] == units
    bits = -sum(score.log_probability for score in scores) / sum(units) / math.log(2)
    assert bits == pytest.approx(float(loss), abs=6e-4)  # eval-lm prints three digits
    source = data.parent / "test.txt"
    assert main(["perplexity", str(checkpoint), "--data", str(data), "--input", str(source), "--device", "cpu"]) == 0
    assert capsys.readouterr().out == f"perplexity {expected} over 23 words and ends of lines\n"


@torch.no_grad()
def test_each_unit_has_the_probability_of_a_plain_loop(data, checkpoint):
    model = fairseq_alone.load(checkpoint, data=data)
    trained = open_model(str(checkpoint), Given(str(data)))
    network, words = trained.model, trained.target_dictionary
    for text, score in zip(LINES["test"], model.score(LINES["test"]), strict=True):
        prefix, total = [words.eos()], 0.0
        for word in [*(words.index(word) for word in text.split()), words.eos()]:
            logits = network(torch.tensor([prefix]), src_lengths=torch.tensor([len(prefix)]))[0][0, -1]
            total += float(logits.log_softmax(0)[word])
            prefix.append(word)
        assert score.log_probability == pytest.approx(total, abs=1e-4)


@torch.no_grad()
def test_a_running_text_is_one_long_pass(data, checkpoint, capsys, monkeypatch):
    model = fairseq_alone.load(checkpoint, data=data)
    command = ("perplexity", str(checkpoint), "--data", str(data), "--carry-state", "--device", "cpu")
    source = data.parent / "test.txt"
    if "transformer" in str(checkpoint):
        with pytest.raises(UserError, match="has no state that could be carried from one line to the next"):
            model.score_running(LINES["test"])
        assert main([*command, "--input", str(source)]) == 1
        return
    trained = open_model(str(checkpoint), Given(str(data)))
    words = trained.target_dictionary
    text = torch.tensor([words.index(word) for line in LINES["test"] for word in [*line.split(), words.eos_word]])
    logits = trained.model(torch.cat((torch.tensor([words.eos()]), text[:-1]))[None])[0][0]
    expected = logits.log_softmax(1).gather(1, text[:, None])[:, 0].split([5, 2, 4, 10, 2])
    # Of pieces that end within lines.
    monkeypatch.setattr("fairseq_alone.inference.fairseq_scorer._UNITS_AT_A_TIME", 7)
    seen = []
    scores = model.score_running(LINES["test"], seen.append)
    assert [score.units for score in scores] == [5, 2, 4, 10, 2]
    assert seen == [7, 7, 7, 2]
    found = [score.log_probability for score in scores]
    assert found == pytest.approx([float(row.sum()) for row in expected], abs=1e-4)
    assert found[1:] != pytest.approx([score.log_probability for score in model.score(LINES["test"])][1:], abs=1e-3)
    assert model.score_running([]) == []
    assert not model.carries_state  # it was trained line by line
    assert main([*command, "--input", str(source)]) == 0
    assert capsys.readouterr().out == f"perplexity {perplexity(scores):.2f} over 23 words and ends of lines\n"


def test_blank_and_long_texts_and_the_wrong_kind(data, checkpoint, caplog):
    model = fairseq_alone.load(checkpoint, data=data)
    assert model.score("") == model.score([" "])[0]
    assert model.score("").units == 1
    assert model.score([]) == []
    if "transformer" in str(checkpoint):
        limit = 11  # 12 positions, one for the symbol that begins
        fits, long = model.score([" ".join("a" * limit), " ".join("a" * (limit + 1))])
        assert not math.isnan(fits.log_probability)
        assert math.isnan(long.log_probability)
        assert (long.units, caplog.records[-1].getMessage()) == (
            13,
            "line 2 has 12 units, but the model takes 11: it has no score",
        )
    with pytest.raises(UserError, match="gives a LanguageModel, not a Translator; use that one's load"):
        fairseq_alone.Translator.load(str(checkpoint), data=data)


def test_perplexity_of_scores():
    assert TextScore(-2 * math.log(3), 2).perplexity == pytest.approx(3)
    assert perplexity([TextScore(-math.log(2), 1), TextScore(math.nan, 7), TextScore(-math.log(8), 1)]) == 4
    assert math.isnan(perplexity([]))
