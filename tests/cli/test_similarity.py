"""``fairseq-alone similarity`` and ``neighbours``: tables, JSON, seeds, distances, and what is refused."""

import json

import numpy as np
import pytest

from fairseq_alone.cli import main
from fairseq_alone.corpus.unit_vectors import UnitVectors
from fairseq_alone.corpus.vector_file import write_vectors
from fairseq_alone.corpus.vector_reader import read_vectors
from fairseq_alone.corpus.word_pairs import read_pairs, similarity

WORDS = [f"w{number}" for number in range(20)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(1)
    for name in ("one.txt", "two.bin"):
        write_vectors(name, WORDS, generator.normal(size=(20, 4)).astype(np.float32))
    lines = [f"W{number} w{number + 1} {generator.random()}" for number in range(20)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    questions = ["w0 w1 w2 w3", "w4 w5 w6 w20", "w1 w2 w3 w4"]
    (tmp_path / "questions.txt").write_text(": all\n" + "\n".join(questions) + "\n")
    return tmp_path


def rho(vectors):
    return similarity(UnitVectors.of(read_vectors(vectors)), read_pairs("pairs.txt", lower_case=True)).rho


def test_pairs_of_two_seeds(folder, capsys):
    command = ["similarity", "one.txt", "two.bin", "--pairs", "pairs.txt", "--lower-case", "--mean"]
    assert main(command) == 0
    rhos = rho("one.txt"), rho("two.bin")
    lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == ["vectors", "pairs", "pairs"]
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["one.txt", f"{rhos[0]:.3f}", "19 of 20"]
    mean, deviation = np.mean(rhos), np.std(rhos, ddof=1)
    assert lines[4].split("|")[1:3] == [" mean of 2, ± deviation ", f" {mean:.3f} ± {deviation:.3f} "]
    assert lines[5] == ""
    assert lines[6] == "one.txt, two.bin: 1 word has no vector, of pairs.txt: w20"
    assert main([*command, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mean"]["count"] == 2
    assert found["mean"]["pairs"] == [{"mean": pytest.approx(mean), "deviation": pytest.approx(deviation)}]
    row = found["vectors"][1]
    assert (row["path"], row["words"], row["dim"]) == ("two.bin", 20, 4)
    assert row["pairs"][0]["missing"] == ["w20"]


def test_without_lower_case_the_words_are_missing_and_counted(folder, capsys):
    assert main(["similarity", "one.txt", "--pairs", "pairs.txt"]) == 0
    output = capsys.readouterr().out
    assert "| one.txt |     - | 0 of 20 |" in output
    assert "one.txt: 21 words have no vector, of pairs.txt: W0, W1, W2" in output
    assert output.rstrip().endswith(", ...")


def test_analogies_with_a_limit(folder, capsys):
    command = ["similarity", "one.txt", "two.bin", "--analogies", "questions.txt", "--mean"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "3CosAdd" in output
    assert "2 of 3" in output
    assert "one.txt, two.bin: 1 word has no vector, of questions.txt: w20" in output
    assert main([*command, "--limit", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["vectors"][0]["analogies"][0]
    # Of four words only the answer is left.
    assert (found["add"], found["mul"], found["covered"], found["total"]) == (1.0, 1.0, 1, 3)
    assert found["sections"]["all"]["covered"] == 1
    assert "w4" in found["missing"]


def test_distances_between_each_two(folder, capsys):
    assert main(["similarity", "one.txt", "one.txt", "two.bin", "--distances", "15", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["distances"]
    assert found["words"] == 15
    rhos = {(one["first"], one["second"]): one["rho"] for one in found["rhos"]}
    assert len(found["rhos"]) == 3
    assert rhos["one.txt", "one.txt"] == pytest.approx(1)
    assert abs(rhos["one.txt", "two.bin"]) < 0.9
    assert main(["similarity", "one.txt", "two.bin", "--distances", "1000"]) == 0
    assert "all pairs of the first 20 common words, cosine distance" in capsys.readouterr().out


def test_neighbours(folder, capsys):
    near = UnitVectors.of(read_vectors("two.bin")).nearest("w3", 3)
    assert main(["neighbours", "two.bin", "w3", "w5", "--count", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "w3: " + ", ".join(f"{word} {cos:.2f}" for word, cos in near)
    assert main(["neighbours", "two.bin", "w3", "--count", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"w3": [[word, pytest.approx(cosine)] for word, cosine in near]}
    assert main(["neighbours", "two.bin", "w3", "--limit", "4", "--json"]) == 0
    assert {word for word, _ in json.loads(capsys.readouterr().out)["w3"]} == {"w0", "w1", "w2"}


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["similarity", "one.txt"], "give --pairs, --analogies or --distances"),
        (["similarity", "one.txt", "--distances", "5"], "--distances compares files"),
        (["similarity", "one.txt", "two.bin", "--distances", "2"], "--distances must be at least 3, got 2"),
        (["similarity", "one.txt", "other.txt", "--distances", "9"], "have 1 words in common"),
        (["similarity", "one.txt", "--pairs", "pairs.txt", "--mean"], "--mean needs two or more"),
        (["similarity", "one.txt", "--pairs", "pairs.txt", "--limit", "5"], "--limit is for --analogies"),
        (["similarity", "one.txt", "--analogies", "questions.txt", "--limit", "-5"], "--limit must be at least 0"),
        (
            ["similarity", "one.txt", "--pairs", "questions.txt"],
            "questions.txt, line 1: expected two words and a score",
        ),
        (["similarity", "none.txt", "--pairs", "pairs.txt"], "none.txt"),
        (["similarity", "pairs.txt", "--pairs", "pairs.txt"], "pairs.txt, line 1: could not convert string to float"),
        (["neighbours", "one.txt", "w3", "unheard"], "one.txt: has no vector of unheard"),
        (["neighbours", "one.txt", "w3", "--count", "0"], "--count must be at least 1, got 0"),
        (["neighbours", "one.txt", "w3", "--limit", "-1"], "--limit must be at least 0, got -1"),
    ],
)
def test_what_is_refused(command, sentence, folder, capsys):
    (folder / "other.txt").write_text("w3 1 2 3 4\nx 1 2 3 4\n")
    assert main(command) == 1
    assert sentence in capsys.readouterr().err
