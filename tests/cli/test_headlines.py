"""The tools that prepare headline data: ``characters``, ``headlines`` and ``duc2004``."""

import json

import pytest

from fairseq_alone.cli import main
from fairseq_alone.units import join_characters, split_characters


def write(path, text):
    path.write_bytes(text.encode("utf-8"))
    return str(path)


@pytest.mark.parametrize("text", ["a", "oil up 5 pct", "u.s. -- 'x' & <y>", "日本 の é", ""])
def test_split_text_comes_back(text):
    assert join_characters(split_characters(text)) == text


def test_every_character_is_a_token():
    assert split_characters("a bc") == "a ▁ b c"
    # fairseq splits at any white space of Unicode: a token of it would vanish.
    assert split_characters(" a\u00a0\u3000b ") == "a ▁ b"


def test_spaces_that_a_model_writes_twice_or_at_the_ends_are_mended():
    assert join_characters("▁ a ▁ ▁ b ▁") == "a b"
    assert join_characters("▁oil ▁pri ces") == "oil prices"


def test_text_with_the_symbol_of_the_space_is_refused_with_its_line(tmp_path, capsys):
    source = write(tmp_path / "in", "ab\na▁b\n")
    assert main(["characters", source, "--output", str(tmp_path / "out")]) == 1
    assert f"{source}, line 2: the text has '▁' (U+2581)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_splits_and_joins_files(tmp_path):
    source = write(tmp_path / "in", "a b\nc\n")
    other = write(tmp_path / "other", "d\n")
    split = [str(tmp_path / "split"), str(tmp_path / "split2")]
    assert main(["characters", source, other, "--output", *split]) == 0
    assert [(tmp_path / name).read_text("utf-8") for name in ("split", "split2")] == ["a ▁ b\nc\n", "d\n"]
    assert main(["characters", split[0], "--join", "--output", str(tmp_path / "joined")]) == 0
    assert (tmp_path / "joined").read_text("utf-8") == "a b\nc\n"


def headlines(tmp_path, source, title, *flags):
    write(tmp_path / "in.source", source)
    write(tmp_path / "in.title", title)
    languages = ["--source-lang", "source", "--target-lang", "title"]
    return main(["headlines", str(tmp_path / "in"), *languages, "--output", str(tmp_path / "out"), *flags])


def written(tmp_path):
    return [(tmp_path / f"out.{side}").read_text("utf-8") for side in ("source", "title")]


def test_pairs_are_normalised(tmp_path, capsys):
    assert headlines(tmp_path, "Oil \u00a0up ▁\n", "OIL  UP ▁▁\n") == 0
    assert written(tmp_path) == ["Oil up _\n", "OIL UP __\n"]
    assert capsys.readouterr().out == "in: 1 of 1 pairs written; 3 times '▁' replaced by '_'\n"
    assert headlines(tmp_path, "Oil UP\n", "ÖL\n", "--lowercase") == 0
    assert written(tmp_path) == ["oil up\n", "öl\n"]


def test_unknown_words_in_headlines_drop_the_pair_only_if_asked(tmp_path, capsys):
    sides = "oil <unk>\ngold\ntin\n", "oil\ngold <unk>\n<unk>s tin\n"
    assert headlines(tmp_path, *sides) == 0
    assert written(tmp_path) == list(sides)
    capsys.readouterr()
    drop = ["--drop-unknown", str(tmp_path / "in")]
    assert headlines(tmp_path, *sides, *drop, "--json") == 0
    assert written(tmp_path) == ["oil <unk>\ntin\n", "oil\n<unk>s tin\n"]
    report = json.loads(capsys.readouterr().out)
    assert (report["pairs_read"], report["pairs_written"], report["unknown_in_headline"]) == (3, 2, 1)
    assert headlines(tmp_path, "a\n", "<unk>\n", *drop) == 1
    assert "nothing is left" in capsys.readouterr().err
    assert headlines(tmp_path, "a\n", "a\n", "--drop-unknown", "other") == 1
    assert "--drop-unknown other: is none of the corpora" in capsys.readouterr().err


def test_pairs_with_an_empty_side_are_counted(tmp_path, capsys):
    assert headlines(tmp_path, "a\n\u200b\n", "a\nb\n") == 0
    assert written(tmp_path) == ["a\n\n", "a\nb\n"]
    assert capsys.readouterr().out == (
        "in: 2 of 2 pairs written; 1 of them with an empty side (check-corpus drops such pairs)\n"
    )


