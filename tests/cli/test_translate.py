"""``fairseq-alone translate`` over a checkpoint: the same as fairseq-generate, in every way to give it text."""

import io
import json
import math
import re
import subprocess
import sys

import pytest
from conftest import ROOT, environment
from fairseq_commands import generate

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def generated(data, trained):
    """fairseq-generate's output, three best of each sentence."""
    return generate(data, [trained / "checkpoint_last.pt"], "--nbest", 3, "--max-len-b", 12).stdout


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture
def translate(data, trained, capsys, monkeypatch):
    """Run the command in this process; standard input is what is given."""

    def run(*words, standard_input=b"", status=0, stream=io.TextIOWrapper):
        monkeypatch.setattr(sys, "stdin", stream(io.BytesIO(standard_input), encoding="ascii"))
        flags = ["--data", data, "--device", "cpu", "--beam", 4, "--max-len-b", 12]
        found = main(["translate", *map(str, [trained / "checkpoint_last.pt", *words, *flags])])
        output = capsys.readouterr()
        assert found == status, output.err
        return output

    return run


def test_standard_input_gives_the_hypotheses_of_fairseq_generate(translate, corpus, generated):
    output = translate(standard_input=(corpus / "test.en").read_bytes())
    best = {}
    for number, text in re.findall(r"^H-(\d+)\t\S+\t(.*)$", generated, re.MULTILINE):
        best.setdefault(int(number), text)
    assert output.out.splitlines() == [best[number] for number in range(33)]


def test_n_best_with_scores(translate, corpus, generated):
    expected = re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", generated, re.MULTILINE)
    expected.sort(key=lambda line: int(line[0]))  # stable: the best first
    lines = [line.split("\t") for line in translate("--nbest", 3, "--input", corpus / "test.en").out.splitlines()]
    assert [text for _, text in lines] == [text for _, _, text in expected]
    assert len({text for _, text in lines}) > 2
    for (score, _), (_, bits, _) in zip(lines, expected, strict=True):
        assert float(score) == pytest.approx(float(bits) * math.log(2), abs=1e-3)


def test_lines_in_are_lines_out(translate):
    text = "\ufeffw1 w2\r\n\n \u200b\nUnknown words!\n" + " ".join(["w1"] * 1030) + "\nw3"
    output = translate("--nbest", 2, standard_input=text.encode())
    lines = output.out.splitlines()
    assert len(lines) == 12
    assert [number for number, line in enumerate(lines) if line == "\t"] == [2, 3, 4, 5, 8, 9]
    assert "standard input: 1 byte order mark removed, first in line 1" in output.err
    assert "line 5 has 1,030 units, but the model takes 1,023: it is left empty" in output.err
    assert output.err.endswith("1 line was too long for the model, and left empty\n")
    assert translate(standard_input=b"").out == ""


def test_sentences_of_the_command_line_and_json(translate):
    plain = translate("w1 w2", "", "w3").out.splitlines()
    assert plain[1] == ""
    lines = [json.loads(line) for line in translate("w1 w2", "--json", "", "w3").out.splitlines()]
    assert [line["line"] for line in lines] == [1, 2, 3]
    assert [line["source"] for line in lines] == ["w1 w2", "", "w3"]
    assert [[one["text"] for one in line["hypotheses"]] for line in lines] == [plain[:1], [], plain[2:]]
    assert lines[0]["hypotheses"][0].keys() == {"text", "score", "units"}


def test_a_sentence_that_is_a_file_is_translated_with_a_note(translate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w1").write_text("w2 w3\n")
    output = translate("w1", "w3")
    assert output.err == "note: w1 is also a file; --input w1 translates what is in it\n"
    assert output.out == translate("w1 ", "w3").out


def test_a_file_is_written_whole_or_not_at_all(translate, corpus, tmp_path):
    output = tmp_path / "out"
    translate("--output", output, "--input", corpus / "valid.en")
    assert len(output.read_text().splitlines()) == 21
    bad = tmp_path / "bad"
    bad.write_bytes(b"w1\n\xff\n")
    errors = translate("--output", tmp_path / "none", "--input", bad, status=1).err
    assert f"{bad}, line 2: not UTF-8" in errors
    assert "error: standard input, line 1: not UTF-8" in translate(standard_input=b"\xff", status=1).err
    same = translate("--output", bad, "--input", bad, status=1).err
    assert f"--output {bad}: would overwrite an input" in same
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "out"]


def test_a_prompt_answers_each_line_until_the_end(translate, monkeypatch):
    typed = iter(["w1 w2", "", "w3"])

    def read(prompt):
        for line in typed:
            return line
        raise EOFError

    expected = translate("w1 w2", "", "w3").out
    monkeypatch.setattr("builtins.input", read)
    assert translate(stream=Terminal).out == expected


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--beam", "0"], "--beam must be a whole number from 1, got 0"),
        (["--nbest", "5"], "--nbest must not be greater than the beam, which is 4, got 5"),
        (["--lenpen", "nan"], "--lenpen must be a number, got nan"),
        (["--max-len-a", "-1"], "--max-len-a must not be negative, got -1.0"),
        (["--desired-length", "30"], "--desired-length is not for .*: it was trained without a length encoding"),
        (["--quantization", "int8"], "--quantization needs --backend ctranslate2"),
        (["--threads", "none"], "--threads must be a positive whole number, got 'none'"),
        (["--input", "x", "--output", "y"], "--input x contradicts the sentences that were given"),
        (["--device", "nowhere"], "device nowhere: cannot be used"),
        (["--data", "/no/such"], "there is no folder /no/such; give --data DATA_BIN"),
    ],
)
def test_bad_settings_get_one_sentence(data, trained, capsys, flags, sentence):
    checkpoint = str(trained / "checkpoint_last.pt")
    given = ["--data", str(data), "--beam", "4", *flags]
    assert main(["translate", checkpoint, "w1", *given]) == 1
    errors = capsys.readouterr().err
    assert re.fullmatch(f"fairseq-alone translate: error: .*{sentence}.*\n", errors)


def test_a_process_of_its_own_prints_utf_8_and_nothing_else(data, trained):
    """Whatever the locale is."""
    command = [sys.executable, "-m", "fairseq_alone", "translate", str(trained / "checkpoint_last.pt")]
    command += ["--data", str(data), "--device", "cpu", "--json", "--max-len-b", "12", "--threads", "1"]
    variables = {**environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, env=variables, input="Grüße\n".encode(), capture_output=True, check=True)
    (line,) = done.stdout.decode("utf-8").splitlines()
    assert json.loads(line)["source"] == "Grüße"
    assert done.stderr == b""
