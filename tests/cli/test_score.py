"""``fairseq-alone score``: the format of fairseq-generate's output, subwords, detokenising, SacreBLEU."""

import json
import pathlib

import pytest
import sacrebleu

from fairseq_alone.cli import main
from fairseq_alone.cli.score import spread
from fairseq_alone.units import join_bpe, join_sentencepiece


def write(path, text):
    path.write_bytes(text.encode("utf-8"))
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Three sentences out of order, as fairseq-generate sorts them by length; the middle one has no translation."""
    generated = write(
        tmp_path / "generated.txt",
        "2026-11-20 | INFO | fairseq_cli.generate | loading\n"
        "S-2\tthe hou@@ ses\nT-2\tdie Häu@@ ser\n"
        "H-2\t-0.5\tdie Häu@@ ser\u2028stehen &quot; da &quot; .\nD-2\t-0.5\tx\nP-2\t-0.1 -0.2\n"
        "S-0\tHello , world !\nH-0\t-0.1\tHallo , W@@ el@@ t !\n"
        "S-1\tnothing\nH-1\t-9.0\t\nD-1\t-9.0\t\nP-1\t-9.0\n"
        "Generate test with beam=4: BLEU4 = 1.00\n",
    )
    reference = write(tmp_path / "test.de", 'Hallo, Welt!\nnichts\ndie Häuser stehen "da".\n')
    source = write(tmp_path / "test.en", 'Hello, world!\nnothing\nthe houses stand "there".\n')
    return generated, reference, source


def score(files, *flags):
    generated, reference, _ = files
    return main(["score", "--generated", generated, "--reference", reference, "--target-lang", "de", *flags])


def test_hypotheses_are_sorted_joined_detokenised_and_empty_ones_stay(files, tmp_path):
    assert score(files, "--hypotheses", str(tmp_path / "hyp.de")) == 0
    lines = (tmp_path / "hyp.de").read_bytes().decode("utf-8").split("\n")
    assert lines[:2] == ["Hallo, Welt!", ""]
    assert lines[2].replace("\u2028", " ") == 'die Häuser stehen "da".'
    assert lines[3:] == [""]


def test_json_has_the_scores_of_sacrebleu_itself(files, tmp_path):
    output = tmp_path / "scores.json"
    assert score(files, "--source", files[2], "--hypotheses", str(tmp_path / "hyp"), "--output", str(output)) == 0
    scores = json.loads(output.read_text("utf-8"))
    hypotheses = (tmp_path / "hyp").read_text("utf-8").split("\n")[:3]
    references = pathlib.Path(files[1]).read_text("utf-8").split("\n")[:3]
    assert 0 < scores["BLEU"]["score"] < 100
    assert scores["BLEU"]["score"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references]).score)
    assert scores["chrF"]["score"] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, [references]).score)
    assert "case:mixed" in scores["BLEU"]["signature"]
    assert "tok:13a" in scores["BLEU"]["signature"]
    assert (scores["sentences"], scores["empty_hypotheses"]) == (3, 1)
    assert scores["examples"][0] == {
        "sentence": 1,
        "source": "Hello, world!",
        "reference": "Hallo, Welt!",
        "hypothesis": "Hallo, Welt!",
    }
    assert scores["examples"][1]["hypothesis"] == ""


def test_case_counts(tmp_path):
    texts = "Das Haus ist groß und schön .\n"
    reference = write(tmp_path / "ref", texts)
    for name, text in (("same", texts), ("lower", texts.lower())):
        generated = write(tmp_path / name, f"H-0\t-1\t{text}")
        output = str(tmp_path / f"{name}.json")
        flags = ["--subwords", "none", "--no-detokenize", "--output", output]
        assert score((generated, reference, None), *flags) == 0
    bleu = {name: json.loads((tmp_path / f"{name}.json").read_text())["BLEU"]["score"] for name in ("same", "lower")}
    assert bleu["same"] == pytest.approx(100)
    assert bleu["lower"] < 90


def test_bleu_and_signature_are_printed(files, capsys):
    assert score(files) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("BLEU ")
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in printed
    assert "3 sentences, 1 of them translated to nothing, 0 with an empty reference" in printed


def test_bpe_and_sentencepiece_are_undone():
    assert join_bpe("Häu@@ ser und H@@ aus@@") == "Häuser und Haus"
    assert join_bpe("a @ @b@ c") == "a @ @b@ c"
    assert join_sentencepiece("▁die ▁Häu ser ▁.") == "die Häuser ."
    assert join_sentencepiece("") == ""


def test_sentencepiece_text_is_not_detokenised(tmp_path):
    generated = write(tmp_path / "generated", "H-0\t-1\t▁viele ▁Häu ser ▁, ▁sagt ▁er .\n")
    reference = write(tmp_path / "ref", "x\n")
    flags = ["--subwords", "sentencepiece", "--no-detokenize", "--hypotheses", str(tmp_path / "hyp")]
    assert score((generated, reference, None), *flags) == 0
    assert (tmp_path / "hyp").read_text("utf-8") == "viele Häuser , sagt er.\n"


@pytest.mark.parametrize(
    ("generated", "sentence"),
    [
        ("H-0\t-1\ta\n", "has hypotheses for 1 sentences, but"),
        ("H-0\t-1\ta\nH-1\t-1\tb\nH-2\t-1\tc\n", "has hypotheses for 3 sentences, but"),
        ("H-0\t-1\ta\nH-1\t-1\tb\nH-0\t-1\tc\n", "line 3: H-0 was there before (line 1)"),
        ("H-0\t-1\ta\nH-2\t-1\tb\n", "H-1 is missing"),
        ("H-0\t-1\ta\nH-1\t-", "line 2: not 'H-number"),
        ("", "has no line that starts with H-"),
    ],
)
def test_wrong_output_is_refused_and_nothing_is_written(generated, sentence, tmp_path, capsys):
    files = write(tmp_path / "generated", generated), write(tmp_path / "ref", "a\nb\n"), None
    output = tmp_path / "scores.json"
    assert score(files, "--output", str(output), "--hypotheses", str(tmp_path / "hyp")) == 1
    message = capsys.readouterr().err
    assert sentence in message
    assert "generated" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generated", "ref"]


def test_bad_files_are_named(files, tmp_path, capsys):
    generated, reference, _ = files
    assert score((str(tmp_path / "missing"), reference, None)) == 1
    assert "missing: there is no such file" in capsys.readouterr().err
    (tmp_path / "latin1").write_bytes("gut\nschön\n".encode("latin-1"))
    assert score((generated, str(tmp_path / "latin1"), None)) == 1
    assert "latin1, line 2: not UTF-8 (byte 4 of the line is 0xf6)" in capsys.readouterr().err
    assert score((generated, write(tmp_path / "empty", ""), None)) == 1
    assert "empty is empty" in capsys.readouterr().err
    assert score(files, "--source", write(tmp_path / "short", "one\n")) == 1
    assert "short has 1 lines, but" in capsys.readouterr().err


def test_empty_references_sources_and_hypotheses_are_counted_or_refused(tmp_path, capsys):
    generated = write(tmp_path / "generated", "H-0\t-1\tEin Mann geht.\nH-1\t-1\t\u200b\nH-2\t-1\tText\n")
    reference = write(tmp_path / "ref", "Ein Mann geht.\nEr lacht.\n\u2060 \n")
    source = write(tmp_path / "src", "\u00ad\nHe laughs.\nText\n")
    flags = ["--no-detokenize", "--subwords", "none", "--source", source]
    assert score((generated, reference, None), *flags) == 0
    printed = capsys.readouterr()
    assert "3 sentences, 1 of them translated to nothing, 1 with an empty reference\n" in printed.out
    assert printed.err.splitlines() == [
        f"{reference}: 1 empty line, the first is line 3",
        f"{source}: 1 empty line, the first is line 1",
    ]
    assert score((generated, reference, None), *flags, "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert [scores[f"empty_{kind}"] for kind in ("hypotheses", "references", "sources")] == [1, 1, 1]
    assert scores["examples"][2]["reference"] == ""
    assert score((generated, reference, None), *flags, "--strict") == 1
    assert f"{reference}, line 3: empty, which --strict refuses" in capsys.readouterr().err
    assert score((generated, source, None), *flags[:3], "--strict") == 1
    assert f"{source}, line 1: empty" in capsys.readouterr().err
    assert score((generated, source, None), *flags[:3], "--json") == 0
    assert json.loads(capsys.readouterr().out)["empty_sources"] is None


@pytest.mark.parametrize("flag", ["--output", "--hypotheses"])
def test_a_file_that_cannot_be_written_is_named_before_any_work(files, tmp_path, capsys, monkeypatch, flag):
    monkeypatch.setattr("fairseq_alone.cli.score.read_lines", None)
    assert score(files, flag, str(tmp_path / "missing" / "file")) == 1
    assert f"{flag} {tmp_path}/missing/file: there is no folder {tmp_path}/missing" in capsys.readouterr().err
    assert score(files, flag, str(tmp_path)) == 1
    assert f"{flag} {tmp_path}: is a folder" in capsys.readouterr().err


def test_examples_are_spread_over_the_test_set():
    assert spread(100, 4) == [0, 25, 50, 75]
    assert spread(2, 10) == [0, 1]
    assert spread(5, 0) == []
