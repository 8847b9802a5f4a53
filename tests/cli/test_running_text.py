"""References in subwords or tokens: BLEU of the wrong text would look like a bad model."""

import pytest

from fairseq_alone.cli import main
from fairseq_alone.errors import UserError

TEXT = ["Ein Hund rennt, und er bellt.", "Zwei Frauen lachen.", "Der Mann geht heim."]
TOKENS = ["Ein Hund rennt , und er bellt .", "Zwei Frauen lachen .", "Der Mann geht heim ."]
SUBWORDS = {
    "subword-nmt": ["Ein Hund ren@@ nt , und er bel@@ lt .", "Zwei Frau@@ en lachen .", "Der Mann geht heim ."],
    "sentencepiece": ["▁Ein ▁Hund ▁ren nt", "▁Zwei ▁Frau en ▁lachen", "▁Der ▁Mann ▁geht ▁heim"],
}


def score(folder, reference, *flags):
    (folder / "ref").write_text("".join(f"{line}\n" for line in reference))
    (folder / "gen").write_text("".join(f"H-{number}\t-1\t{line}\n" for number, line in enumerate(TOKENS)))
    files = ["--generated", str(folder / "gen"), "--reference", str(folder / "ref")]
    return main(["score", *files, "--target-lang", "de", "--quiet", *flags])


@pytest.mark.parametrize("kind", SUBWORDS)
def test_subwords_are_refused_with_the_line(tmp_path, capsys, kind):
    assert score(tmp_path, SUBWORDS[kind]) == 1
    assert f"ref, line 1: is split into subwords, as {kind} does" in capsys.readouterr().err


def test_tokens_get_a_warning_and_strict_refuses_them(tmp_path, capsys):
    assert score(tmp_path, TOKENS) == 0
    assert "ref looks tokenised" in capsys.readouterr().err
    assert score(tmp_path, TOKENS, "--strict") == 1
    assert "ref looks tokenised" in capsys.readouterr().err
    assert score(tmp_path, TOKENS, "--no-detokenize") == 0
    assert "tokenised" not in capsys.readouterr().err


def test_running_text_gets_none(tmp_path, capsys):
    assert score(tmp_path, TEXT) == 0
    output = capsys.readouterr()
    assert "BLEU 100.00" in output.out
    assert output.err == ""


def test_one_sign_by_chance_is_no_subword():
    from fairseq_alone.cli.running_text import require_running_text

    lines = ["Was @@ heisst?", *["Ein Satz."] * 20]
    require_running_text("ref", lines, detokenized=True, strict=True)
    with pytest.raises(UserError, match="line 1"):
        require_running_text("ref", lines[:5], detokenized=True, strict=True)
