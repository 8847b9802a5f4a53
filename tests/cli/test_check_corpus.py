import json
import re

import pytest

from fairseq_alone.cli import check_corpus, main
from fairseq_alone.errors import UserError


def write(folder, source: bytes, target: bytes, name="train"):
    (folder / f"{name}.en").write_bytes(source)
    (folder / f"{name}.de").write_bytes(target)
    return str(folder / name)


def check(prefix, output):
    return check_corpus.check_corpora([prefix], "en", "de", [str(output)])[0]


def refused(prefix, output):
    """The message of the refusal; nothing may have been written."""
    with pytest.raises(UserError) as caught:
        check(prefix, output)
    assert list(output.parent.glob(f"*{output.name}*")) == []
    return str(caught.value)


def test_clean_pairs_are_copied(tmp_path):
    prefix = write(tmp_path, "Hello .\nÄpfel\n".encode(), b"Hallo .\nBirnen\n")
    report = check(prefix, tmp_path / "out")
    assert (tmp_path / "out.en").read_text(encoding="utf-8") == "Hello .\nÄpfel\n"
    assert (tmp_path / "out.de").read_text(encoding="utf-8") == "Hallo .\nBirnen\n"
    assert (report["pairs_read"], report["pairs_written"], report["pairs_dropped"]) == (2, 2, 0)


def test_last_line_without_its_ending_counts(tmp_path):
    prefix = write(tmp_path, b"a\nb", b"c\nd\n")
    assert check(prefix, tmp_path / "out")["pairs_written"] == 2
    assert (tmp_path / "out.en").read_bytes() == b"a\nb\n"


def test_pairs_with_an_empty_side_are_dropped_together(tmp_path):
    prefix = write(tmp_path, b"a\n \t\nc\nd\n\n", "A\nB\n\u00a0\nD\n\n".encode())
    report = check(prefix, tmp_path / "out")
    assert report["dropped_lines"] == [2, 3, 5]
    assert (report["pairs_read"], report["pairs_written"], report["pairs_dropped"]) == (5, 2, 3)
    assert (tmp_path / "out.en").read_bytes() == b"a\nd\n"
    assert (tmp_path / "out.de").read_bytes() == b"A\nD\n"