def test_sides_of_different_length_are_refused(tmp_path, capsys):
    assert headlines(tmp_path, "a\nb\n", "a\n") == 1
    assert "do not have as many lines" in capsys.readouterr().err
    assert headlines(tmp_path, "a\n", "a\nb\n") == 1
    assert "do not have as many lines" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.source", "in.title"]


def duc_folder(folder, lines=500, subfolder="references"):
    (folder / subfolder).mkdir(parents=True)
    write(folder / "input.txt", "".join(f"Sentence {number} , of 1998 .\n" for number in range(lines)))
    for reference in range(4):
        text = "".join(f"Headline {number} by {reference}\n" for number in range(lines))
        write(folder / subfolder / f"task1_ref{reference}.txt", text)
    return folder


@pytest.mark.parametrize("subfolder", ["references", "."])
def test_duc_2004_is_checked_and_written(tmp_path, capsys, subfolder):
    folder = duc_folder(tmp_path / "clean_2004", subfolder=subfolder)
    assert main(["duc2004", str(folder)]) == 0
    assert "500 sentences, 4 references each" in capsys.readouterr().out
    command = ["duc2004", str(folder), "--source", str(tmp_path / "s"), "--references", str(tmp_path / "r")]
    assert main([*command, "--lowercase", "--hide-digits"]) == 0
    assert (tmp_path / "s").read_text().split("\n")[499:] == ["sentence ### , of #### .", ""]
    assert (tmp_path / "r.3").read_text().split("\n")[7] == "headline 7 by 3"
    assert main(command) == 0
    assert (tmp_path / "s").read_text().startswith("Sentence 0 , of 1998 .\n")


def test_a_missing_test_set_is_explained(tmp_path, capsys):
    assert main(["duc2004", str(tmp_path / "none")]) == 1
    message = capsys.readouterr().err
    assert "none: there is no such folder" in message
    assert "https://duc.nist.gov/data.html" in message
    (duc_folder(tmp_path / "duc") / "references" / "task1_ref2.txt").unlink()
    assert main(["duc2004", str(tmp_path / "duc")]) == 1
    assert "task1_ref2.txt: there is no such file. DUC 2004 is licensed" in capsys.readouterr().err


def test_a_wrong_test_set_is_refused_with_file_and_line(tmp_path, capsys):
    folder = duc_folder(tmp_path / "short", lines=499)
    assert main(["duc2004", str(folder)]) == 1
    assert "input.txt has 499 lines; the test set of DUC 2004 task 1 has 500" in capsys.readouterr().err
    folder = duc_folder(tmp_path / "empty")
    path = folder / "references" / "task1_ref1.txt"
    path.write_text(path.read_text().replace("Headline 8 by 1\n", " \n"))
    assert main(["duc2004", str(folder), "--source", str(tmp_path / "s"), "--references", str(tmp_path / "r")]) == 1
    assert "task1_ref1.txt, line 9: empty" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_one_output_for_each_input(tmp_path, capsys):
    source = write(tmp_path / "in", "ab\n")
    assert main(["characters", source, source, "--output", str(tmp_path / "out")]) == 1
    assert "--output has 1 files for 2" in capsys.readouterr().err
    assert headlines(tmp_path, "a\n", "a\n", str(tmp_path / "two")) == 1
    assert "would overwrite" not in capsys.readouterr().err
    assert headlines(tmp_path, "a\n", "a\n") == 0


def contents(folder):
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [(["a"], ["a"]), (["a"], ["./a"]), (["a", "b"], ["b", "c"]), (["a", "b"], ["c", "c"]), (["a", "b"], ["c", "a"])],
)
def test_no_output_takes_the_place_of_an_input_or_another_output(tmp_path, monkeypatch, capsys, inputs, outputs):
    monkeypatch.chdir(tmp_path)
    for name in inputs:
        write(tmp_path / name, f"text of {name}\n")
        write(tmp_path / f"{name}.source", f"sentence of {name}\n")
        write(tmp_path / f"{name}.title", f"headline of {name}\n")
    before = contents(tmp_path)
    for command in (["characters"], ["headlines", "--source-lang", "source", "--target-lang", "title"]):
        assert main([*command[:1], *inputs, "--output", *outputs, *command[1:]]) == 1
        assert "would overwrite an input or another output" in capsys.readouterr().err
        assert contents(tmp_path) == before