@pytest.mark.parametrize("separator", ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\t"])
def test_only_a_newline_ends_a_line(tmp_path, separator):
    prefix = write(tmp_path, f"one{separator}two\nthree\n".encode(), b"eins\ndrei\n")
    assert check(prefix, tmp_path / "out")["pairs_read"] == 2
    text = (tmp_path / "out.en").read_text(encoding="utf-8")
    assert text == "one two\nthree\n"
    assert text.splitlines() == ["one two", "three"]


def test_windows_line_endings_and_byte_order_mark_are_removed(tmp_path):
    prefix = write(tmp_path, b"\xef\xbb\xbfa\r\nb\r\n", b"c\nd\n")
    check(prefix, tmp_path / "out")
    assert (tmp_path / "out.en").read_bytes() == b"a\nb\n"


def test_joined_files_leave_no_mark_and_invisible_lines_are_dropped(tmp_path, capsys):
    source = "A dog runs.\n\ufeffThe cat sleeps.\nA bird sings.\n\u2060\u00ad\n \ufeffA c\ufeffow.\n"
    target = "Ein Hund rennt.\n\ufeffDie Katze schläft.\n\u200b\nLeer.\nEine Kuh.\n"
    prefix = write(tmp_path, source.encode(), target.encode())
    assert check(prefix, tmp_path / "out")["dropped_lines"] == [3, 4]
    assert (tmp_path / "out.en").read_text(encoding="utf-8") == "A dog runs.\nThe cat sleeps.\nA cow.\n"
    assert (tmp_path / "out.de").read_text(encoding="utf-8") == "Ein Hund rennt.\nDie Katze schläft.\nEine Kuh.\n"
    # Once, though the files are read twice.
    assert capsys.readouterr().err == (
        f"{prefix}.en: 3 byte order marks removed, first in line 2\n"
        f"{prefix}.de: 1 byte order mark removed, first in line 2\n"
    )


def test_missing_file_is_refused(tmp_path):
    (tmp_path / "train.en").write_text("a\n")
    message = refused(str(tmp_path / "train"), tmp_path / "out")
    assert str(tmp_path / "train.de") in message


def test_empty_file_is_refused(tmp_path):
    message = refused(write(tmp_path, b"a\n", b""), tmp_path / "out")
    assert message == f"{tmp_path / 'train.de'}: the file is empty"


def test_different_line_counts_are_refused_with_both_counts(tmp_path):
    message = refused(write(tmp_path, b"a\nb\nc\n", b"a\nb\n"), tmp_path / "out")
    assert f"{tmp_path / 'train.en'} has 3 lines" in message
    assert f"{tmp_path / 'train.de'} has 2" in message


def test_bytes_that_are_not_utf8_are_refused_with_file_and_line(tmp_path):
    message = refused(write(tmp_path, b"a\nb\n", b"gut\nsch\xf6n\n"), tmp_path / "out")
    assert f"{tmp_path / 'train.de'}, line 2" in message
    assert "0xf6" in message


def test_corpus_of_empty_pairs_is_refused(tmp_path):
    assert "every pair" in refused(write(tmp_path, b"a\n\n", b"\nb\n"), tmp_path / "out")


def test_one_bad_corpus_stops_all(tmp_path):
    good = write(tmp_path, b"a\n", b"b\n", "train")
    bad = write(tmp_path, b"a\n", b"b\nc\n", "valid")
    with pytest.raises(UserError, match=r"valid\.en has 1 lines"):
        check_corpus.check_corpora([good, bad], "en", "de", [str(tmp_path / "o1"), str(tmp_path / "o2")])
    assert not (tmp_path / "o1.en").exists()


def test_input_is_not_overwritten(tmp_path):
    prefix = write(tmp_path, b" a\n", b"b\n")
    with pytest.raises(UserError, match="would overwrite"):
        check(prefix, prefix)
    assert (tmp_path / "train.en").read_bytes() == b" a\n"


@pytest.mark.parametrize(
    ("outputs", "target", "message"),
    [
        (["o1", "o2"], "de", "one for each"),
        (["missing/o1"], "de", "there is no folder"),
        (["o1"], "en", "are both 'en'"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, outputs, target, message):
    prefix = write(tmp_path, b"a\n", b"b\n")
    with pytest.raises(UserError, match=message):
        check_corpus.check_corpora([prefix], "en", target, [str(tmp_path / name) for name in outputs])


def command(prefix, output, *more):
    return main(["check-corpus", prefix, "--source-lang", "en", "--target-lang", "de", "--output", str(output), *more])


def test_command_prints_counts_and_dropped_lines(tmp_path, capsys):
    prefix = write(tmp_path, b"a\n\nc\n", b"a\nb\nc\n")
    assert command(prefix, tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "3 pairs read, 1 dropped (an empty side), 2 written; dropped lines: 2" in printed.out
    assert printed.err == ""


def test_command_prints_json(tmp_path, capsys):
    prefix = write(tmp_path, b"\n" * 30 + b"c\n", b"a\n" * 30 + b"c\n")
    assert command(prefix, tmp_path / "out", "--json", "--quiet") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["dropped_lines"] == list(range(1, 31))
    assert report["files"] == [str(tmp_path / "out.en"), str(tmp_path / "out.de")]


def test_command_shows_only_the_first_dropped_lines(tmp_path, capsys):
    prefix = write(tmp_path, b"\n" * 30 + b"c\n", b"a\n" * 30 + b"c\n")
    command(prefix, tmp_path / "out")
    printed = capsys.readouterr().out
    assert "19, 20, ..." in printed
    assert "21" not in printed.split("dropped lines:")[1]


def test_command_reports_bad_input_without_a_traceback(tmp_path, capsys):
    assert command(write(tmp_path, b"a\n", b"\xff\n"), tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "line 1: not UTF-8" in error
    assert "Traceback" not in error


def check_tsv(prefix, output):
    return check_corpus.check_corpora([prefix], "en", "de", [str(output)], tsv=True)[0]


def test_tab_separated_pairs_are_split_cleaned_and_counted(tmp_path):
    text = "\ufeffone\u2028two\t\ufeffeins \r\n\tno source\nno target\t\u200b\nthree \tdrei"
    (tmp_path / "train.tsv").write_bytes(text.encode())
    report = check_tsv(str(tmp_path / "train"), tmp_path / "out")
    assert (tmp_path / "out.en").read_bytes() == b"one two\nthree\n"
    assert (tmp_path / "out.de").read_bytes() == b"eins\ndrei\n"
    assert (report["pairs_read"], report["pairs_written"], report["dropped_lines"]) == (4, 2, [2, 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a\tb\nc\n", "line 2: must be SENTENCE<tab>SENTENCE, but has 0 tabs"),
        (b"a\tb\tc\n", "line 1: must be SENTENCE<tab>SENTENCE, but has 2 tabs"),
        (b"a\tb\nc\t\xff\n", "line 2: not UTF-8"),
        (b"\tb\n", "every pair has an empty side"),
        (b"", "the file is empty"),
    ],
)
def test_bad_tab_separated_files_are_refused_by_name_and_line(tmp_path, text, message):
    (tmp_path / "train.tsv").write_bytes(text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        check_tsv(str(tmp_path / "train"), tmp_path / "out")
    assert str(tmp_path / "train.tsv") in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["train.tsv"]


def test_command_reads_tab_separated_pairs(tmp_path, capsys):
    (tmp_path / "train.tsv").write_bytes(b"a\tb\n")
    assert command(str(tmp_path / "train"), tmp_path / "out", "--tsv") == 0
    assert "1 pairs read" in capsys.readouterr().out
    assert (tmp_path / "out.de").read_bytes() == b"b\n"
